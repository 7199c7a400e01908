# What the core uses of the headers beside this directory.

cdef extern from "core/contracts.h" nogil:
    const bint SM_DEBUG
    void SM_REQUIRE(bint, const char*)
    int sm_mutexes_held
    bint sm_is_reading

cdef extern from "core/system.h" nogil:
    ctypedef struct sm_mutex:
        pass
    ctypedef struct sm_cond:
        pass
    void sm_mutex_init(sm_mutex*)
    void sm_mutex_destroy(sm_mutex*)
    bint SM_IS_HELD(sm_mutex*)
    bint sm_mutex_try(sm_mutex*)
    void sm_mutex_lock(sm_mutex*)
    void sm_mutex_unlock(sm_mutex*)
    void sm_cond_init(sm_cond*)
    void sm_cond_destroy(sm_cond*)
    void sm_cond_signal(sm_cond*)
    void sm_cond_wait(sm_cond*, sm_mutex*)
    void sm_cond_wait_until(sm_cond*, sm_mutex*, double)
    double sm_now()
    int64_t sm_monotonic_ns()
    void sm_nap(long microseconds)
    void sm_yield()
    void* sm_allocate(size_t size, size_t alignment) noexcept
    void free "sm_release"(void*) noexcept
    void* sm_allocate_table(size_t size) noexcept
    void sm_release_table(void*, size_t size) noexcept

cdef extern from "core/system.h":
    int sm_at_fork(void (*before)() noexcept, void (*in_parent)() noexcept, void (*in_child)() noexcept)

cdef extern from "core/atomics.h" nogil:
    uint64_t sm_load_u64(const uint64_t*)
    void sm_store_u64(uint64_t*, uint64_t)
    uint64_t sm_add_u64(uint64_t*, uint64_t)
    uint32_t sm_load_u32(const uint32_t*)
    void sm_store_u32(uint32_t*, uint32_t)
    void* sm_load_ptr(void**)
    void sm_store_ptr(void**, void*)
    void* sm_put_if_null(void**, void* mine)
    uint8_t sm_load_u8(const uint8_t*)
    void sm_store_u8(uint8_t*, uint8_t)
    uint32_t sm_load_u32_relaxed(const uint32_t*)
    void sm_store_u32_relaxed(uint32_t*, uint32_t)
    int64_t sm_sub_i64_relaxed(int64_t*, int64_t)
    int64_t sm_sub_i64_release(int64_t*, int64_t)
    bint sm_change_u8(uint8_t*, uint8_t before, uint8_t after)
    bint sm_add_up_to(int64_t*, int64_t, int64_t most)
    uint8_t sm_load_u8_relaxed(const uint8_t*)
    void sm_store_u8_relaxed(uint8_t*, uint8_t)
    int64_t sm_load_i64(const int64_t*)
    void sm_store_i64(int64_t*, int64_t)
    int64_t sm_load_i64_relaxed(const int64_t*)
    void sm_store_i64_relaxed(int64_t*, int64_t)
    void sm_fence_release()
    void sm_fence_full()
    void sm_fence_before_clock()
    void sm_fence_after_unlock()
    void sm_pause()
    bint sm_claim(unsigned long*, unsigned long) noexcept

cdef extern from "core/token.h" nogil:
    uint64_t sm_new_token()
    uint64_t sm_thread_token()

cdef extern from "core/sched_point.h" nogil:
    void sm_sched_point()
    void sm_require_unfreed_key(PyObject*)
    const bint sm_has_pauses

cdef extern from "core/hashing.h" nogil:
    void sm_hash_init(uint64_t)
    uint32_t sm_perturb_of(uint32_t)
    uint32_t sm_shard_of(uint64_t hash, unsigned int shard_bits)
    uint32_t sm_hash31_of(uint64_t hash, unsigned int shard_bits)
    uint32_t sm_mixed_of(uint64_t hash)
    uint32_t sm_shard_of_mixed(uint32_t mixed, unsigned int shard_bits)
    uint32_t sm_hash31_of_mixed(uint32_t mixed, unsigned int shard_bits)
    uint32_t sm_mixed_of_hash31(uint32_t hash31, unsigned int shard_bits)
    uint32_t sm_owner_of(uint64_t hash, uint32_t owners) noexcept

cdef extern from "core/plain.h" nogil:
    bint sm_is_plain_key(PyObject*)
    bint sm_has_plain_hash(PyObject*)
    Py_hash_t sm_plain_hash(PyObject*)
    int sm_compare(PyObject*, PyObject*)
    size_t sm_plain_size(PyObject*)
    void prefetch "SM_PREFETCH"(const void*)
    void prefetch_to_write "SM_PREFETCH_TO_WRITE"(const void*)
    bint HAS_GIL "SM_HAS_GIL"

