# Merging the tables of a snapshot by stamp, into the order in which the map's entries were inserted.
#
# A tree of losers (Knuth, TAOCP 3, 5.4.1): each inner node remembers the cursor that lost there, so the next one is
# found with one comparison a level, on the path from the last winner's leaf up. There is a leaf for every table
# that has entries, in the order of the tables, filled up to a power of two with leaves that are at their end.

cdef uint64_t NEVER = ~<uint64_t>0


cdef Merge* merge_new(uint32_t most) except NULL:
    """With room for `most` tables."""
    cdef uint32_t size = 1
    cdef Merge* merge
    while size < most:
        size *= 2
    merge = <Merge*>allocate(sizeof(Merge) + size * (sizeof(Cursor) + sizeof(Standing)), 64)
    if merge == NULL:
        raise MemoryError()
    merge.size = size
    merge.window = NULL
    merge.cursors = <Cursor*>(merge + 1)
    merge.losers = <Standing*>(merge.cursors + size)
    return merge


cdef void merge_free(Merge* merge) noexcept nogil:
    if merge != NULL:
        free(merge.window)
        free(merge)


cdef void merge_copy(Merge* copy, Merge* merge, Pin* pins, Pin* pins_of_copy) noexcept:
    """One with room for as many goes on from there, over copies of the pins."""
    cdef uint32_t i
    copy.over = merge.over
    if merge.over:
        return
    for i in range(merge.size):
        copy.cursors[i] = merge.cursors[i]
        if copy.cursors[i].pin != NULL:
            copy.cursors[i].pin = &pins_of_copy[merge.cursors[i].pin - pins]
    merge_begin(copy, merge.size, merge.backward)


cdef void merge_start(Merge* merge, PyObject** tables, uint32_t count, bint backward) noexcept:
    """Over tables that do not change."""
    cdef uint32_t i, used = 0
    cdef Block* block
    cdef Cursor* cursor
    for i in range(count):
        block = block_of(tables[i])
        if block.live != 0:
            cursor = &merge.cursors[used]
            cursor.block = block
            cursor.entries = block.entries
            cursor.entry = end_of_entries(block) - 1 if backward else first_entry(block)
            cursor.end = block.used
            cursor.pin = NULL
            used += 1
    merge_begin(merge, used, backward)


cdef void merge_start_pinned(Merge* merge, Pin* pins, uint32_t count, bint backward) noexcept:
    """Over tables that are pinned (core/undo_log.pyx)."""
    cdef uint32_t i
    for i in range(count):
        merge.cursors[i].block = block_of(pins[i].table)
        merge.cursors[i].entries = merge.cursors[i].block.entries
        merge.cursors[i].entry = pins[i].position
        merge.cursors[i].end = pins[i].end
        merge.cursors[i].pin = &pins[i]
    merge_begin(merge, count, backward)


cdef void merge_begin(Merge* merge, uint32_t used, bint backward) noexcept:
    """With so many cursors in place."""
    cdef uint32_t i, node
    cdef Standing going
    merge.backward = backward
    merge.over = False
    # Fewer leaves are fewer levels. The arrays stay where they are.
    while merge.size > 1 and merge.size // 2 >= used:
        merge.size //= 2
    for i in range(used, merge.size):
        merge.cursors[i].block = &empty_block
        merge.cursors[i].entry = merge.cursors[i].end = 0
        merge.cursors[i].pin = NULL
    if begin_windows(merge, used):
        return
    # Each leaf plays its way up until it meets a node that nobody has come to: there it waits for the other side.
    for node in range(1, merge.size):
        merge.losers[node].cursor = merge.size
    for i in range(merge.size):
        going.cursor = i
        going.stamp = settle(&merge.cursors[i], backward)
        node = (i + merge.size) // 2
        while node != 0 and merge.losers[node].cursor != merge.size:
            play(&merge.losers[node], &going, backward)
            node //= 2
        if node != 0:
            merge.losers[node] = going
        else:
            merge.winner = going.cursor
            merge.over = going.stamp == NEVER


