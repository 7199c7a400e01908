cdef class SnapshotIterator:
    cdef SnapshotCore snapshot  # None once exhausted
    cdef Merge* merge           # NULL: nothing to begin with
    cdef PyObject* item         # owned; the tuple to use again, or NULL
    cdef int what               # KEYS, VALUES or ITEMS
    cdef uint8_t lock           # of one byte (atomicref.h): threads may share an iterator
    cdef uint8_t kept           # the caller had kept the tuple: another one was needed
    cdef Py_ssize_t remaining
