cdef struct Entry:
    PyObject* key       # owned; NULL once removed
    PyObject* value     # owned, or a number (core/value.pyx); NULL once removed

# One allocation: this head, then index, entries, stamps, hash31s. Essay in core/block.pyx.
cdef struct Block:
    # Fixed for the block's life: the line that readers share.
    uint32_t mask           # slots - 1
    uint32_t capacity       # entries that fit
    uint32_t* index
    Entry* entries
    uint64_t* stamps
    uint32_t* hash31s        # and in the top bit whether the key is plain
    size_t bytes            # of the whole allocation
    char _apart[64]
    # Changed by every insertion and removal.
    uint32_t used           # entries appended, the removed ones among them included
    uint32_t live           # entries that are there
    uint32_t filled         # slots that are not EMPTY
    uint32_t tombstone_reuses         # insertions that took the slot of a removed entry
    # Hints, written even where the block is shared: entries before `head`, and from `tail` on, are gone.
    uint32_t head
    uint32_t tail
    Block* next_emptied   # in a table's list

cdef enum:
    EMPTY = 0
    TOMBSTONE = 1
    FIRST_ENTRY = 2         # the slot of entry 0, less its tag
    GROUP = 16               # slots in a cache line
    SMALLEST_INDEX = 8
    LARGEST_INDEX_BITS = 31
    HASH31 = 0x7FFFFFFF      # of an element of hash31s
    NO_SLOT = 0xFFFFFFFF    # no number of a slot
    SMALL_INDEX = 4096      # up to here the entries' array is made for the whole index
