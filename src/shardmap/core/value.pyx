# Values as they stand in an entry: a pointer to an object, or, with the lowest bit set, an integer of 63
# bits itself. Only add() and its like put integers there ("unboxed"): a counter then needs no object, no
# allocation and no reference counting under the mutex, which is what makes hot counters fast. Reading one
# makes an int; not under a mutex, because that allocates.

cdef PyObject* raise_memory_error() except NULL:
    raise MemoryError()


cdef inline void value_decref_if(PyObject* raw) noexcept:
    if raw != NULL:
        value_decref(raw)


cdef inline void put_value(Block* block, uint32_t entry, PyObject* value) noexcept nogil:
    """Overwrites; owns the reference from now on, and the caller the one to the old value. Release: with the object's
    own contents, and before the old one's reference goes."""
    sm_store_ptr(<void**>&block.entries[entry].value, value)


cdef inline PyObject* boxed_reference(PyObject* raw) except NULL:
    """The value as an object, a new reference; the entry keeps its own."""
    value_incref(raw)
    return boxed(raw)


cdef inline object boxed_copy(PyObject* raw):
    """The same for Python code."""
    return steal(boxed_reference(raw))


cdef inline PyObject* try_boxed_copy(PyObject* raw) noexcept:
    """The same; NULL with an exception set if there is no memory. Making an int neither detaches nor runs code (nor
    does raising MemoryError), so it may be called where nothing may stop."""
    if is_number(raw):
        return try_box_long_long(number_of(raw))
    return new_reference(raw)


cdef int raise_what_is_set() except -1:
    """The exception that C code has set, once there is nothing left to undo."""
    return -1


cdef inline bint is_number(PyObject* raw) noexcept nogil:
    return <uintptr_t>raw & 1


cdef inline int64_t number_of(PyObject* raw) noexcept nogil:
    return <int64_t><intptr_t>raw >> 1


cdef inline PyObject* raw_of(int64_t number) noexcept nogil:
    return <PyObject*>(<uintptr_t>(<uint64_t>number << 1) | 1)


cdef inline bint fits(int64_t number) noexcept nogil:
    """Whether 63 bits hold it (on a 64-bit machine; elsewhere nothing is unboxed)."""
    return sizeof(void*) == 8 and number_of(raw_of(number)) == number


cdef inline void value_incref(PyObject* raw) noexcept:
    """One more reference, if it is an object."""
    if not is_number(raw):
        incref(raw)


cdef inline void value_decref(PyObject* raw) noexcept:
    """One reference less; may run any code. Not under a mutex."""
    if not is_number(raw):
        decref(raw)


cdef inline PyObject* boxed(PyObject* raw) except NULL:
    """The value as an object: takes over a reference and gives one."""
    return box_long_long(number_of(raw)) if is_number(raw) else raw


cdef inline bint as_number(PyObject* raw, int64_t* number) noexcept:
    """Whether a stored value is an integer that fits; runs no Python code and allocates nothing."""
    cdef int overflow = 0
    if is_number(raw):
        number[0] = number_of(raw)
        return True
    if is_exact_int(raw):
        number[0] = long_long_of(raw, &overflow)
        return overflow == 0 and fits(number[0])
    return False
