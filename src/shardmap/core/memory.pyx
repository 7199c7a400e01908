# Table memory. Raw malloc: it is called under a shard's mutex, where nothing of Python may run (PyMem_*
# calls back into tracemalloc, which takes the GIL). Tests make any chosen allocation fail.

cdef int64_t allocations_until_failure = 0      # 0: none is to fail


cdef inline bint is_to_fail() noexcept nogil:
    return (sm_load_i64_relaxed(&allocations_until_failure) != 0
            and sm_sub_i64_relaxed(&allocations_until_failure, 1) == 0)


cdef inline void* allocate(size_t size, size_t alignment) noexcept nogil:
    return NULL if is_to_fail() else sm_allocate(size, alignment)


cdef inline void* allocate_table(size_t size) noexcept nogil:
    """For sm_release_table(), with the same size."""
    return NULL if is_to_fail() else sm_allocate_table(size)


# --- tracemalloc ---
#
# A block is reported by the thread that is about to publish_locked it, attached, and so perhaps under a shard's mutex:
# what tracemalloc does then runs no Python code and waits for no more than a lock of its own, whose holders wait for
# nothing.

_TRACE_DOMAIN = TRACE_DOMAIN


cdef inline void trace_memory(void* memory, size_t size) noexcept:
    PyTraceMalloc_Track(TRACE_DOMAIN, <uintptr_t>memory, size)


cdef inline void untrace_memory(void* memory) noexcept:
    """Before it is freed, attached."""
    PyTraceMalloc_Untrack(TRACE_DOMAIN, <uintptr_t>memory)


def _fail_allocation(int64_t nth, /):
    """For tests: let the nth allocation of table memory from now on fail (1 is the next; 0: none)."""
    sm_store_i64_relaxed(&allocations_until_failure, nth)
