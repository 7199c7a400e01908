cdef class SnapshotIterator:
    cdef SnapshotCore snapshot  # None once exhausted; or of a map
    cdef Merge* merge           # NULL: nothing to begin with
    cdef Pin* pins              # of a map's tables
    cdef uint32_t pinned        # how many of them are set
    cdef PyObject* item         # owned; the tuple to use again, or NULL
    cdef int what               # KEYS, VALUES or ITEMS
    cdef void* owner            # the reader (readers.h) of the thread that made it; NULL if another thread took a turn
    cdef uint8_t lock           # of one byte (atomicref.h): for turns of all others
    cdef uint8_t kept           # the caller had kept the tuple: another one was needed
    cdef Py_ssize_t remaining
    # For a single table nothing else is allocated.
    cdef Merge own_merge
    cdef Cursor own_cursor
    cdef Standing own_standing
    cdef Pin own_pin
