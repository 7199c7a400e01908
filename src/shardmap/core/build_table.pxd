# The entries that an empty map is to hold, gathered and built into tables before anybody sees them.
cdef class Building:
    cdef Entry* entries         # `count` of them, with owned references
    cdef uint32_t* hash31s      # as in a block
    cdef uint32_t* shards       # of each; NULL: the map has one shard, and the arrays are its block's
    cdef uint32_t count
    cdef uint32_t room
    cdef uint32_t shard_count
    cdef uint32_t shard_bits
    cdef PyObject** tables      # shard_count owned references; NULL: none yet
    cdef char* memory           # of the arrays
    cdef size_t bytes
    cdef object error           # of a hash: to be raised once what came before is stored

cdef enum:
    CHUNK = 256                 # entries that are taken, prefetched, and then touched
    MOST_BUILT = 0x40000000     # entries; more are stored one by one
