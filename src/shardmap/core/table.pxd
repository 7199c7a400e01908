cdef class Table:
    cdef Block* block       # never NULL
    cdef Block* emptied     # by the collector, a list: iterators may still point to them
    cdef uint64_t cow_refs    # maps and snapshots that hold it; more than one: nobody may change it. Above: pins
    cdef UndoLog* log         # of iterators; NULL: there never was one
    cdef object gc_anchor   # makes Cython give the type the garbage collector's slots; stays None
