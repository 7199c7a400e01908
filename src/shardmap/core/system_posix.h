/* system.h for POSIX: Linux, macOS and similar systems. */
#ifndef SHARDMAP_SYSTEM_POSIX_H
#define SHARDMAP_SYSTEM_POSIX_H

#include "atomics.h"
#include "contracts.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

/* --- Mutexes --- */

typedef pthread_mutex_t sm_native_mutex;
static inline void sm_native_init(sm_native_mutex *mutex) { pthread_mutex_init(mutex, NULL); }
static inline void sm_native_destroy(sm_native_mutex *mutex) { pthread_mutex_destroy(mutex); }
static inline int sm_native_try(sm_native_mutex *mutex) { return pthread_mutex_trylock(mutex) == 0; }
static inline void sm_native_lock(sm_native_mutex *mutex) { pthread_mutex_lock(mutex); }
static inline void sm_native_unlock(sm_native_mutex *mutex) { pthread_mutex_unlock(mutex); }

typedef pthread_t sm_thread;
static inline sm_thread sm_this_thread(void) { return pthread_self(); }
static inline int sm_is_same_thread(sm_thread a, sm_thread b) { return pthread_equal(a, b); }

#include "mutex.h"

/* --- Conditions --- */

typedef pthread_cond_t sm_cond;

static void sm_cond_init(sm_cond *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
#if !SM_AS_ON_MACOS /* which has no pthread_condattr_setclock() */
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
#endif
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

static inline void sm_cond_destroy(sm_cond *cond) { pthread_cond_destroy(cond); }
static inline void sm_cond_signal(sm_cond *cond) { pthread_cond_signal(cond); }

static inline void sm_cond_wait(sm_cond *cond, sm_mutex *mutex)
{
    sm_note_released(mutex);
    pthread_cond_wait(cond, SM_NATIVE(mutex));
    sm_note_held(mutex);
}

/* Nanoseconds of a clock that never goes back. */
static inline int64_t sm_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double sm_seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The clock of sm_cond_wait_until(), in seconds. */
static double sm_now(void) { return sm_seconds(CLOCK_MONOTONIC); }

static inline struct timespec sm_timespec(double seconds)
{
    struct timespec time;
    time.tv_sec = (time_t)seconds;
    time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
    return time;
}

/* Waits until woken, or until the clock says `until`; may also return before. */
static void sm_cond_wait_until(sm_cond *cond, sm_mutex *mutex, double until)
{
    struct timespec end;
#if defined(__APPLE__)
    double left = until - sm_now();
    end = sm_timespec(left > 0 ? left : 0);
#elif SM_AS_ON_MACOS
    end = sm_timespec(sm_seconds(CLOCK_REALTIME) + (until - sm_now()));
#else
    end = sm_timespec(until);
#endif
    sm_note_released(mutex);
#if defined(__APPLE__) /* a duration, so changes of the clock have no influence */
    pthread_cond_timedwait_relative_np(cond, SM_NATIVE(mutex), &end);
#else
    pthread_cond_timedwait(cond, SM_NATIVE(mutex), &end);
#endif
    sm_note_held(mutex);
}

/* --- Letting others run --- */

static inline void sm_yield(void) { sched_yield(); }

static inline void sm_nap(long microseconds) /* under a second */
{
    struct timespec time = {0, microseconds * 1000};
    nanosleep(&time, NULL);
}

/* --- Thread ends and forks. 0, or an error. --- */

typedef pthread_key_t sm_thread_key;

/* Registers `at_end`, which is called with the value at the end of each thread that has set one. */
static inline int sm_thread_key_create(sm_thread_key *key, void (*at_end)(void *))
{
    return pthread_key_create(key, at_end);
}

static inline int sm_thread_key_set(sm_thread_key key, void *value) { return pthread_setspecific(key, value); }

static inline int sm_at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
    return pthread_atfork(before, in_parent, in_child);
}

/* --- Memory --- */

#define SM_MALLOC_ALIGNMENT (2 * sizeof(void *))
static void *sm_allocate(size_t size, size_t alignment)
{
    void *memory = NULL;
    if (alignment <= SM_MALLOC_ALIGNMENT)
        return malloc(size);
    return posix_memalign(&memory, alignment, size) == 0 ? memory : NULL;
}

static inline void sm_release(void *memory) { free(memory); }

#define SM_HUGE_PAGE ((size_t)2 << 20) /* x86-64, and arm64 with pages of 4 KiB */
#define SM_LARGE_ALIGNMENT SM_HUGE_PAGE
#define SM_LARGE (2 * SM_HUGE_PAGE)
#define SM_MAPPED(size) (((size) + 65535) & ~(size_t)65535) /* whole pages, whatever their size */

/* Memory for tables, in whole cache lines. Large tables are mapped, so that freeing returns their memory to the
 * system at once. They ask for huge pages, if the system gives them on request (Linux: "madvise"; numpy does so,
 * too). Without huge pages, a look-up at a random place of a large table walks through page tables for each of its
 * cache lines, and filling a table takes a page fault for every 4 KiB. */
static void *sm_allocate_table(size_t size)
{
    char *memory, *aligned;
    size_t mapped = SM_MAPPED(size) + SM_HUGE_PAGE;
    if (size < SM_LARGE)
        return sm_allocate(size, 64);
    if (mapped < size)
        return NULL;
    memory = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    aligned = (char *)(((uintptr_t)memory + SM_HUGE_PAGE - 1) & ~(uintptr_t)(SM_HUGE_PAGE - 1));
    if (aligned != memory)
        munmap(memory, (size_t)(aligned - memory));
    mapped -= (size_t)(aligned - memory);
    if (mapped != SM_MAPPED(size))
        munmap(aligned + SM_MAPPED(size), mapped - SM_MAPPED(size));
#if defined(MADV_HUGEPAGE) && !SM_AS_ON_MACOS
    (void)madvise(aligned, SM_MAPPED(size), MADV_HUGEPAGE); /* if refused, it works without huge pages */
#endif
    return aligned;
}

static inline void sm_release_table(void *memory, size_t size)
{
    if (size < SM_LARGE)
        free(memory);
    else
        munmap(memory, SM_MAPPED(size));
}

#endif
