# A place in the order of a block's entries, which outlasts the block: where holes are closed, its position becomes the
# number of entries that were before it.
cdef struct EntryCursor:
    uint32_t position
    uint32_t before

# What the eviction policy knows of one shard's entries. Under the shard's mutex.
cdef struct Policy:
    EntryCursor window      # entries from here on are in the window, those before it in the main part
    EntryCursor hand        # where the main part was swept up to
    uint32_t target         # entries that the window is to have
    uint32_t insertions     # so far, for the age of ghosts
    bint evicts             # there was an eviction: the shard has been full
    uint32_t lines          # of the sketch; 0: there is none
    uint32_t ghost_mask     # number of ghosts, less one
    uint64_t* sketch        # 8 words for each line; the ghosts, uint32, are behind it
    uint64_t counted        # additions since the counters were halved

cdef enum:
    MOST_MARK = 1           # a mark is one bit: used since the hand came by
    SMALLEST_SKETCH = 32    # entries: a smaller cache is only swept
    ENTRIES_PER_LINE = 7    # of the sketch: 9 bytes for each entry
    HALVE_EVERY = 20        # additions for each entry
    # Of the entries, in percent:
    FIRST_TARGET = 2        # the window begins with so many,
    LEAST_TARGET = 2        # has at least so many,
    MOST_TARGET = 40        # and at most so many
    REGRETS_WINDOW = 7      # a key that comes back within so many insertions after the window lost it,
    REGRETS_MAIN = 50       # or the main part, counts
    WINDOW_STEP = 3         # and changes the target by so many entries
    MAIN_STEP = 2
    LARGEST_COUNT = 15
