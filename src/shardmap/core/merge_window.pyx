# Merging many tables by windows.
#
# With 64 tables the tree of losers (core/merge.pyx) plays six times for each entry, each time waiting for the outcome
# of the last. But nothing says that the order has to be found entry by entry: all entries up to some stamp are
# gathered, table by table, and sorted with a radix sort (Knuth, TAOCP 3, 5.2.5), which has no comparisons. Only the
# order of the *tables* is kept, a byte an entry: since within a table stamps grow, the entry that is meant is the one
# that the table's cursor stands on. So an iterator takes each entry as late as before, and writers see its position.
#
# A window has at most WINDOW_ENTRIES entries of a table: it ends before the first stamp that would be one more.

cdef Window* window_new(uint32_t cursors) noexcept nogil:
    """NULL: no memory. Then the tree does it."""
    cdef uint32_t room = cursors * WINDOW_ENTRIES
    cdef Window* window = <Window*>allocate(sizeof(Window) + room * (2 * sizeof(uint64_t) + 1), 64)
    if window != NULL:
        window.at = window.count = 0
        window.keys = <uint64_t*>(window + 1)
        window.order = <uint8_t*>(window.keys + 2 * room)
    return window


cdef inline uint64_t key_at(Cursor* cursor, uint32_t entry, bint backward) noexcept nogil:
    return ~cursor.block.stamps[entry] if backward else cursor.block.stamps[entry]


cdef inline uint32_t left_of(Cursor* cursor, bint backward) noexcept nogil:
    """Entries that the cursor has not passed, the removed ones among them included."""
    if cursor.entry >= cursor.end:      # going backward, below zero is above
        return 0
    return cursor.entry + 1 if backward else cursor.end - cursor.entry


cdef void make_window(Merge* merge) noexcept nogil:
    """The next one. It is empty if all tables are at their ends."""
    cdef Window* window = merge.window
    cdef uint64_t first = NEVER, last = NEVER, key
    cdef uint32_t i, left
    cdef Cursor* cursor
    for i in range(merge.size):
        cursor = &merge.cursors[i]
        left = left_of(cursor, merge.backward)
        if left != 0:
            first = min(first, key_at(cursor, cursor.entry, merge.backward))
        elif cursor.pin != NULL:
            sm_store_u32(&cursor.pin.end, 0)        # it has passed everything
        if left > WINDOW_ENTRIES:
            key = key_at(cursor, cursor.entry - WINDOW_ENTRIES if merge.backward else cursor.entry + WINDOW_ENTRIES,
                         merge.backward)
            last = min(last, key)
    if last - first >> (64 - TABLE_BITS) != 0:      # as after a split, where old stamps are small numbers
        last = first + (<uint64_t>1 << (64 - TABLE_BITS))
    window.at = 0
    sort_window(merge, gather(merge, first, last))


cdef uint64_t gather(Merge* merge, uint64_t first, uint64_t last) noexcept nogil:
    """The keys of the entries from the one stamp to before the other; returns by how much the last stamp is larger than
    the first. Equal stamps of different tables: as the tree has them."""
    cdef uint64_t* keys = merge.window.keys
    cdef uint32_t i, table, entry, count = 0
    cdef uint64_t key, span = 0
    cdef Cursor* cursor
    for i in range(merge.size):
        table = merge.size - 1 - i if merge.backward else i
        cursor = &merge.cursors[table]
        entry = cursor.entry
        while entry < cursor.end:
            key = key_at(cursor, entry, merge.backward)
            if key >= last:
                break
            prefetch(&cursor.entries[entry])
            keys[count] = key - first << TABLE_BITS | table
            span = max(span, key - first)
            count += 1
            entry = entry - 1 if merge.backward else entry + 1
    merge.window.count = count
    return span


