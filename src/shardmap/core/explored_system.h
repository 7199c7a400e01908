/* Does for system.h what explored_calls.h does for atomics. */
#ifndef SHARDMAP_EXPLORED_SYSTEM_H
#define SHARDMAP_EXPLORED_SYSTEM_H

#include "explore.h"

#define SM_FREED 0xDD

static void *sm_quarantine = NULL;

/* Freed memory of a table is not used again in this schedule. It is marked as freed. */
static void sm_explored_release_table(void *memory, size_t size)
{
    if (sm_explored_me < 0) {
        sm_release_table(memory, size);
        return;
    }
    memset(memory, SM_FREED, size);
    *(void **)memory = sm_quarantine;
    ((size_t *)memory)[1] = size;
    sm_quarantine = memory;
}

static void sm_empty_quarantine(void)
{
    while (sm_quarantine != NULL) {
        void *memory = sm_quarantine;
        sm_quarantine = *(void **)memory;
        sm_release_table(memory, ((size_t *)memory)[1]);
    }
}

static void sm_explored_mutex_lock(sm_mutex *mutex, const char *place)
{
    if (sm_explored_me < 0) {
        sm_mutex_lock(mutex);
        return;
    }
    SM_REQUIRE(!sm_is_reading, "a reader waits for a mutex");
    sm_explored_point(place);
    while (!sm_mutex_try(mutex))
        sm_explored_wait(0, -1, place);
}

/* Waits until any condition is signalled. Callers check whether it was theirs. */
static void sm_explored_cond_wait(sm_mutex *mutex, double until, const char *place)
{
    uint64_t signals = sm_explored_signals;
    sm_mutex_unlock(mutex);
    do {
        sm_explored_wait(0, until, place);
    } while (sm_explored_signals == signals && !sm_explored_timed_out());
    sm_explored_mutex_lock(mutex, place);
}

/* Not yet written memory has this pattern. */
static void *sm_explored_fill(void *memory, size_t size)
{
    return memory == NULL ? NULL : memset(memory, SM_FREED, size);
}

#define sm_allocate(size, alignment) sm_explored_fill(sm_allocate(size, alignment), size)
#define sm_allocate_table(size) sm_explored_fill(sm_allocate_table(size), size)
#define sm_release_table(memory, size) sm_explored_release_table(memory, size)
#define sm_mutex_lock(mutex) sm_explored_mutex_lock(mutex, __func__)
#define sm_mutex_try(mutex) SM_AT_POINT(sm_mutex_try(mutex))
#define sm_mutex_unlock(mutex) SM_AT_POINT(sm_mutex_unlock(mutex))
#define sm_cond_wait(cond, mutex) \
    (sm_explored_me >= 0 ? sm_explored_cond_wait(mutex, -1, __func__) : sm_cond_wait(cond, mutex))
#define sm_cond_wait_until(cond, mutex, until) \
    (sm_explored_me >= 0 ? sm_explored_cond_wait(mutex, until, __func__) : sm_cond_wait_until(cond, mutex, until))
#define sm_cond_signal(cond) (sm_explored_signals++, sm_cond_signal(cond))
#define sm_now() (sm_explored_me >= 0 ? sm_explored_now : sm_now())
#define sm_yield() (sm_explored_wait(1, -1, __func__) ? (void)0 : sm_yield())
#define sm_nap(microseconds) (sm_explored_wait(1, -1, __func__) ? (void)0 : sm_nap(microseconds))

#endif
