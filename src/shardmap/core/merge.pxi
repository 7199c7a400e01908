# Merging the tables of a snapshot by stamp, into the order in which the map's entries were inserted.
#
# A tree of losers (Knuth, TAOCP 3, 5.4.1): each inner node remembers the cursor that lost there, so the next one is
# found with one comparison a level, on the path from the last winner's leaf up. There is a leaf for every table
# that has entries, in the order of the tables, filled up to a power of two with leaves that are at their end.

cdef struct Cursor:
    Block* block
    uint32_t entry

cdef struct Merge:
    Cursor* cursors
    uint64_t* stamps        # of the entry that each stands on, inverted if backward; NEVER at the end
    uint32_t* losers        # of the inner nodes, from 1 on
    uint32_t size           # leaves
    uint32_t winner
    bint backward
    bint over

cdef uint64_t NEVER = ~<uint64_t>0


cdef Merge* merge_new(uint32_t most) except NULL:
    """With room for `most` tables."""
    cdef uint32_t size = 1
    cdef Merge* merge
    while size < most:
        size *= 2
    merge = <Merge*>allocate(sizeof(Merge) + size * (sizeof(Cursor) + sizeof(uint64_t) + sizeof(uint32_t)), 64)
    if merge == NULL:
        raise MemoryError()
    merge.size = size
    place_arrays(merge)
    return merge


cdef void place_arrays(Merge* merge) noexcept nogil:
    merge.cursors = <Cursor*>(merge + 1)
    merge.stamps = <uint64_t*>(merge.cursors + merge.size)
    merge.losers = <uint32_t*>(merge.stamps + merge.size)


cdef void merge_copy(Merge* copy, Merge* merge) noexcept:
    """Into one with room for as many."""
    memcpy(copy, merge, sizeof(Merge))
    place_arrays(copy)
    memcpy(copy.cursors, merge.cursors, merge.size * sizeof(Cursor))
    memcpy(copy.stamps, merge.stamps, merge.size * sizeof(uint64_t))
    memcpy(copy.losers, merge.losers, merge.size * sizeof(uint32_t))


cdef void merge_start(Merge* merge, PyObject** tables, uint32_t count, bint backward) noexcept:
    cdef uint32_t i, used = 0, node, other
    cdef Block* block
    merge.backward = backward
    for i in range(count):
        block = block_of(tables[i])
        if block.live != 0:
            merge.cursors[used].block = block
            merge.cursors[used].entry = end_of_entries(block) - 1 if backward else first_entry(block)
            settle(merge, used)
            used += 1
    # Fewer leaves are fewer levels. The arrays stay where they are.
    while merge.size > 1 and merge.size // 2 >= used:
        merge.size //= 2
    for i in range(used, merge.size):
        merge.cursors[i].block = &no_entries
        merge.cursors[i].entry = 0
        merge.stamps[i] = NEVER
    # Each leaf plays its way up until it meets a node that nobody has come to: there it waits for the other side.
    for node in range(1, merge.size):
        merge.losers[node] = merge.size
    for i in range(merge.size):
        other = i
        node = (i + merge.size) // 2
        while node != 0:
            if merge.losers[node] == merge.size:
                merge.losers[node] = other
                other = merge.size
                break
            other = play(merge, node, other)
            node //= 2
        if other != merge.size:
            merge.winner = other
    merge.over = merge.stamps[merge.winner] == NEVER


cdef inline bint comes_before(Merge* merge, uint32_t a, uint32_t b) noexcept nogil:
    # Clocks tick in steps: entries that two threads insert in one step have equal stamps, and any order will do
    # that is the same forward, backward and for popitem.
    if merge.stamps[a] == merge.stamps[b]:
        return a > b if merge.backward else a < b
    return merge.stamps[a] < merge.stamps[b]


cdef inline uint32_t play(Merge* merge, uint32_t node, uint32_t cursor) noexcept nogil:
    """Who goes on from a node; the other stays there."""
    cdef uint32_t other = merge.losers[node]
    cdef bint loses = comes_before(merge, other, cursor)
    merge.losers[node] = cursor if loses else other
    return other if loses else cursor


cdef inline void settle(Merge* merge, uint32_t i) noexcept nogil:
    """Moves a cursor that may stand on a removed entry to the next one that is there."""
    cdef Cursor* cursor = &merge.cursors[i]
    cdef Block* block = cursor.block
    cdef uint32_t entry = cursor.entry
    while entry < block.used:       # going backward, below zero is above
        if block.entries[entry].key != NULL:
            cursor.entry = entry
            merge.stamps[i] = ~block.stamps[entry] if merge.backward else block.stamps[entry]
            return
        entry = entry - 1 if merge.backward else entry + 1
    merge.stamps[i] = NEVER


cdef inline Entry* merge_entry(Merge* merge) noexcept nogil:
    """The entry that comes next; not when it is over. Its key is NULL if the collector has emptied the table."""
    cdef Cursor* cursor = &merge.cursors[merge.winner]
    return &cursor.block.entries[cursor.entry]


cdef inline void merge_advance(Merge* merge) noexcept nogil:
    cdef uint32_t cursor = merge.winner, node = (cursor + merge.size) // 2
    if merge.backward:
        merge.cursors[cursor].entry -= 1
    else:
        merge.cursors[cursor].entry += 1
    settle(merge, cursor)
    while node != 0:
        cursor = play(merge, node, cursor)
        node //= 2
    merge.winner = cursor
    merge.over = merge.stamps[cursor] == NEVER
