cdef enum:
    MOST_GIVEN_UP = 16      # times that one clear() lets the locks that it took go, for others to go on

cdef struct HeldLock:
    HeldLock* next
    Shard* shard
    KeyLock* lock
