# The keys of one call that are integers in memory (core/integer_array.pyx).
cdef class IntegerArray:
    cdef Py_buffer view         # held until the object is freed
    cdef sm_element element     # how each is stored
    cdef Py_ssize_t size        # elements
    cdef Py_ssize_t stride      # bytes from one to the next; perhaps negative, or 0

cdef enum OtherElements:
    RAISE_TYPE_ERROR = 0        # by calls that dict does not have
    ITERATE = 1                 # by those that dict, set or Counter has, too
