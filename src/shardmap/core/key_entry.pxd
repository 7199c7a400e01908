cdef class KeyEntry:
    cdef object __weakref__
    cdef MapCore source
    cdef object key
    cdef object timeout         # as given, for messages
    cdef double seconds         # NO_DEADLINE: for ever
    cdef Py_hash_t hashed
    cdef Shard* shard
    cdef KeyLock* lock          # held, or NULL
    cdef uint64_t grant         # by which it is held
    cdef PyObject* held_map     # a reference of our own while the lock is held
    cdef bint is_hash_lock             # of the key's hash, not of the key

cdef enum:
    FOR_EVER = 1 << 30      # seconds: more than a clock's sum may come to is the same as no time-out