cdef void sort_window(Merge* merge, uint64_t span) noexcept nogil:
    """By stamp, the digit of least weight first; all digits have as many bits. The last pass writes the order."""
    cdef Window* window = merge.window
    cdef uint32_t room = merge.size * WINDOW_ENTRIES, passes, bits, shift = TABLE_BITS
    cdef uint64_t* source = window.keys
    cdef uint64_t* target = window.keys + room
    cdef uint32_t span_bits = 1
    while span >> span_bits != 0:
        span_bits += 1
    passes = (span_bits + MOST_DIGIT_BITS - 1) // MOST_DIGIT_BITS
    bits = (span_bits + passes - 1) // passes
    while passes > 1:
        sort_by_digit(source, window.count, shift, bits, target, NULL)
        source, target = target, source
        shift += bits
        passes -= 1
    sort_by_digit(source, window.count, shift, bits, NULL, window.order)


cdef void sort_by_digit(uint64_t* source, uint32_t count, uint32_t shift, uint32_t bits, uint64_t* target,
                        uint8_t* tables) noexcept nogil:
    """Into `target`, or only the numbers of the tables into `tables`."""
    cdef uint32_t places[MOST_DIGITS]
    cdef uint32_t i, digit, size, place = 0, mask = (<uint32_t>1 << bits) - 1
    memset(places, 0, (mask + 1) * sizeof(uint32_t))
    for i in range(count):
        places[<uint32_t>(source[i] >> shift) & mask] += 1
    for i in range(mask + 1):
        size = places[i]
        places[i] = place
        place += size
    for i in range(count):
        digit = <uint32_t>(source[i] >> shift) & mask
        place = places[digit]
        places[digit] = place + 1
        if tables != NULL:
            tables[place] = <uint8_t>source[i]
        else:
            target[place] = source[i]


cdef inline void advance_in_window(Merge* merge) noexcept nogil:
    """From the entry that the winner stands on to the next one that is there."""
    step(&merge.cursors[merge.winner], merge.backward)
    if merge.window.at == merge.window.count or not come_to_next(merge):
        find_next_in_windows(merge)


cdef inline void step(Cursor* cursor, bint backward) noexcept nogil:
    cursor.entry = cursor.entry - 1 if backward else cursor.entry + 1


cdef inline bint come_to_next(Merge* merge) noexcept nogil:
    """False, and nothing has changed, if the window's next entry seems not to be there."""
    cdef Window* window = merge.window
    cdef uint8_t* order = &window.order[window.at]
    cdef Cursor* cursor = &merge.cursors[order[0]]
    if window.at + ORDER_AHEAD < window.count:
        prefetch_next_key(&merge.cursors[order[ORDER_AHEAD]])
    if not is_there(cursor):
        return False
    merge.winner = order[0]
    window.at += 1
    stand(cursor, merge.backward)
    return True


cdef inline void prefetch_next_key(Cursor* cursor) noexcept nogil:
    """Of the cursor's entry, which is there to be read: the window's order has it."""
    prefetch_to_write(sm_load_ptr(<void**>&cursor.entries[cursor.entry].key))


cdef void find_next_in_windows(Merge* merge) noexcept nogil:
    """The first entry from here on that is there."""
    cdef Window* window = merge.window
    cdef Cursor* cursor
    while True:
        if window.at == window.count:
            make_window(merge)
            if window.count == 0:
                merge.over = True
                return
        merge.winner = window.order[window.at]
        window.at += 1
        cursor = &merge.cursors[merge.winner]
        if is_there(cursor) or cursor.pin != NULL and has_version(cursor.pin, cursor.entry):
            stand(cursor, merge.backward)
            return
        step(cursor, merge.backward)


cdef bint begin_windows(Merge* merge, uint32_t used) noexcept nogil:
    """True if this merge goes by windows. Of the cursors in place."""
    cdef uint64_t left = 0
    cdef uint32_t i
    if used < 3 or used > <uint32_t>1 << TABLE_BITS:
        return False
    for i in range(used):
        left += left_of(&merge.cursors[i], merge.backward)
    if left < FEWEST_WINDOWS * WINDOW_ENTRIES * used:
        return False
    merge.window = window_new(merge.size)
    if merge.window == NULL:
        return False
    find_next_in_windows(merge)
    return True
