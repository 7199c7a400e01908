cdef enum:
    ATTEMPTS = 3            # to wake a task, if handlers of signals raise meanwhile

cdef class LockRequest:
    cdef MapCore source
    cdef object loop
    cdef object future
    cdef PyObject* held_map     # a reference of our own: the shard must outlive a `source` cleared with a cycle
    cdef Shard* shard
    cdef KeyLock* lock
    cdef Waiter waiter
    cdef bint is_over           # what came of it was looked at
