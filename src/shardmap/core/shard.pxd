cdef struct Shard:
    sm_mutex mutex
    Block** published       # where readers find the table's block
    PyObject* owner         # the map, borrowed
    Limbo* limbo            # NULL: nothing in it
    PyObject* table         # owned, and one share of it; never NULL; EMPTY_TABLE until the first insertion
    uint64_t size_word      # version << 32 | live entries: for len() without locks
    uint64_t layout_version          # grows whenever positions in the block lose their meaning
    KeyLock* key_locks      # of this shard's keys; almost always none
    uint64_t lock_serial    # of the newest
    uint32_t contended      # acquisitions that found the mutex taken
    uint32_t copies         # of the table, because a snapshot shared it
    uint8_t shard_bits      # of its layout
    uint8_t is_moved        # its entries are in the shards of a newer layout
    uint8_t columns         # of its blocks

cdef enum:
    SPINS = 100             # turns of the spin loop: about the time of a few critical sections
