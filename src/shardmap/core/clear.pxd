cdef struct HeldLock:
    HeldLock* next
    Shard* shard
    KeyLock* lock
