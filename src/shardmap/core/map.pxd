cdef class MapCore:
    cdef object __weakref__
    cdef object gc_anchor
    cdef char* shards           # shard_count slots, each whole cache lines
    cdef Block** blocks         # the block of each, for those who read without the mutex; changes rarely
    cdef uint32_t shard_count
    cdef uint32_t shard_bits
    cdef bint chosen_shards     # the user said how many
    cdef uint8_t is_shared_between_threads           # a second thread has used the map
    cdef uint64_t whole_map_seq         # odd while one operation changes several shards
    cdef PyObject* newer        # neighbours in the list of live maps (core/fork.pyx)
    cdef PyObject* older
