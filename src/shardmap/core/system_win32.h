/* system.h for Windows, 64 bits. No fork. */
#ifndef SHARDMAP_SYSTEM_WIN32_H
#define SHARDMAP_SYSTEM_WIN32_H

#if !defined(_WIN64)
#error "shardmap needs a 64-bit Windows"
#endif

#include "atomics.h"
#include "contracts.h"

#if !defined(_WIN32_WINNT)
#define _WIN32_WINNT 0x0602 /* Windows 8, as CPython 3.11 */
#endif
#if !defined(WIN32_LEAN_AND_MEAN)
#define WIN32_LEAN_AND_MEAN
#endif
#if !defined(NOMINMAX)
#define NOMINMAX
#endif
#if !defined(NOSYSMETRICS)
#define NOSYSMETRICS /* their names begin with SM_, too */
#endif
#include <windows.h>

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

/* --- Mutexes --- */

typedef SRWLOCK sm_native_mutex;
static inline void sm_native_init(sm_native_mutex *mutex) { InitializeSRWLock(mutex); }
static inline void sm_native_destroy(sm_native_mutex *mutex) { (void)mutex; }
static inline int sm_native_try(sm_native_mutex *mutex) { return TryAcquireSRWLockExclusive(mutex) != 0; }
static inline void sm_native_lock(sm_native_mutex *mutex) { AcquireSRWLockExclusive(mutex); }
static inline void sm_native_unlock(sm_native_mutex *mutex) { ReleaseSRWLockExclusive(mutex); }

typedef DWORD sm_thread;
static inline sm_thread sm_this_thread(void) { return GetCurrentThreadId(); }
static inline int sm_is_same_thread(sm_thread a, sm_thread b) { return a == b; }

#include "mutex.h"

/* --- The clock, which never goes back --- */

/* Ticks, and how many of them are a second. */
static inline int64_t sm_ticks(int64_t *second)
{
    LARGE_INTEGER now, frequency;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&now);
    *second = frequency.QuadPart;
    return now.QuadPart;
}

/* The clock of sm_cond_wait_until(), in seconds. */
static double sm_now(void)
{
    int64_t second, ticks = sm_ticks(&second);
    return (double)ticks / (double)second;
}

/* Nanoseconds of a clock that never goes back. */
static inline int64_t sm_monotonic_ns(void)
{
    int64_t second, ticks = sm_ticks(&second);
    return ticks / second * 1000000000 + ticks % second * 1000000000 / second;
}

/* --- Conditions --- */

typedef CONDITION_VARIABLE sm_cond;

static void sm_cond_init(sm_cond *cond) { InitializeConditionVariable(cond); }
static inline void sm_cond_destroy(sm_cond *cond) { (void)cond; }
static inline void sm_cond_signal(sm_cond *cond) { WakeConditionVariable(cond); }

static inline void sm_wait_at_most(sm_cond *cond, sm_mutex *mutex, DWORD milliseconds)
{
    sm_note_released(mutex);
    (void)SleepConditionVariableSRW(cond, SM_NATIVE(mutex), milliseconds, 0);
    sm_note_held(mutex);
}

static inline void sm_cond_wait(sm_cond *cond, sm_mutex *mutex) { sm_wait_at_most(cond, mutex, INFINITE); }

#define SM_LONGEST_WAIT 86400.0 /* seconds; a wait may end for no reason */

/* Waits until woken, or until the clock says `until`. The system counts whole milliseconds, so round up. */
static void sm_cond_wait_until(sm_cond *cond, sm_mutex *mutex, double until)
{
    double left = until - sm_now();
    DWORD milliseconds = 0;
    if (left >= SM_LONGEST_WAIT)
        milliseconds = (DWORD)(SM_LONGEST_WAIT * 1e3);
    else if (left > 0)
        milliseconds = (DWORD)(left * 1e3) + 1;
    sm_wait_at_most(cond, mutex, milliseconds);
}

/* --- Letting others run --- */

static inline void sm_yield(void)
{
    if (!SwitchToThread()) /* no thread waits for this core */
        Sleep(0);
}

#if !defined(CREATE_WAITABLE_TIMER_HIGH_RESOLUTION)
#define CREATE_WAITABLE_TIMER_HIGH_RESOLUTION 2 /* Windows 10, version 1803 */
#endif

static inline void sm_nap(long microseconds) /* under a second */
{
    LARGE_INTEGER time;
    HANDLE timer = CreateWaitableTimerExW(NULL, NULL, CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, TIMER_ALL_ACCESS);
    time.QuadPart = -10 * (LONGLONG)microseconds; /* from now, in steps of 100 ns */
    if (timer != NULL && SetWaitableTimer(timer, &time, 0, NULL, NULL, FALSE))
        (void)WaitForSingleObject(timer, INFINITE);
    else
        Sleep((DWORD)((microseconds + 999) / 1000)); /* one of the system's ticks, which may take 16 ms */
    if (timer != NULL)
        CloseHandle(timer);
}

/* --- Thread ends and forks. 0, or an error. --- */

typedef DWORD sm_thread_key;

/* It is also called at the end of a fiber, perhaps in another thread than the one that set the value
 * (core/readers.h). */
#define SM_FIBRES_END 1

/* Registers `at_end`, which is called with the value at the end of each thread that has set one. */
static inline int sm_thread_key_create(sm_thread_key *key, void (*at_end)(void *))
{
    *key = FlsAlloc(at_end);
    return *key == FLS_OUT_OF_INDEXES;
}

static inline int sm_thread_key_set(sm_thread_key key, void *value) { return FlsSetValue(key, value) == 0; }

static inline int sm_at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
    (void)before;
    (void)in_parent;
    (void)in_child;
    return 0; /* there is none */
}

/* --- Memory --- */

/* Always use this pair of functions, because free() does not accept memory of _aligned_malloc(). */
static void *sm_allocate(size_t size, size_t alignment)
{
    return _aligned_malloc(size != 0 ? size : 1, alignment < 16 ? 16 : alignment);
}

static inline void sm_release(void *memory) { _aligned_free(memory); }

#define SM_LARGE_ALIGNMENT ((size_t)65536) /* of mapped memory */
#define SM_LARGE ((size_t)4 << 20)

/* Memory for tables, in whole cache lines. Large tables are mapped, so that freeing returns their memory to the
 * system at once. Windows' large pages need a privilege that programs usually do not have. */
static void *sm_allocate_table(size_t size)
{
    if (size < SM_LARGE)
        return sm_allocate(size, 64);
    return VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

static inline void sm_release_table(void *memory, size_t size)
{
    if (size < SM_LARGE)
        sm_release(memory);
    else
        VirtualFree(memory, 0, MEM_RELEASE);
}

#endif
