/* Hits and misses of caches, counted by each thread for itself: a hit writes no line that other cores use.
 *
 * A cache has a number while it lives. Each thread's reader record (readers.h) has an array of counts, one pair for
 * each number that the thread came across. Records are used again by later threads and never freed, so their counts simply
 * go on, and the sum over all records is exact. Sums, and making an array larger, take a lock of one byte: counting
 * itself takes none, since only its own thread writes an array. With a GIL a cache has its two counts itself. */
#ifndef SHARDMAP_COUNTS_H
#define SHARDMAP_COUNTS_H

#include "atomicref.h"
#include "readers.h"

#if SM_READERS_MEET_WRITERS

static uint8_t sm_counts_lock = 0;

/* This thread's record, if it has read anything so far. */
static inline sm_reader *sm_own_reader(void) { return sm_this_reader; }

/* Whether this thread could count; not if it has no room yet, or no record. */
static inline int sm_count(sm_reader *me, uint32_t number, int which)
{
    uint64_t *count;
    if (SM_UNLIKELY(me == NULL || me->counted <= number))
        return 0;
    count = &me->counts[2 * (size_t)number + which];
    sm_store_u64_relaxed(count, *count + 1);
    return 1;
}

/* Room for a number in this thread's record. Attached, and neither reading nor under a mutex. False: no memory, or no
 * record. */
static int sm_make_room_to_count(uint32_t number)
{
    sm_reader *me = sm_this_reader;
    uint64_t *larger, *smaller;
    uint32_t room = number + number / 2 + 8;
    /* Whole cache lines, and pairs of them: no other thread's counts, nor anything else, is in them. */
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

/* Of all threads there ever were. Attached, not under a mutex. */
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
static inline int sm_count(sm_reader *me, uint32_t number, int which) { (void)me; (void)number; (void)which; return 0; }
static inline int sm_make_room_to_count(uint32_t number) { (void)number; return 0; }
static inline void sm_sum_counts(uint32_t number, uint64_t *hits, uint64_t *misses)
{ (void)number; *hits = *misses = 0; }

#endif

/* The load that this thread is in the middle of, the innermost one (core/load.pyx); owned. */
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
