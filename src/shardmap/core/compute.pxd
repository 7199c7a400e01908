cdef struct Computation:
    Position at
    KeyLock* held
    uint64_t grant
    uint64_t* sweep
    uint64_t same_sweep     # when the value was read
    FoundEntry found
