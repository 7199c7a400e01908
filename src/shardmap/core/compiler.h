/* What compilers call differently: GCC and Clang in one way, Microsoft's in another. */
#ifndef SHARDMAP_COMPILER_H
#define SHARDMAP_COMPILER_H

#if defined(_MSC_VER) && !defined(__clang__)

#define SM_INLINE static __forceinline
#define SM_NOINLINE __declspec(noinline)
#define SM_ALIGNED(bytes) __declspec(align(bytes))
#define SM_MAY_ALIAS /* it supposes nothing of types */
#define SM_LIKELY(condition) (condition)
#define SM_UNLIKELY(condition) (condition)
#include <intrin.h>
#if defined(_M_X64)
#define SM_PREFETCH(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)
#else
#define SM_PREFETCH(p) __prefetch((const void *)(p))
#endif
#define SM_PREFETCH_TO_WRITE(p) SM_PREFETCH(p)

#else

/* As `cdef inline` (setup.py): for what every look-up does. */
#define SM_INLINE static inline __attribute__((always_inline))
#define SM_NOINLINE __attribute__((noinline))
#define SM_ALIGNED(bytes) __attribute__((aligned(bytes)))
#define SM_MAY_ALIAS __attribute__((may_alias))
#define SM_LIKELY(condition) __builtin_expect((condition), 1)
#define SM_UNLIKELY(condition) __builtin_expect((condition), 0)
#define SM_PREFETCH(p) __builtin_prefetch(p)
#define SM_PREFETCH_TO_WRITE(p) __builtin_prefetch((p), 1)

#endif

/* -DSHARDMAP_AS_ON_MACOS: what macOS lacks is not used elsewhere either, so that its paths are tested (make macos). */
#if defined(__APPLE__) || defined(SHARDMAP_AS_ON_MACOS)
#define SM_AS_ON_MACOS 1
#else
#define SM_AS_ON_MACOS 0
#endif

/* Variables of each thread: static SM_THREAD_LOCAL type name SM_TLS_MODEL */
#if defined(_MSC_VER)
#define SM_THREAD_LOCAL __declspec(thread)
#else
#define SM_THREAD_LOCAL __thread
#endif

#if defined(__linux__)
#include <features.h> /* __GLIBC__ */
#endif
#if defined(__GLIBC__)
#define SM_TLS_MODEL __attribute__((tls_model("initial-exec")))
#else /* musl loads no module with such variables at run time */
#define SM_TLS_MODEL
#endif

#endif