cdef extern from "core/integers.h" nogil:
    ctypedef struct sm_element:
        bint is_signed "is_signed"
        bint is_bool "is_bool"
    ctypedef struct sm_integer_key:
        pass
    bint sm_has_format(const Py_buffer*, const char*)
    bint sm_element_of(const Py_buffer*, sm_element*)
    void sm_read_integers(const char*, Py_ssize_t stride, uint32_t count, sm_element, uint64_t* into)
    Py_hash_t sm_integer_hash(uint64_t, bint is_signed)
    bint sm_is_integer(PyObject*, uint64_t, bint is_signed)
    void sm_init_integer_key(sm_integer_key*)
    PyObject* sm_integer_as_key(sm_integer_key*, uint64_t, bint is_signed)

cdef extern from "core/integers.h":
    PyObject* new_integer "sm_new_integer"(uint64_t, sm_element) except NULL

cdef extern from "core/readers.h":
    ctypedef struct sm_reader:
        pass
    const bint SM_READERS_MEET_WRITERS
    bint sm_reads_unlocked
    bint sm_asymmetric
    void sm_readers_init() noexcept
    sm_reader* sm_read_lock() noexcept
    void sm_read_unlock(sm_reader*) noexcept
    void sm_wait_for_readers() noexcept
    void sm_reset_readers() noexcept

cdef extern from "core/counts.h":
    sm_reader* sm_own_reader() noexcept
    bint sm_count(sm_reader*, uint32_t number, int which) noexcept
    bint sm_make_room_to_count(uint32_t number) noexcept
    void sm_sum_counts(uint32_t number, uint64_t* hits, uint64_t* misses) noexcept
    PyObject* sm_get_innermost_load() noexcept
    void sm_set_innermost_load(PyObject*) noexcept
    void raise_mark "sm_raise_mark"(uint8_t*, uint8_t bit) noexcept nogil
    void lower_mark "sm_lower_mark"(uint8_t*, uint8_t bit) noexcept nogil

cdef extern from "core/stamp.h" nogil:
    void sm_stamp_init()
    uint64_t sm_stamp_now()
    uint64_t sm_stamp_reserve(uint64_t count)
    uint64_t sm_stamp_reserve_after(uint64_t count)
    void sm_stamp_pass(uint64_t stamp)
    bint sm_stamp_uses_clock()
    const char* sm_stamp_name()

cdef extern from "core/interpreter.h":
    object steal "SM_STEAL"(PyObject*)
    void sm_mark_shared(PyObject*, uint8_t* is_shared_between_threads) noexcept
    bint sm_is_foreign(PyObject*, uint8_t* is_shared_between_threads) noexcept
    bint sm_try_incref(PyObject*) noexcept
    void sm_allow_try_incref(PyObject*) noexcept
    const bint SM_TELLS_ONLY_REFERENCE
    bint sm_only_reference(PyObject*) noexcept
    bint sm_refers_to(PyObject* reference, PyObject*) noexcept
    void sm_recycle_tuple(PyObject*) noexcept
    Py_hash_t sm_str_hash(PyObject*) noexcept
    bint sm_small_int_hash(PyObject*, Py_hash_t*) noexcept
    PyObject* sm_lookup_special(PyObject*, PyObject* name) except? NULL
    void sm_mark_used_often(PyObject*, uint32_t*) noexcept
    PyObject* current_contextvars "SM_CURRENT_CONTEXT"() noexcept
    PyObject* sm_context_below(PyObject*) noexcept nogil
    void set_float "SM_SET_FLOAT"(PyObject*, double) noexcept

cdef extern from "core/atomicref.h" nogil:
    bint sm_byte_try(uint8_t*) noexcept
    void sm_byte_unlock(uint8_t*) noexcept

cdef extern from "core/atomicref.h":
    void sm_byte_lock(uint8_t*) noexcept
    PyObject* sm_try_get_ref(PyObject**) noexcept

cdef extern from "core/types.h":
    ctypedef struct PyMethodDef:
        pass
    ctypedef int (*traverseproc)(PyObject*, visitproc, void*)
    ctypedef int (*inquiry)(PyObject*)
    void sm_set_gc(PyTypeObject*, traverseproc, inquiry)
    ctypedef int (*initproc)(PyObject*, PyObject*, PyObject*) except -1
    void sm_set_clear(PyTypeObject*, inquiry)
    void sm_set_traverse(PyTypeObject*, traverseproc)
    void sm_set_init(PyTypeObject*, initproc)
    bint sm_is_unhashable(PyObject*) noexcept
    bint sm_iterates_as(PyObject*, PyTypeObject*) noexcept
    bint sm_iterates_like(PyObject*, PyTypeObject*) noexcept
    bint sm_is_immutable_type(PyTypeObject*) noexcept
    void sm_no_sequence(PyTypeObject*)
    void sm_set_vectorcall(PyTypeObject*, size_t offset)
    void sm_set_name(PyTypeObject*, const char*)
    int sm_take_place(PyTypeObject*, PyMethodDef*, const char*, void*) except -1
    int sm_own_method(PyObject*, PyMethodDef*) except -1
    int sm_own_methods(PyObject*) except -1
