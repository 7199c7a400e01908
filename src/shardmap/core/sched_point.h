/* sm_sched_point(): a point between two critical steps, where another thread may run. It does nothing, except in a
 * build with -DSHARDMAP_PAUSES (make pauses). There a thread sometimes stops at it for a while, so that the tests
 * meet orders of events that otherwise happen once a day. (If schedules are explored, each atomic access is such a
 * point: explore.h.) */
#ifndef SHARDMAP_SCHED_POINT_H
#define SHARDMAP_SCHED_POINT_H

#ifdef SHARDMAP_PAUSES

#include <stdint.h>

#include "system.h"

static SM_THREAD_LOCAL uint32_t sm_sched_seed = 0;

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

/* Asserts that a key that a reader compares was not freed. Only a build that explores schedules can check this. */
#ifdef SHARDMAP_EXPLORE
#define sm_require_unfreed_key(key) \
    (sm_explored_point(__func__), SM_REQUIRE(Py_REFCNT(key) > 0, "a reader compares with a key that was freed"))
#else
#define sm_require_unfreed_key(key) ((void)0)
#endif

#endif
