# Tables of a map that nobody knows yet, and what is written to them.
cdef class Union:
    cdef PyObject** tables      # owned
    cdef uint32_t count
    cdef uint32_t shard_bits
    cdef uint64_t stamp         # of the next new entry

# An entry that is soon to be written.
cdef struct Ahead:
    Entry* entry
    PyObject* table
    uint32_t hash31
