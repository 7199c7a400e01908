cdef struct Waiter:
    Waiter* next            # in the lock's queue
    Waiter* newer           # in the list of all that wait
    Waiter* older
    KeyLock* lock           # NULL: it is no more (only while away)
    Context owner
    bint computing
    bint for_ever
    bint granted
    bint is_away            # other code runs in the thread that waits: passed over
    uint64_t grant
    uint64_t searched_by    # the search for deadlocks that came by last,
    Waiter* next_to_follow  # and whom it looks at next
    PyObject* request       # of a task (core/key_request.pyx); NULL: a thread waits
    sm_cond wake

cdef enum Wait:
    TIMED_OUT = 0
    GRANTED = 1
    TRY_AGAIN = 2           # the lock is no more, or more is known about its holder
    DEADLOCK = 3
