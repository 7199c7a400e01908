# What was removed while threads may have been looking at it without the mutex (core/readers.h): plain keys, and
# blocks (lowest bit set). Let go together when it is full.
cdef struct Limbo:
    uint32_t count
    size_t bytes
    void* items[126]

# What unlock_and_reclaim() has to wait for before the caller frees what it took out of the table.
cdef enum GracePeriod:
    NO_GRACE_PERIOD = 0
    GRACE_PERIOD_IF_SHARED = 1              # unless one thread only has used the map so far
    NEEDS_GRACE_PERIOD = 2                # wait for those who read
