cdef class AtomicRef:
    cdef object __weakref__
    cdef object gc_anchor
    cdef PyObject* value        # owned; never NULL
    cdef unsigned long writer   # thread that wrote last
    cdef uint8_t lock
    cdef uint8_t is_shared_between_threads           # a second thread has used it

cdef enum:
    OWN_WRITES = 2      # attempts of one rcu() that its own function may spoil
