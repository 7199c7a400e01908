/* Stamps: what orders entries of different shards, so that the whole map iterates in insertion order.
 *
 * A stamp must be right whenever one insertion finished before another began, must grow strictly within
 * a thread, and must not be a line of memory that all cores write. The processor's time-stamp counter is
 * all of that where it runs at one rate, never stops, and is the same on all cores: the invariant-TSC
 * flag says the first two, the kernel says the third by using it as its clock. The fence keeps the
 * reading from being executed early, before the lock is held. Anywhere else one atomic counter serves:
 * always right, but shared by all cores. */
#ifndef SHARDMAP_STAMP_H
#define SHARDMAP_STAMP_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomics.h"

static int sm_stamp_uses_tsc = 0;
/* It starts above all numbers of entries, which serve as stamps where a map had one shard (core/split.pyx). The time-stamp
 * counter has passed them within a second or so of being switched on. */
static uint64_t sm_stamp_counter __attribute__((aligned(128))) = UINT64_C(1) << 32;

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
static int sm_tsc_is_trusted(void)
{
    unsigned a, b, c, d;
    char clock[32] = "";
    FILE *f;
    if (!__get_cpuid(0x80000007u, &a, &b, &c, &d) || !(d & (1u << 8)))
        return 0;
    f = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
    if (f == NULL)
        return 0;
    if (fgets(clock, sizeof clock, f) == NULL)
        clock[0] = 0;
    fclose(f);
    return strncmp(clock, "tsc", 3) == 0;
}
static inline uint64_t sm_read_tsc(void)
{
    __builtin_ia32_lfence();
    return __builtin_ia32_rdtsc();
}
#else
static int sm_tsc_is_trusted(void) { return 0; }
static inline uint64_t sm_read_tsc(void) { return 0; }
#endif

/* Once, at import. SHARDMAP_STAMP=counter in the environment asks for the counter. */
static void sm_stamp_init(void)
{
    const char *wanted = getenv("SHARDMAP_STAMP");
    sm_stamp_uses_tsc = !(wanted != NULL && strcmp(wanted, "counter") == 0) && sm_tsc_is_trusted();
}

static inline uint64_t sm_stamp_now(void)
{
    if (__builtin_expect(sm_stamp_uses_tsc, 1))
        return sm_read_tsc();
    return __atomic_add_fetch(&sm_stamp_counter, 1, __ATOMIC_RELAXED);
}

/* The first of `count` stamps in a row, for a map that has no entry yet: all of them are before any later stamp. The
 * clock has gone on by more than that since it started. */
static inline uint64_t sm_stamp_reserve(uint64_t count)
{
    if (__builtin_expect(sm_stamp_uses_tsc, 1)) {
        uint64_t now = sm_read_tsc();
        return now - count;
    }
    return __atomic_fetch_add(&sm_stamp_counter, count, __ATOMIC_RELAXED) + 1;
}

/* The first of `count` stamps in a row that come after all stamps so far. Before anybody can insert beside what got
 * them: sm_stamp_pass() the last. */
static inline uint64_t sm_stamp_reserve_after(uint64_t count)
{
    if (__builtin_expect(sm_stamp_uses_tsc, 1))
        return sm_read_tsc();
    return __atomic_fetch_add(&sm_stamp_counter, count, __ATOMIC_RELAXED) + 1;
}

/* Returns when all later stamps are larger than this one. Most often it is past. */
static inline void sm_stamp_pass(uint64_t stamp)
{
    while (sm_stamp_uses_tsc && sm_read_tsc() <= stamp)
        sm_pause();
}

#endif
