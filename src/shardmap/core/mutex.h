/* The mutex of shards, which uses the mutex of the system (system_posix.h, system_win32.h). A debug build notes which
 * thread holds it. No function here fails, because these are plain mutexes and the core uses them correctly. */
#ifndef SHARDMAP_MUTEX_H
#define SHARDMAP_MUTEX_H

#if SM_DEBUG

typedef struct {
    sm_native_mutex native;
    sm_thread owner;
    uint8_t held;
} sm_mutex;

#define SM_NATIVE(mutex) (&(mutex)->native)
#define SM_IS_HELD(mutex) (sm_load_u8_relaxed(&(mutex)->held) && sm_is_same_thread((mutex)->owner, sm_this_thread()))

static inline void sm_note_held(sm_mutex *mutex)
{
    mutex->owner = sm_this_thread();
    sm_store_u8_relaxed(&mutex->held, 1);
    sm_mutexes_held++;
}

static inline void sm_note_released(sm_mutex *mutex)
{
    SM_REQUIRE(SM_IS_HELD(mutex), "a mutex is released by a thread that does not hold it");
    sm_store_u8_relaxed(&mutex->held, 0);
    sm_mutexes_held--;
}

#else

typedef sm_native_mutex sm_mutex;

#define SM_NATIVE(mutex) (mutex)
#define SM_IS_HELD(mutex) 1

static inline void sm_note_held(sm_mutex *mutex) { (void)mutex; }
static inline void sm_note_released(sm_mutex *mutex) { (void)mutex; }

#endif

static inline void sm_mutex_init(sm_mutex *mutex)
{
#if SM_DEBUG
    mutex->held = 0;
#endif
    sm_native_init(SM_NATIVE(mutex));
}

static inline void sm_mutex_destroy(sm_mutex *mutex) { sm_native_destroy(SM_NATIVE(mutex)); }

static inline int sm_mutex_try(sm_mutex *mutex)
{
    int got = sm_native_try(SM_NATIVE(mutex));
    if (got)
        sm_note_held(mutex);
    return got;
}

static inline void sm_mutex_lock(sm_mutex *mutex)
{
    SM_REQUIRE(!sm_is_reading, "a reader waits for a mutex");
    sm_native_lock(SM_NATIVE(mutex));
    sm_note_held(mutex);
}

static inline void sm_mutex_unlock(sm_mutex *mutex)
{
    sm_note_released(mutex);
    sm_native_unlock(SM_NATIVE(mutex));
}

#endif
