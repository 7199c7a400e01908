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
    uint32_t window_lost    # entries that were evicted from the window so far,
    uint32_t main_lost      # and from the main part: for the age of ghosts
    bint evicts             # there was an eviction: the shard has been full
    uint32_t lines          # of the sketch; 0: there is none
    uint32_t ghost_mask     # number of ghosts, less one
    uint64_t* sketch        # 8 words for each line; the ghosts, uint32, are behind it
    uint64_t counted        # additions since the counters were halved

cdef enum:
    USED = 1                # a bit of a mark: set by readers, since the hand came by
    CAME_BACK = 2           # another: the window had lost the key a while before it was inserted
    SMALLEST_SKETCH = 8     # entries: a smaller cache is only swept
    ENTRIES_PER_LINE = 7    # of the sketch: 9 bytes for each entry
    HALVE_EVERY = 20        # additions for each entry
    # Of the entries, in percent:
    FIRST_TARGET = 3        # the window begins with so many,
    LEAST_TARGET = 1        # has at least so many,
    MOST_TARGET = 80        # and at most so many
    COMES_BACK = 30         # a key that is inserted so many evictions after the window lost it has come back;
    REGRETS = 5             # if it is as few as these, or the main part lost it, the target changes
    FAR_STRONGER = 3        # a victim that was asked for so many times more is not looked at again in this round
    LARGEST_COUNT = 15
