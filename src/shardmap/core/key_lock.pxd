cdef struct KeyLock:
    KeyLock* next
    PyObject* key           # owned; NULL: the lock of a hash (lock_many)
    uint32_t hash31
    bint is_compute         # held to compute a value, not for a block
    bint computing          # the function runs: the holder itself may not write from within
    bint written            # the holder came by to write the key
    uint64_t serial         # identifies the key; a lock that is handed on keeps it
    uint64_t grant          # identifies who holds it; 0: lost in a fork
    Context owner
    Waiter* first
    Waiter* last

# What a writer has found out about the key locks of its shard.
cdef struct KeyLockCheck:
    uint64_t cleared        # locks up to this serial are of other keys
    uint64_t matched        # the lock of this serial is of an equal key
    KeyLock* held           # taken on the way; handed on at the end
    uint64_t granted        # the caller's own, which it may write under although it computes; 0: none
    Caller caller

cdef enum Match:
    NONE = 0
    MATCH = 1
    AGAIN = 2               # the mutex was released meanwhile

cdef enum Check:
    START_AGAIN = 0         # the mutex was released meanwhile: the writer starts over
    MAY_WRITE = 1
