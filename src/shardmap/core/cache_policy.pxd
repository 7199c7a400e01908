# A place in the order of a block's entries, which outlasts the block: where holes are closed, its position becomes the
# number of entries that were before it.
cdef struct EntryCursor:
    uint32_t position
    uint32_t before

cdef struct Policy:
    EntryCursor hand