cdef inline void play(Standing* loser, Standing* going, bint backward) noexcept nogil:
    """Who comes first goes on; the other stays. Without a branch: nobody could predict it, and a wrong guess costs
    more than all the rest."""
    cdef uint64_t theirs = loser.stamp, ours = going.stamp
    cdef uint32_t other = loser.cursor, cursor = going.cursor
    # Clocks tick in steps: entries that two threads insert in one step have equal stamps, and any order will do
    # that is the same forward, backward and for popitem.
    cdef uint64_t loses = (theirs < ours) | ((theirs == ours) & ((other < cursor) != backward))
    cdef uint64_t stamps = (theirs ^ ours) & (0 - loses)
    cdef uint32_t cursors = (other ^ cursor) & <uint32_t>(0 - loses)
    loser.stamp = theirs ^ stamps
    loser.cursor = other ^ cursors
    going.stamp = ours ^ stamps
    going.cursor = cursor ^ cursors


cdef inline uint64_t stand(Cursor* cursor, bint backward) noexcept nogil:
    """On the entry that the cursor has come to, which is there: its stamp."""
    cdef uint64_t* stamps = cursor.block.stamps
    if cursor.pin != NULL:
        sm_store_u32(&cursor.pin.position, cursor.entry)        # release: after the entry before was read
    if stamps == NULL:              # the only table: any numbers but NEVER will do
        return 0
    return ~stamps[cursor.entry] if backward else stamps[cursor.entry]


cdef inline bint is_there(Cursor* cursor) noexcept nogil:
    """Whether the cursor has come to an entry that has its key: nearly always."""
    return cursor.entry < cursor.end and sm_load_ptr(<void**>&cursor.entries[cursor.entry].key) != NULL


cdef uint64_t settle(Cursor* cursor, bint backward) noexcept nogil:
    """Moves a cursor that may stand on a removed entry to the next one that is there, and returns its stamp."""
    cdef uint32_t entry = cursor.entry
    while entry < cursor.end:       # going backward, below zero is above
        if (sm_load_ptr(<void**>&cursor.entries[entry].key) != NULL
                or cursor.pin != NULL and has_version(cursor.pin, entry)):
            cursor.entry = entry
            return stand(cursor, backward)
        entry = entry - 1 if backward else entry + 1
    if cursor.pin != NULL:
        sm_store_u32(&cursor.pin.end, 0)        # it has passed everything
    return NEVER


cdef inline Entry* merge_entry(Merge* merge) noexcept nogil:
    """The entry that comes next; not when it is over. Its key is NULL if the collector has emptied the table."""
    cdef Cursor* cursor = &merge.cursors[merge.winner]
    return &cursor.entries[cursor.entry]


cdef inline void merge_advance(Merge* merge) noexcept nogil:
    cdef Cursor* cursor
    if merge.size != 1:
        if merge.window != NULL:
            advance_in_window(merge)
        else:
            advance_among_many(merge)
        return
    cursor = merge.cursors
    step(cursor, merge.backward)
    if is_there(cursor):
        if cursor.entry + MERGE_AHEAD < cursor.end and not merge.backward:
            prefetch_to_write(sm_load_ptr(<void**>&cursor.entries[cursor.entry + MERGE_AHEAD].key))
        stand(cursor, merge.backward)
    else:
        merge.over = settle(cursor, merge.backward) == NEVER


cdef void advance_among_many(Merge* merge) noexcept nogil:
    cdef uint32_t node = (merge.winner + merge.size) // 2
    cdef Cursor* cursor = &merge.cursors[merge.winner]
    cdef Standing going
    step(cursor, merge.backward)
    if cursor.entry + MERGE_AHEAD < cursor.end and not merge.backward:
        # With many tables the processor does not see what will be read next.
        prefetch(&cursor.entries[cursor.entry + MERGE_AHEAD])
        prefetch(&cursor.block.stamps[cursor.entry + MERGE_AHEAD])
    going.cursor = merge.winner
    going.stamp = stand(cursor, merge.backward) if is_there(cursor) else settle(cursor, merge.backward)
    while node != 0:
        play(&merge.losers[node], &going, merge.backward)
        node //= 2
    merge.winner = going.cursor
    merge.over = going.stamp == NEVER
