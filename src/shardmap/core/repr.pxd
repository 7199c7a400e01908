# Text that grows: ASCII in a buffer, and what came before it as pieces.
cdef class Text:
    cdef list pieces
    cdef char* buffer
    cdef Py_ssize_t size
    cdef Py_ssize_t room
