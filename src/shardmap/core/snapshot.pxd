cdef class SnapshotCore:
    cdef object __weakref__
    cdef object origin          # None; or what keeps the tables, which are then that one's (core/eventual.pyx)
    cdef PyObject** tables      # table_count owned references, each with a share
    cdef uint32_t table_count
    cdef uint32_t shard_bits
    cdef bint chosen_shards
    cdef uint32_t foreign_uses  # by threads that did not make it, until they are many
    cdef Py_ssize_t live

cdef enum:
    KEYS = 0
    VALUES = 1
    ITEMS = 2
