cdef class MapCore:
    cdef object __weakref__
    cdef object gc_anchor
    cdef Layout* layout         # its shards (core/layout.pyx)
    cdef uint64_t whole_map_seq         # odd while one operation changes several shards
    cdef PyObject* newer        # neighbours in the list of maps that a fork has to look after (core/fork.pyx)
    cdef PyObject* older
    cdef uint32_t grown_by      # the thread under which a table grew last (core/split.pyx)
    cdef uint8_t is_shared_between_threads           # a second thread has used the map
    cdef uint8_t shards_fixed   # FixedShards: whether the number may still change
    cdef uint8_t wants_split    # threads were found to contend
    cdef uint8_t is_enlisted    # is in the list of maps
    cdef SingleShard first

cdef enum FixedShards:
    NOT_FIXED = 0
    FIXED_BY_USE = 1            # somebody was told the number of a key's shard
    FIXED_BY_CHOICE = 2         # the user said how many
