# Values as they stand in an entry: a pointer to an object, or, with the lowest bit set, an integer of 63
# bits itself. Only add() and its like put integers there ("unboxed"): a counter then needs no object, no
# allocation and no reference counting under the mutex, which is what makes hot counters fast. Reading one
# makes an int; not under a mutex, because that allocates.

cdef extern from "Python.h":
    PyObject* box_long_long "PyLong_FromLongLong"(long long) except NULL
    long long long_long_of "PyLong_AsLongLongAndOverflow"(PyObject*, int*) noexcept
    bint is_exact_int "PyLong_CheckExact"(PyObject*) noexcept
    bint is_exact_float "PyFloat_CheckExact"(PyObject*) noexcept
    double float_value "PyFloat_AS_DOUBLE"(PyObject*) noexcept


cdef extern from *:
    """
    #define SM_SET_FLOAT(f, value) (((PyFloatObject *)(f))->ob_fval = (value))
    """
    void set_float "SM_SET_FLOAT"(PyObject*, double) noexcept

cdef extern from "Python.h":
    PyObject* new_float "PyFloat_FromDouble"(double) except NULL


cdef inline bint is_number(PyObject* raw) noexcept nogil:
    return <uintptr_t>raw & 1


cdef inline int64_t number_of(PyObject* raw) noexcept nogil:
    return <int64_t><intptr_t>raw >> 1


cdef inline PyObject* raw_of(int64_t number) noexcept nogil:
    return <PyObject*>(<uintptr_t>(<uint64_t>number << 1) | 1)


cdef inline bint fits(int64_t number) noexcept nogil:
    """Whether 63 bits hold it (on a 64-bit machine; elsewhere nothing is unboxed)."""
    return sizeof(void*) == 8 and number_of(raw_of(number)) == number


cdef inline void hold(PyObject* raw) noexcept:
    """One more reference, if it is an object."""
    if not is_number(raw):
        incref(raw)


cdef inline PyObject* new_reference(PyObject* o) noexcept:
    incref(o)
    return o


cdef inline void let_go(PyObject* raw) noexcept:
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
