cdef class Version:
    cdef readonly SnapshotCore content
    cdef readonly object meta
    cdef readonly uint64_t number

cdef class ReaderCore:
    cdef object __weakref__
    cdef AtomicRef published
    cdef Version held
    cdef object replaced        # versions that a read further up the stack may look at: (version, more) or None
    cdef unsigned long owner    # thread; 0: the first that uses it
    cdef Py_ssize_t reading     # reads of the owner's that are under way, one inside the other
    cdef char _apart[128]       # another thread's reader may be the next object in memory

cdef enum:
    SMALL_BAG = 16      # values; a larger bag is shared, as counting one reference costs less than copying it
