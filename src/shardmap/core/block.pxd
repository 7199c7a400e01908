cdef struct Entry:
    PyObject* key       # owned; NULL once removed
    PyObject* value     # owned, or a number (core/value.pyx); NULL once removed

# What a block has of each entry, beside key, value and hash. In memory in this order, whole words first.
cdef enum Columns:
    NO_COLUMNS = 0
    STAMPS = 1
    # Of caches only (core/cache_columns.pyx):
    DEADLINES = 2
    ACCESS_TIMES = 4
    REFRESH_TIMES = 8
    WEIGHTS = 16
    MARKS = 32

# One allocation: this head, then index, entries, hash31s, columns. Essay in core/block.pyx.
cdef struct Block:
    # Changed by every insertion and removal: in a large block the end of a cache line of its own.
    uint32_t used           # entries appended, the removed ones among them included
    uint32_t live           # entries that are there
    uint32_t filled         # slots that are not EMPTY
    uint32_t tombstone_reuses         # insertions that took the slot of a removed entry
    # Hints, written even where the block is shared: entries before `head`, and from `tail` on, are gone.
    uint32_t head
    uint32_t tail
    Block* next_emptied   # in a table's list
    # Fixed for the block's life: the line that readers share.
    uint32_t mask           # slots - 1
    uint32_t capacity       # entries that fit
    uint32_t* index
    Entry* entries
    uint64_t* stamps        # or NULL
    uint32_t* hash31s        # and in the top bit whether the key is plain
    size_t bytes            # of the whole allocation

cdef enum:
    BEFORE_HEAD = 32        # bytes left free in front of a large block's head: what is fixed starts a cache line
    LARGE_HEAD = 96         # bytes of its head, so that the index starts a cache line, too
    WORTH_ALIGNING = 2048   # bytes of a block that is a large one
    EMPTY = 0
    TOMBSTONE = 1
    FIRST_ENTRY = 2         # the slot of entry 0, less its tag
    GROUP = 16               # slots in a cache line
    SMALLEST_INDEX = 8
    LARGEST_INDEX_BITS = 31
    HASH31 = 0x7FFFFFFF      # of an element of hash31s
    NO_SLOT = 0xFFFFFFFF    # no number of a slot
    LARGE_INDEX = 65536     # slots: to read one takes as long as to get a line from another processor
    SMALL_INDEX = 512       # up to here the entries' array is made for the whole index
