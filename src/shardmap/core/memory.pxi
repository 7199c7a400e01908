# Table memory. Raw malloc: it is called under a shard's mutex, where nothing of Python may run (PyMem_*
# calls back into tracemalloc, which takes the GIL). Tests make any chosen allocation fail.

#
# Large tables ask for huge pages where the system gives them to who asks (Linux: "madvise", as numpy does for its
# arrays): a look-up at a random place of a large table else costs a walk through page tables for each of its lines,
# and filling one a page fault for every 4 KiB.

from libc.stdlib cimport free, malloc

cdef extern from *:
    """
    #include <stdlib.h>
    #include <sys/mman.h>
    #define SM_HUGE_PAGE ((size_t)2 << 20)      /* x86-64, and arm64 with small pages of 4 KiB */
    static void *sm_allocate(size_t size, size_t alignment)
    {
        void *memory = NULL;
        int large = size >= 2 * SM_HUGE_PAGE;
        if (posix_memalign(&memory, large ? SM_HUGE_PAGE : alignment, size) != 0)
            return NULL;
    #if defined(MADV_HUGEPAGE)
        if (large)
            (void)madvise(memory, size & ~(SM_HUGE_PAGE - 1), MADV_HUGEPAGE);   /* refused: as well without */
    #endif
        return memory;
    }
    """
    void* sm_allocate(size_t size, size_t alignment) noexcept nogil

cdef int64_t allocations_until_failure = 0      # 0: none is to fail

cdef inline void* allocate(size_t size, size_t alignment) noexcept nogil:
    if sm_load_i64_relaxed(&allocations_until_failure) != 0:
        if sm_sub_i64_relaxed(&allocations_until_failure, 1) == 0:
            return NULL
    return sm_allocate(size, alignment)


def _fail_allocation(int64_t nth, /):
    """For tests: let the nth allocation of table memory from now on fail (1 is the next; 0: none)."""
    sm_store_i64_relaxed(&allocations_until_failure, nth)
