cdef enum:
    MERGE_AHEAD = 8         # entries of a table that are prefetched ahead

cdef struct Cursor:
    Block* block
    # The block's. Heads of large blocks, all at the same place of a page, push each other out of the cache.
    Entry* entries
    uint32_t entry
    uint32_t end            # of the entries that belong to the iteration
    Pin* pin                # where the table may change meanwhile (core/undo_log.pyx); or NULL

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
    Window* window          # NULL: by the tree
