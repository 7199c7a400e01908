# All tables of a map at one point in time.
cdef struct SharedTables:
    PyObject** tables       # `count` references, each with a share
    uint32_t count
    uint32_t shard_bits
    Py_ssize_t live
