cdef class Partition:
    cdef SnapshotCore source
    cdef Py_ssize_t size
    cdef uint32_t table         # where it begins
    cdef uint32_t entry

cdef class PartitionIterator:
    cdef SnapshotCore source
    cdef Py_ssize_t remaining
    cdef uint32_t table
    cdef uint32_t entry
