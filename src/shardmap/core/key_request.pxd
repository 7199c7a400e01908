# A task's place in the queue of a key's lock. While it is in the queue, the queue has a reference to it.
cdef class LockRequest:
    cdef MapCore source
    cdef object loop
    cdef object future
    cdef PyObject* held_map     # a reference of our own: the shard must outlive a `source` cleared with a cycle
    cdef Shard* shard
    cdef KeyLock* lock
    cdef Waiter waiter
    cdef bint is_over           # what came of it was looked at

# What `async with` awaits to enter: takes one lock after the other.
cdef class AsyncEnter:
    cdef object result          # what `async with` gives
    cdef LockedMany many        # or None: a single entry
    cdef list entries           # in the order of locking
    cdef Py_ssize_t taken
    cdef double deadline
    cdef object timeout         # as given, for messages
    cdef object loop
    cdef LockRequest request    # that is waited for, or None
    cdef object waiting         # the iterator over its future
    cdef object timer
