cdef enum Holding:
    FREE = 0
    ENTERING = 1
    HELD = 2

cdef class LockedMany:
    cdef object __weakref__
    cdef dict entries           # in the order asked
    cdef list order             # in the order of locking, locks of hashes among them
    cdef object timeout
    cdef double seconds
    cdef Holding state
