cdef enum:
    WINDOW_ENTRIES = 32         # of a table, at most, in a window
    FEWEST_WINDOWS = 4          # below that many the tree is better than making a window
    TABLE_BITS = 8              # of a key to sort: the number of the table, beside the stamp
    MOST_DIGIT_BITS = 11        # so that the counters of one pass fit the nearest cache
    MOST_DIGITS = 1 << MOST_DIGIT_BITS
    ORDER_AHEAD = 8             # entries that are prefetched ahead

# Which tables the entries come from that are next, in their order.
cdef struct Window:
    uint32_t at
    uint32_t count
    uint8_t* order              # the numbers of the cursors
    uint64_t* keys              # to sort, and as many to sort them into
