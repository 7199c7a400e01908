# What was removed while threads may have been looking at it without the mutex (core/readers.h): plain keys, and
# blocks (lowest bit set). Let go together when it is full.
cdef struct Limbo:
    uint32_t count
    size_t bytes
    void* items[126]

# What leave() has to see to before the caller frees what it took out of the table.
cdef enum Removed:
    NOTHING_REMOVED = 0
    UNSEEN = 1              # while one thread only used the map: nobody to wait for, unless that has changed
    SEEN = 2                # wait for those who read
