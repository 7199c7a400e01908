/* Atomic loads and stores, which Cython has no words for. GCC and Clang builtins. */
#ifndef SHARDMAP_ATOMICS_H
#define SHARDMAP_ATOMICS_H

#include <stdint.h>

static inline uint64_t sm_load_u64(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void sm_store_u64(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline uint64_t sm_add_u64(uint64_t *p, uint64_t v) { return __atomic_add_fetch(p, v, __ATOMIC_ACQ_REL); }
static inline uint32_t sm_load_u32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void sm_store_u32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline void *sm_load_ptr(void *const *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void sm_store_ptr(void **p, void *v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline void sm_store_u8(uint8_t *p, uint8_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline uint8_t sm_load_u8(const uint8_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline uint32_t sm_load_u32_relaxed(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline void sm_store_u32_relaxed(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline int64_t sm_sub_i64_relaxed(int64_t *p, int64_t v) { return __atomic_sub_fetch(p, v, __ATOMIC_RELAXED); }
static inline uint8_t sm_load_u8_relaxed(const uint8_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline void sm_store_u8_relaxed(uint8_t *p, uint8_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline int64_t sm_load_i64(const int64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void sm_store_i64(int64_t *p, int64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline int64_t sm_load_i64_relaxed(const int64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline void sm_store_i64_relaxed(int64_t *p, int64_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }

/* Adds, if the sum is not more than `most`. */
static inline int sm_add_up_to(int64_t *p, int64_t v, int64_t most)
{
    int64_t before = __atomic_load_n(p, __ATOMIC_RELAXED);
    do {
        if (before > most - v)
            return 0;
    } while (!__atomic_compare_exchange_n(p, &before, before + v, 1, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return 1;
}

/* From one value to another: whether this thread did it. */
static inline int sm_change_u8(uint8_t *p, uint8_t from, uint8_t to)
{
    return __atomic_compare_exchange_n(p, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* Puts `mine` where there is NULL; what is there then. */
static inline void *sm_put_if_null(void **p, void *mine)
{
    void *before = NULL;
    return __atomic_compare_exchange_n(p, &before, mine, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) ? mine : before;
}

/* Keeps a store before it before the loads after it, the time-stamp counter's among them. */
static inline void sm_fence_full(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/* The same after a mutex was released, which on x86 is a locked instruction and so a full barrier itself. */
static inline void sm_fence_after_unlock(void)
{
#if !defined(__x86_64__)
    sm_fence_full();
#endif
}

/* Keeps the stores before it before the stores after it. */
static inline void sm_fence_release(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }

/* One turn of a spin loop: tells the core that it waits. */
static inline void sm_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#endif
}

/* An unclaimed reader becomes this thread's. */
static inline int sm_claim(unsigned long *owner, unsigned long me)
{
    unsigned long nobody = 0;
    return __atomic_compare_exchange_n(owner, &nobody, me, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

#ifdef SHARDMAP_EXPLORE
#include "explored_calls.h"
#endif

#endif
