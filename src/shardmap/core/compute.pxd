cdef struct Computation:
    Access at
    KeyLock* held
    uint64_t grant
    uint64_t* whole_map_seq
    uint64_t seq_at_read     # when the value was read
    FoundEntry found
