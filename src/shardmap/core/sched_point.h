/* sm_sched_point(): where another thread may come between two steps that matter. Nothing, but in a build with
 * -DSHARDMAP_PAUSES (make pauses), where a thread now and then stops there for a while, so that the tests
 * meet orders of events that else come once in a day. */
#ifndef SHARDMAP_SCHED_POINT_H
#define SHARDMAP_SCHED_POINT_H

#ifdef SHARDMAP_PAUSES

#include <stdint.h>

#include "system.h"

static __thread uint32_t sm_sched_seed = 0;

static void sm_sched_point(void)
{
    if (sm_sched_seed == 0)
        sm_sched_seed = (uint32_t)(uintptr_t)&sm_sched_seed | 1;
    sm_sched_seed ^= sm_sched_seed << 13; /* Marsaglia, Xorshift RNGs, 2003 */
    sm_sched_seed ^= sm_sched_seed >> 17;
    sm_sched_seed ^= sm_sched_seed << 5;
    if (sm_sched_seed % 256 == 0)
        sm_nap(30);
    else if (sm_sched_seed % 32 == 0)
        sm_yield();
}
static const int sm_has_pauses = 1;

#else

#define sm_sched_point() ((void)0)
static const int sm_has_pauses = 0;

#endif

#endif
