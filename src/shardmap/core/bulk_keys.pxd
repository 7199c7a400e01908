# How far a batch operation has come with an iterable.
cdef struct Source:
    Py_ssize_t position     # in a list or a tuple
    bint ended              # there are no more

# Many keys of one call, their hashes, and the order by shard in which they are worked on (core/bulk_keys.pyx).
cdef class Bulk:
    cdef PyObject** keys        # size owned references, or NULL
    cdef PyObject** values      # likewise, or numbers
    cdef uint32_t* shard        # of each key ...
    cdef uint32_t* hash31
    cdef uint32_t* entry        # where it was found, and
    cdef uint64_t* layout_version        # in which layout version of its shard
    cdef PyObject** others      # in its stead: keys that were removed
    cdef uint8_t* state
    cdef uint64_t* integers     # the keys' numbers, in a look-up of an IntegerArray; else NULL. Then `keys` are NULL
    cdef IntegerArray array
    cdef bint is_signed
    cdef sm_integer_key integer_key
    cdef uint32_t* order        # numbers of keys, sorted by shard
    cdef uint32_t* starts       # for sorting; NULL: too many shards for it
    cdef char* memory
    cdef uint32_t room
    cdef uint32_t size
    cdef Layout* layout         # by which the batch's keys are sorted
    cdef uint32_t most_sorted   # shards that `starts` has room for
    cdef bint has_left          # any key of a look-up was left for later
    cdef uint64_t* left         # if so: bits of their hashes (leave)
    cdef bint all_plain         # all keys are of plain types
    cdef bint mostly_new        # most keys of the last batch were not in the map
    cdef Source source          # of the keys
    cdef Source other           # of the values
    cdef object error           # of a source or of a hash: to be raised once what came before is done

cdef enum:
    BATCH = 1024            # keys that are written at a time
    READ_BATCH = 16384      # keys that are read at a time
    KEYS_A_TURN = 128       # keys for which a mutex is held at a time, at the most
    AHEAD = 8               # keys that are prefetched ahead
    FAR_AHEAD = 24          # where there is one line for each and next to nothing to do
    LEFT_BITS = 4096        # few different keys of a batch have the same bit
    MOST_SORTED_SHARDS = 4096   # with more of them there is little to put together
