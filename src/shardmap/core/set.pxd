# A set that threads share, and one point in time of it. Essay in core/set.pyx.
cdef class SetCore:
    cdef object __weakref__
    cdef MapCore entries
    cdef uint8_t is_shared_between_threads

cdef class SetSnapshotCore:
    cdef object __weakref__
    cdef SnapshotCore entries
