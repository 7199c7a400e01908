cdef enum Write:
    ALWAYS = 0              # insert or overwrite
    IF_ABSENT = 1           # insert only
    IF_PRESENT = 2          # overwrite only
    IF_SAME = 3             # only where the entry holds `expected` itself; NULL: only where there is no entry

cdef struct WriteRequest:
    PyObject* value         # NULL: remove
    Write when
    PyObject* expected      # for IF_SAME
    # Where to put a reference to the value before, as an object, or NULL. For IF_ABSENT, to the one that is there.
    PyObject** old
    uint64_t grant          # of the key's lock that the caller holds; 0: none
    FoundEntry found        # where the key was found by the caller
    uint64_t* whole_map_seq         # NULL; or the map's, and nothing is written if it is not
    uint64_t seq_at_read     # this one any more
