/* Stamps order the entries of different shards, so that the whole map iterates in insertion order.
 *
 * Stamps must be in the right order if one insertion finished before another began. They must grow strictly within a
 * thread. They should not need a cache line that all cores write. A counter of the processor satisfies this if it runs
 * at one rate, never stops, and is the same on all cores.
 *
 * x86-64: the time-stamp counter. The invariant-TSC flag says that it runs at one rate and never stops. The kernel
 * uses it as its clock only if it is the same on all cores. It ticks about once per instruction. A fence prevents that
 * it is read early, before the lock is held.
 *
 * arm64: cntvct_el0, which has these properties by the architecture. It may tick as slowly as 24 MHz, so two
 * insertions could read the same value. So an insertion waits, after it has taken its stamp, until the clock has
 * advanced: an insertion that begins after that reads a later value. It holds the mutex until then. (The branch that
 * ends the wait comes before the stores, and no processor makes stores visible speculatively.) ISB is the fence. The
 * count is shifted so that it grows by at least 2^30 a second. So it is soon above all numbers of entries (see below).
 *
 * Other systems use one atomic counter, which is always right but shared by all cores. This includes Windows, which
 * does not say whether its clock is the time-stamp counter, and whose clock may differ by a tick from core to core. */
#ifndef SHARDMAP_STAMP_H
#define SHARDMAP_STAMP_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomics.h"
#include "core/compiler.h"
#include "core/system.h"

enum { SM_STAMP_COUNTER = 0, SM_STAMP_FINE = 1, SM_STAMP_COARSE = 2, SM_STAMP_SLOW = 3 };
static int sm_stamp_source = SM_STAMP_COUNTER;
static int sm_stamp_shift = 0; /* of SM_STAMP_COARSE; of SM_STAMP_SLOW: how many low bits are ignored */
/* It starts above all numbers of entries, because these numbers become stamps when a map with one shard is split
 * (core/split.pyx). Clocks are above them a few seconds after they were started. */
static SM_ALIGNED(128) uint64_t sm_stamp_counter = UINT64_C(1) << 32;

#if defined(__x86_64__) && defined(__linux__) && !SM_AS_ON_MACOS
#include <cpuid.h>
#define SM_CLOCK_NAME "tsc"
static int sm_clock_found(void)
{
    unsigned a, b, c, d;
    char clock[32] = "";
    FILE *f;
    if (!__get_cpuid(0x80000007u, &a, &b, &c, &d) || !(d & (1u << 8)))
        return SM_STAMP_COUNTER;
    f = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
    if (f == NULL)
        return SM_STAMP_COUNTER;
    if (fgets(clock, sizeof clock, f) == NULL)
        clock[0] = 0;
    fclose(f);
    return strncmp(clock, "tsc", 3) == 0 ? SM_STAMP_FINE : SM_STAMP_COUNTER;
}
static inline uint64_t sm_read_register(void)
{
    __builtin_ia32_lfence();
    return __builtin_ia32_rdtsc();
}
#elif defined(__aarch64__) && !defined(_WIN32)
#define SM_CLOCK_NAME "cntvct_el0"
static int sm_clock_found(void)
{
    uint64_t frequency;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
    if (frequency == 0)
        return SM_STAMP_COUNTER;
    while (frequency << sm_stamp_shift < UINT64_C(1) << 30)
        sm_stamp_shift++;
    return SM_STAMP_COARSE;
}
static inline uint64_t sm_read_register(void)
{
    uint64_t now;
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(now) : : "memory");
    return now << sm_stamp_shift;
}
#else
#define SM_CLOCK_NAME "counter"
static int sm_clock_found(void) { return SM_STAMP_COUNTER; }
static inline uint64_t sm_read_register(void) { return 0; }
#endif

/* For tests: the system's clock without its lowest bits, so that it ticks slowly. It is not read early, either. */
static uint64_t sm_read_slow_clock(void) { return (uint64_t)sm_monotonic_ns() >> sm_stamp_shift << sm_stamp_shift; }

static inline uint64_t sm_read_clock(void)
{
    return SM_UNLIKELY(sm_stamp_source == SM_STAMP_SLOW) ? sm_read_slow_clock() : sm_read_register();
}

/* Called once, at import. In the environment, SHARDMAP_STAMP=counter selects the counter, and slow:BITS a clock
 * that ticks every 2^BITS nanoseconds. */
static void sm_stamp_init(void)
{
    const char *wanted = getenv("SHARDMAP_STAMP");
    if (wanted != NULL && strcmp(wanted, "counter") == 0)
        return;
    if (wanted != NULL && strncmp(wanted, "slow:", 5) == 0) {
        sm_stamp_source = SM_STAMP_SLOW;
        sm_stamp_shift = atoi(wanted + 5) & 31;
        return;
    }
    sm_stamp_source = sm_clock_found();
}

static const char *sm_stamp_name(void)
{
    return sm_stamp_source == SM_STAMP_COUNTER ? "counter" : sm_stamp_source == SM_STAMP_SLOW ? "slow" : SM_CLOCK_NAME;
}

static inline int sm_stamp_uses_clock(void) { return SM_LIKELY(sm_stamp_source != SM_STAMP_COUNTER); }

static SM_NOINLINE uint64_t sm_stamp_slowly(void)
{
    uint64_t stamp;
    if (!sm_stamp_uses_clock())
        return sm_add_u64_relaxed(&sm_stamp_counter, 1);
    stamp = sm_read_clock();
    while (sm_read_clock() == stamp)
        sm_pause();
    return stamp;
}

static inline uint64_t sm_stamp_now(void)
{
    return SM_LIKELY(sm_stamp_source == SM_STAMP_FINE) ? sm_read_register() : sm_stamp_slowly();
}

/* The first of `count` consecutive stamps, for a map without entries. All later stamps are larger. (With a clock,
 * they are values from the past. The clock has counted more than `count` ticks since it started.) */
static inline uint64_t sm_stamp_reserve(uint64_t count)
{
    if (sm_stamp_uses_clock())
        return sm_read_clock() - count;
    return sm_add_u64_relaxed(&sm_stamp_counter, count) - count + 1;
}

/* The first of `count` consecutive stamps that are larger than all stamps so far. Before other insertions are possible,
 * call sm_stamp_pass() with the last one. */
static inline uint64_t sm_stamp_reserve_after(uint64_t count)
{
    if (sm_stamp_uses_clock())
        return sm_read_clock();
    return sm_add_u64_relaxed(&sm_stamp_counter, count) - count + 1;
}

/* Returns when all later stamps are larger than this one. Usually that is at once. */
static inline void sm_stamp_pass(uint64_t stamp)
{
    while (sm_stamp_uses_clock() && sm_read_clock() <= stamp)
        sm_pause();
}

#endif
