/* atomics.h with Microsoft's intrinsics, for x86-64 and arm64.
 *
 * A volatile access is a single access. Barriers around it keep the order. x86-64 itself moves only loads before
 * earlier stores, so there it is enough to keep the compiler from moving accesses. On arm64 a barrier follows each
 * acquire load and precedes each release store. This is stronger than ldar and stlr, which some versions of the
 * compiler do not have. _Interlocked... functions are full barriers on both. */
#ifndef SHARDMAP_ATOMICS_MSVC_H
#define SHARDMAP_ATOMICS_MSVC_H

#include <intrin.h>

#if defined(__MINGW32__) /* the compiler of the tests lacks two of the intrinsics */
#define _InterlockedExchange8(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define _InterlockedCompareExchange8(p, to, from) __sync_val_compare_and_swap((p), (from), (to))
#endif

/* Accesses before it stay before accesses after it. On x86-64, except loads after stores. */
static inline void sm_keep_order(void)
{
    _ReadWriteBarrier();
#if defined(_M_ARM64) || defined(__aarch64__)
    __dmb(11); /* all accesses, among the cores of the system */
    _ReadWriteBarrier();
#elif !defined(_M_X64) && !defined(__x86_64__)
#error "shardmap needs a 64-bit Windows"
#endif
}

/* --- Fences --- */

/* Keeps the compiler from moving loads and stores past it. */
static inline void sm_fence_compiler(void) { _ReadWriteBarrier(); }

/* Keeps the stores before it before the stores after it. */
static inline void sm_fence_release(void) { sm_keep_order(); }

/* Keeps a store before it before the loads after it. */
static inline void sm_fence_full(void)
{
#if defined(_M_X64) || defined(__x86_64__)
    _ReadWriteBarrier();
    _mm_mfence();
#endif
    sm_keep_order();
}

/* One turn of a spin loop: tells the core that it waits. */
static inline void sm_pause(void)
{
#if defined(_M_X64) || defined(__x86_64__)
    _mm_pause();
#else
    __isb(15);
#endif
}

/* --- Loads and stores --- */

#define SM_ACCESSES(name, type) \
    static inline type sm_load_##name##_relaxed(const type *p) { return *(const volatile type *)p; } \
    static inline void sm_store_##name##_relaxed(type *p, type v) { *(volatile type *)p = v; } \
    static inline type sm_load_##name(const type *p) \
    { \
        type v = *(const volatile type *)p; \
        sm_keep_order(); \
        return v; \
    } \
    static inline void sm_store_##name(type *p, type v) \
    { \
        sm_keep_order(); \
        *(volatile type *)p = v; \
    } \
    static inline type sm_load_##name##_seq_cst(const type *p) \
    { \
        sm_fence_full(); \
        return sm_load_##name(p); \
    } \
    static inline void sm_store_##name##_seq_cst(type *p, type v) \
    { \
        sm_store_##name(p, v); \
        sm_fence_full(); \
    }

SM_ACCESSES(u8, uint8_t)
SM_ACCESSES(u32, uint32_t)
SM_ACCESSES(u64, uint64_t)
SM_ACCESSES(i64, int64_t)

static inline uint32_t sm_load_word_relaxed(const sm_word *p) { return *(const volatile sm_word *)p; }

static inline void *sm_load_ptr_relaxed(void *const *p) { return *(void *const volatile *)p; }

static inline void *sm_load_ptr(void *const *p)
{
    void *v = *(void *const volatile *)p;
    sm_keep_order();
    return v;
}

static inline void sm_store_ptr(void **p, void *v)
{
    sm_keep_order();
    *(void *volatile *)p = v;
}

static inline void *sm_load_ptr_seq_cst(void *const *p)
{
    sm_fence_full();
    return sm_load_ptr(p);
}

/* --- Read, change and write. All in the strictest order, whatever the name asks for. --- */

static inline uint64_t sm_add_u64(uint64_t *p, uint64_t v)
{
    return (uint64_t)_InterlockedExchangeAdd64((volatile __int64 *)p, (__int64)v) + v;
}

static inline uint64_t sm_add_u64_relaxed(uint64_t *p, uint64_t v) { return sm_add_u64(p, v); }
static inline int64_t sm_sub_i64_relaxed(int64_t *p, int64_t v)
{
    return (int64_t)sm_add_u64((uint64_t *)p, 0 - (uint64_t)v);
}

static inline int64_t sm_sub_i64_release(int64_t *p, int64_t v) { return sm_sub_i64_relaxed(p, v); }

static inline uint8_t sm_exchange_u8_acquire(uint8_t *p, uint8_t v)
{
    return (uint8_t)_InterlockedExchange8((volatile char *)p, (char)v);
}

static inline void sm_or_u8_relaxed(uint8_t *p, uint8_t bits) { _InterlockedOr8((volatile char *)p, (char)bits); }
static inline void sm_and_u8_relaxed(uint8_t *p, uint8_t bits) { _InterlockedAnd8((volatile char *)p, (char)bits); }

/* From one value to another: whether this thread did it. */
static inline int sm_change_ptr_seq_cst(void **p, void *from, void *to)
{
    return _InterlockedCompareExchangePointer((void *volatile *)p, to, from) == from;
}

static inline int sm_change_u8(uint8_t *p, uint8_t from, uint8_t to)
{
    return (uint8_t)_InterlockedCompareExchange8((volatile char *)p, (char)to, (char)from) == from;
}

static inline int sm_change_u32(uint32_t *p, uint32_t from, uint32_t to)
{
    return (uint32_t)_InterlockedCompareExchange((volatile long *)p, (long)to, (long)from) == from;
}

/* Adds, if the sum is not more than `most`. */
static inline int sm_add_up_to(int64_t *p, int64_t v, int64_t most)
{
    int64_t before = sm_load_i64_relaxed(p), found;
    for (;;) {
        if (before > most - v)
            return 0;
        found = _InterlockedCompareExchange64((volatile __int64 *)p, before + v, before);
        if (found == before)
            return 1;
        before = found;
    }
}

/* Puts `mine` where there is NULL; what is there then. */
static inline void *sm_put_if_null(void **p, void *mine)
{
    void *before = _InterlockedCompareExchangePointer((void *volatile *)p, mine, NULL);
    return before == NULL ? mine : before;
}

/* An unclaimed reader becomes this thread's. */
static inline int sm_claim(unsigned long *owner, unsigned long me)
{
    return sm_change_u32((uint32_t *)owner, 0, (uint32_t)me); /* a long has 32 bits here */
}

#endif
