cdef struct Entry:
    PyObject* key       # owned; NULL once removed
    PyObject* value     # owned, or a number (core/value.pxi); NULL once removed

# One allocation: this head, then index, entries, stamps, places. Essay in core/block.pxi.
cdef struct Block:
    # Fixed for the block's life: the line that readers share.
    uint32_t mask           # index words - 1
    uint32_t capacity       # entries that fit
    uint32_t* index
    Entry* entries
    uint64_t* stamps
    uint32_t* places        # and in the top bit whether the key is plain
    size_t bytes            # of the whole allocation
    char _apart[64]
    # Changed by every insertion and removal.
    uint32_t used           # entries appended, the removed ones among them included
    uint32_t live           # entries that are there
    uint32_t filled         # index words that are not EMPTY
    uint32_t reuses         # insertions that took the index word of a removed entry
    # Hints, written even where the block is shared: entries before `head`, and from `tail` on, are gone.
    uint32_t head
    uint32_t tail
    Block* emptied_before   # in a table's list

cdef enum:
    EMPTY = 0
    REMOVED = 1
    FIRST_ENTRY = 2         # the index word of entry 0, less its tag
    LINE = 16               # index words in a cache line
    SMALLEST_INDEX = 8
    LARGEST_INDEX_BITS = 31
    PLACE = 0x7FFFFFFF      # of a word of places
    NO_WORD = 0xFFFFFFFF    # no number of an index word
    SMALL_INDEX = 4096      # up to here the entries' array is made for the whole index
