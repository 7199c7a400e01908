/* Hits and misses of caches. Each thread has counts of its own, so a hit writes no cache line that other cores use.
 *
 * Each live cache has a number. Each thread's reader record (readers.h) has an array with a pair of counts for each
 * number that the thread has used. Records are never freed. Later threads use them again and continue their counts,
 * so the sum over all records is exact. To sum up, and to enlarge an array, a thread takes a lock of one byte.
 * Counting takes no lock, because only its own thread writes an array. With a GIL, the cache itself has its two
 * counts. */
#ifndef SHARDMAP_COUNTS_H
#define SHARDMAP_COUNTS_H

#include "atomicref.h"
#include "readers.h"

#if SM_READERS_MEET_WRITERS

static uint8_t sm_counts_lock = 0;

/* This thread's record, if it has read anything so far. */
static inline sm_reader *sm_own_reader(void) { return sm_this_reader; }

/* Counts, and returns true; false if this thread has no room for the number yet, or no record. */
static inline int sm_count(sm_reader *me, uint32_t number, int which)
{
    uint64_t *count;
    if (SM_UNLIKELY(me == NULL || me->counted <= number))
        return 0;
    count = &me->counts[2 * (size_t)number + which];
    sm_store_u64_relaxed(count, *count + 1);
    return 1;
}

/* Makes room for a number in this thread's record. The thread must be attached, not reading, and hold no mutex.
 * False if there is no memory, or no record. */
static int sm_make_room_to_count(uint32_t number)
{
    sm_reader *me = sm_this_reader;
    uint64_t *larger, *smaller;
    uint32_t room = number + number / 2 + 8;
    /* The array takes whole pairs of cache lines, so that they contain nothing else. */
    room = (room + 7) / 8 * 8;
    if (me == NULL || (larger = sm_allocate(2 * (size_t)room * sizeof *larger, 128)) == NULL)
        return 0;
    memset(larger, 0, 2 * (size_t)room * sizeof *larger);
    sm_byte_lock(&sm_counts_lock);
    smaller = me->counts;
    if (smaller != NULL)
        memcpy(larger, smaller, 2 * (size_t)me->counted * sizeof *larger);
    me->counts = larger;
    me->counted = room;
    sm_byte_unlock(&sm_counts_lock);
    sm_release(smaller);
    return 1;
}

/* Sums the counts of all threads, also of those that have ended. The thread must be attached, and hold no mutex. */
static void sm_sum_counts(uint32_t number, uint64_t *hits, uint64_t *misses)
{
    sm_reader *r;
    *hits = *misses = 0;
    sm_byte_lock(&sm_counts_lock);
    for (r = sm_load_ptr((void *const *)&sm_readers); r != NULL; r = r->next) {
        if (number < r->counted) {
            *hits += sm_load_u64_relaxed(&r->counts[2 * (size_t)number]);
            *misses += sm_load_u64_relaxed(&r->counts[2 * (size_t)number + 1]);
        }
    }
    sm_byte_unlock(&sm_counts_lock);
}

#else

static inline sm_reader *sm_own_reader(void) { return NULL; }
static inline int sm_count(sm_reader *me, uint32_t number, int which)
{
    (void)me;
    (void)number;
    (void)which;
    return 0;
}
static inline int sm_make_room_to_count(uint32_t number)
{
    (void)number;
    return 0;
}
static inline void sm_sum_counts(uint32_t number, uint64_t *hits, uint64_t *misses)
{
    (void)number;
    *hits = *misses = 0;
}

#endif

/* The innermost load that this thread is running (core/load.pyx); owned. */
static SM_THREAD_LOCAL PyObject *sm_innermost_load SM_TLS_MODEL = NULL;
static inline PyObject *sm_get_innermost_load(void) { return sm_innermost_load; }
static inline void sm_set_innermost_load(PyObject *load) { sm_innermost_load = load; }

/* Bits of a mark: readers set one of them, writers under the mutex set and clear others at the same time. */
static inline void sm_raise_mark(uint8_t *mark, uint8_t bit)
{
    if (SM_UNLIKELY(!(sm_load_u8_relaxed(mark) & bit)))
        sm_or_u8_relaxed(mark, bit);
}

static inline void sm_lower_mark(uint8_t *mark, uint8_t bit) { sm_and_u8_relaxed(mark, (uint8_t)~bit); }

#endif
