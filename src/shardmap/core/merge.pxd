cdef struct Cursor:
    Block* block
    uint32_t entry

cdef struct Standing:
    uint64_t stamp          # of the entry that the cursor stands on, inverted if backward; NEVER at the end
    uint32_t cursor

cdef struct Merge:
    Cursor* cursors
    Standing* losers        # of the inner nodes, from 1 on
    uint32_t size           # leaves
    uint32_t winner
    bint backward
    bint over
