/* Atomic loads and stores, for which Cython has no syntax. They use builtins of GCC and Clang, or Microsoft's
 * intrinsics (atomics_msvc.h; -DSM_USE_MSVC_INTRINSICS selects them for tests, if another compiler has them).
 *
 * Other threads see two accesses of a thread in order, also on a weakly ordered machine, in these cases.
 * (docs/memory-safety.md, "Order of memory accesses", lists the pairs for which this matters.)
 *
 * - A release store, sm_store_..., stays after all accesses before it. Accesses after it may become visible earlier,
 *   except release stores.
 * - An acquire load, sm_load_..., stays before all accesses after it. Accesses before it may execute later, except
 *   acquire loads. So the second look of a reader without a lock must come after acquire loads only.
 * - A store stays before a load of another variable only if there is a full fence between them.
 *
 * ..._relaxed functions are for counts and hints on which no other access depends, and next to a fence. */
#ifndef SHARDMAP_ATOMICS_H
#define SHARDMAP_ATOMICS_H

#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

typedef uint32_t SM_MAY_ALIAS sm_word; /* of an object of another type */

#if (defined(_MSC_VER) && !defined(__clang__)) || defined(SM_USE_MSVC_INTRINSICS)
#include "atomics_msvc.h"
#else

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

static inline uint32_t sm_load_word_relaxed(const sm_word *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline uint64_t sm_load_u64_relaxed(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline void sm_store_u64_relaxed(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline uint64_t sm_add_u64_relaxed(uint64_t *p, uint64_t v)
{
    return __atomic_add_fetch(p, v, __ATOMIC_RELAXED);
}
static inline void *sm_load_ptr_relaxed(void *const *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline void *sm_load_ptr_seq_cst(void *const *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
static inline uint32_t sm_load_u32_seq_cst(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
static inline void sm_store_u32_seq_cst(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }
static inline void sm_store_u8_seq_cst(uint8_t *p, uint8_t v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }
static inline uint8_t sm_exchange_u8_acquire(uint8_t *p, uint8_t v)
{
    return __atomic_exchange_n(p, v, __ATOMIC_ACQUIRE);
}
static inline void sm_or_u8_relaxed(uint8_t *p, uint8_t bits) { __atomic_fetch_or(p, bits, __ATOMIC_RELAXED); }
static inline void sm_and_u8_relaxed(uint8_t *p, uint8_t bits) { __atomic_fetch_and(p, bits, __ATOMIC_RELAXED); }

/* From one value to another: whether this thread did it. */
static inline int sm_change_ptr_seq_cst(void **p, void *from, void *to)
{
    return __atomic_compare_exchange_n(p, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}
static inline int sm_change_u32(uint32_t *p, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(p, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* A thread that finds room because of this subtraction also sees everything that was done before it. */
static inline int64_t sm_sub_i64_release(int64_t *p, int64_t v) { return __atomic_sub_fetch(p, v, __ATOMIC_RELEASE); }

/* Adds, if the sum is not more than `most`. Acquire: no thread sees the new entry before the removal that made room. */
static inline int sm_add_up_to(int64_t *p, int64_t v, int64_t most)
{
    int64_t before = __atomic_load_n(p, __ATOMIC_RELAXED);
    do {
        if (before > most - v)
            return 0;
    } while (!__atomic_compare_exchange_n(p, &before, before + v, 1, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return 1;
}

/* Changes one value to another. Whether this thread did it. Acquire and release, also for data that belongs to it. */
static inline int sm_change_u8(uint8_t *p, uint8_t from, uint8_t to)
{
    return __atomic_compare_exchange_n(p, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* Stores `mine` if there is NULL; returns what is there then. Release for `mine`; acquire for another thread's
 * object. */
static inline void *sm_put_if_null(void **p, void *mine)
{
    void *before = NULL;
    return __atomic_compare_exchange_n(p, &before, mine, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) ? mine : before;
}

/* Keeps a store before it before the loads after it. */
static inline void sm_fence_full(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/* Keeps the stores before it before the stores after it. (A release store orders nothing that comes after it.) */
static inline void sm_fence_release(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }

/* Keeps the compiler from moving loads and stores past it. */
static inline void sm_fence_compiler(void) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

/* One turn of a spin loop: tells the core that it waits. */
static inline void sm_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#endif
}

/* Makes an unclaimed reader this thread's. Whether it succeeded. */
static inline int sm_claim(unsigned long *owner, unsigned long me)
{
    unsigned long nobody = 0;
    return __atomic_compare_exchange_n(owner, &nobody, me, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

#ifdef SHARDMAP_EXPLORE
#include "explored_calls.h"
#endif

#endif

/* sm_fence_full() before a processor's clock is read (stamp.h). On x86-64 the fence ends when the stores are
 * visible, and the clock's own fence waits for that. On arm64 a DMB does not order reads of a system register. A
 * DSB ends when the stores are visible. */
static inline void sm_fence_before_clock(void)
{
#if defined(__aarch64__)
    __asm__ __volatile__("dsb ish" ::: "memory");
#else
    sm_fence_full();
#endif
}

/* sm_fence_full() after a lock was released. On x86 the release is a locked instruction, which is a full barrier. */
static inline void sm_fence_after_unlock(void)
{
#if !defined(__x86_64__) || defined(_WIN32) /* Windows does not promise that */
    sm_fence_full();
#endif
}

#endif
