# Table memory. Raw malloc: it is called under a shard's mutex, where nothing of Python may run (PyMem_*
# calls back into tracemalloc, which takes the GIL). Tests make any chosen allocation fail.


cdef extern from "core/system.h" nogil:
    void* sm_allocate(size_t size, size_t alignment) noexcept
    void free "sm_release"(void*) noexcept

cdef int64_t allocations_until_failure = 0      # 0: none is to fail

cdef inline void* allocate(size_t size, size_t alignment) noexcept nogil:
    if sm_load_i64_relaxed(&allocations_until_failure) != 0:
        if sm_sub_i64_relaxed(&allocations_until_failure, 1) == 0:
            return NULL
    return sm_allocate(size, alignment)


def _fail_allocation(int64_t nth, /):
    """For tests: let the nth allocation of table memory from now on fail (1 is the next; 0: none)."""
    sm_store_i64_relaxed(&allocations_until_failure, nth)
