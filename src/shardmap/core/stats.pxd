cdef struct ShardState:
    uint64_t size
    uint64_t capacity
    uint64_t contended
    uint64_t copies
    uint64_t bytes
