/* Keywords that differ between GCC or Clang and Microsoft's compiler. */
#ifndef SHARDMAP_COMPILER_H
#define SHARDMAP_COMPILER_H

#if defined(_MSC_VER) && !defined(__clang__)

#define SM_INLINE static __forceinline
#define SM_NOINLINE __declspec(noinline)
#define SM_ALIGNED(bytes) __declspec(align(bytes))
#define SM_MAY_ALIAS /* this compiler does not optimize by types (no strict aliasing) */
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

/* Always inlined, as `cdef inline` is (setup.py). For code of every look-up. */
#define SM_INLINE static inline __attribute__((always_inline))
#define SM_NOINLINE __attribute__((noinline))
#define SM_ALIGNED(bytes) __attribute__((aligned(bytes)))
#define SM_MAY_ALIAS __attribute__((may_alias))
#define SM_LIKELY(condition) __builtin_expect((condition), 1)
#define SM_UNLIKELY(condition) __builtin_expect((condition), 0)
#define SM_PREFETCH(p) __builtin_prefetch(p)
#define SM_PREFETCH_TO_WRITE(p) __builtin_prefetch((p), 1)

#endif

/* -DSHARDMAP_AS_ON_MACOS: do not use what macOS lacks, so that other systems test macOS's code (make macos). */
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
