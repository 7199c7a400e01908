# The operations on one key, and those on all shards at once. Each is linearizable: it takes effect at one
# point while it holds the mutex, or all mutexes.
#
# Old keys and values are collected under the mutex and let go after it.

cdef PyObject* deny_memory() except NULL:
    raise MemoryError()


cdef inline void leave(Position* at) noexcept:
    """Lets the mutex go, then what make_writable() could not let go under it."""
    unlock(at.shard)
    if at.left != NULL:
        let_go_left(at)


cdef void let_go_left(Position* at) noexcept:
    cdef PyObject* table = at.left
    at.left = NULL
    table_release(table)        # the shard's share
    table_release(table)        # make_writable()'s own


cdef int make_writable(Position* at) except -1:
    """Gives the shard a table of its own instead of a shared one. Comes and leaves with the mutex held, so
    that threads that take snapshot after snapshot cannot keep a writer from writing; raises without it.
    The copy is made outside, from a table that cannot change while we have a share in it."""
    cdef Shard* shard = at.shard
    cdef PyObject* shared = shard.table
    cdef PyObject* own
    table_share(shared)
    leave(at)
    try:
        own = table_new(1) if shared == NOTHING else table_copy(shared)
    except:
        table_release(shared)
        raise
    lock(shard)
    if shard.table == shared:
        shard.table = own
        shard.epoch += 1
        shard.copies += shared != NOTHING
        at.left = shared
    else:                       # another thread was first
        unlock(shard)
        table_release(own)
        table_release(shared)
        lock(shard)
    return 0


cdef bint make_room(Position* at, uint64_t wanted, Block** old) noexcept:
    """Replaces the block of a table that only this shard holds. Under the mutex, attached. The caller frees
    `old` later. False, and nothing done, when there is no memory."""
    cdef Block* new = rebuilt(at.block, wanted)
    if new == NULL:
        return False
    old[0] = at.block
    (<Table>at.shard.table).block = new
    at.shard.epoch += 1
    at.block = new
    return True


cdef inline void retire(Block* block) noexcept:
    """Frees a block whose entries live on in another."""
    if block != NULL and block != &no_entries:
        free(block)


cdef bint insert_found_absent(Position* at, PyObject* key, PyObject* value) noexcept:
    """Inserts where find() ended, growing if need be; lets the mutex go. False when there is no memory."""
    cdef Block* old = NULL
    if is_full(at.block):
        if not make_room(at, grown(at.block.live), &old):
            leave(at)
            return False
        at.word = empty_word(at.block, at.place)
    incref(key)
    incref(value)
    append(at.block, at.word, at.place, key, value, sm_stamp_now())
    note_size(at.shard, at.block)
    leave(at)
    retire(old)
    return True


cdef Block* remove_found(Position* at, PyObject** key, PyObject** value) noexcept:
    """Removes the entry that find() found. The references are the caller's, and so is the block that is
    returned, if any, to retire() without the mutex."""
    cdef Block* block = at.block
    cdef Block* old = NULL
    key[0] = block.entries[at.entry].key
    value[0] = block.entries[at.entry].value
    take_out(block, at.word, at.entry)
    if block.capacity > SMALL_INDEX and block.live < block.capacity // 8:
        # Give memory back, leaving room to grow into. Without memory to do it in: later.
        make_room(at, 2 * <uint64_t>block.live, &old)
    note_size(at.shard, at.block)
    return old


# --- One key ---

cdef inline Found map_get(MapCore m, PyObject* key, PyObject** value) except FAILED:
    """PRESENT: `value` is a new reference."""
    cdef Position at
    cdef Found found
    sm_note_use(<PyObject*>m, &m.seen)
    aim(m, key, &at)
    found = find(key, &at)
    if found == PRESENT:
        value[0] = at.block.entries[at.entry].value
        incref(value[0])
    leave(&at)
    return found


cdef inline Found map_contains(MapCore m, PyObject* key) except FAILED:
    cdef Position at
    cdef Found found
    sm_note_use(<PyObject*>m, &m.seen)
    aim(m, key, &at)
    found = find(key, &at)
    leave(&at)
    return found


cdef Found map_set(MapCore m, PyObject* key, PyObject* value) except FAILED:
    cdef Position at
    cdef Found found
    cdef PyObject* old
    sm_note_use(<PyObject*>m, &m.seen)
    aim(m, key, &at)
    lock(at.shard)
    while True:
        found = find_locked(key, &at)
        if found == PRESENT and at.block.entries[at.entry].value == value:
            leave(&at)      # nothing to write: the entry's cache line stays with its readers
            return PRESENT
        if is_shared(at.shard.table):
            make_writable(&at)
        elif found == PRESENT:
            old = at.block.entries[at.entry].value
            incref(value)
            at.block.entries[at.entry].value = value
            leave(&at)
            decref(old)
            return PRESENT
        else:
            if not insert_found_absent(&at, key, value):
                deny_memory()
            return ABSENT


cdef Found map_setdefault(MapCore m, PyObject* key, PyObject* value, PyObject** existing) except FAILED:
    """PRESENT: `existing` is a new reference, nothing changed. ABSENT: `value` was inserted."""
    cdef Position at
    cdef Found found
    sm_note_use(<PyObject*>m, &m.seen)
    aim(m, key, &at)
    lock(at.shard)
    while True:
        found = find_locked(key, &at)
        if found == PRESENT:
            existing[0] = at.block.entries[at.entry].value
            incref(existing[0])
            leave(&at)
            return PRESENT
        if is_shared(at.shard.table):
            make_writable(&at)
        else:
            if not insert_found_absent(&at, key, value):
                deny_memory()
            return ABSENT


cdef Found map_replace_same(MapCore m, PyObject* key, PyObject* expected, PyObject* value) except FAILED:
    """Puts `value` in place of the very object `expected`, or where there is no entry if `expected` is NULL.
    PRESENT: done. ABSENT: the map holds something else; nothing changed."""
    cdef Position at
    cdef Found found
    aim(m, key, &at)
    lock(at.shard)
    while True:
        found = find_locked(key, &at)
        if (found == PRESENT) != (expected != NULL) or (
                found == PRESENT and at.block.entries[at.entry].value != expected):
            leave(&at)
            return ABSENT
        if is_shared(at.shard.table):
            make_writable(&at)
        elif found == PRESENT:
            incref(value)
            at.block.entries[at.entry].value = value
            leave(&at)
            decref(expected)
            return PRESENT
        else:
            if not insert_found_absent(&at, key, value):
                deny_memory()
            return PRESENT


cdef Found map_remove(MapCore m, PyObject* key, PyObject** value) except FAILED:
    """PRESENT: removed; `value` is the caller's reference."""
    cdef Position at
    cdef Found found
    cdef PyObject* old_key
    cdef Block* old_block
    sm_note_use(<PyObject*>m, &m.seen)
    aim(m, key, &at)
    lock(at.shard)
    while True:
        found = find_locked(key, &at)
        if found == ABSENT:
            leave(&at)
            return ABSENT
        if is_shared(at.shard.table):
            make_writable(&at)
        else:
            old_block = remove_found(&at, &old_key, value)
            leave(&at)
            retire(old_block)
            decref(old_key)
            return PRESENT


# --- All shards ---

cdef Found map_popitem(MapCore m, PyObject** key, PyObject** value) except FAILED:
    """Removes the entry inserted last; the references are the caller's. Takes all mutexes."""
    cdef Position at
    cdef uint32_t i, end
    cdef uint64_t latest
    cdef Shard* shard
    cdef Shard* chosen
    cdef Block* old_block
    sm_note_use(<PyObject*>m, &m.seen)
    while True:
        chosen = NULL
        latest = 0
        lock_all(m)
        for i in range(m.shard_count):
            shard = shard_at(m, i)
            end = end_of_entries(block_of(shard.table))
            if end != 0 and (chosen == NULL or block_of(shard.table).stamps[end - 1] >= latest):
                chosen = shard
                latest = block_of(shard.table).stamps[end - 1]
                at.entry = end - 1
        if chosen == NULL:
            unlock_all(m)
            return ABSENT
        at.shard = chosen
        if is_shared(chosen.table):
            for i in range(m.shard_count):
                if shard_at(m, i) != chosen:
                    unlock(shard_at(m, i))
            at.left = NULL
            make_writable(&at)
            leave(&at)
            continue
        at.block = block_of(chosen.table)
        at.word = word_of_entry(at.block, at.entry)
        old_block = remove_found(&at, key, value)
        unlock_all(m)
        retire(old_block)
        return PRESENT


cdef Py_ssize_t map_len(MapCore m) noexcept:
    """Entries at one point in time. Without locks if two collections of all shards' sizes agree (with their
    versions: the double collect of Afek et al., Atomic snapshots of shared memory, 1993), else with all."""
    cdef int attempt
    cdef uint32_t i
    cdef uint64_t sweep, first, second, word
    cdef Py_ssize_t total = 0
    for attempt in range(3):
        sweep = sm_load_u64(&m.sweep)
        if sweep & 1:
            break
        total = 0
        first = second = 0
        for i in range(m.shard_count):
            word = sm_load_u64(&shard_at(m, i).size_word)
            total += <uint32_t>word
            first += word >> 32
        for i in range(m.shard_count):
            second += sm_load_u64(&shard_at(m, i).size_word) >> 32
        if first == second and sm_load_u64(&m.sweep) == sweep:
            return total
    lock_all(m)
    total = 0
    for i in range(m.shard_count):
        total += block_of(shard_at(m, i).table).live
    unlock_all(m)
    return total


cdef int map_clear(MapCore m) except -1:
    """Takes all tables away at one point in time, then lets their entries go."""
    cdef PyObject** tables = <PyObject**>allocate(m.shard_count * sizeof(PyObject*), sizeof(void*))
    cdef uint32_t i
    cdef Shard* shard
    if tables == NULL:
        raise MemoryError()
    sm_note_use(<PyObject*>m, &m.seen)
    lock_all(m)
    sm_store_u64(&m.sweep, m.sweep + 1)
    sm_fence_release()
    for i in range(m.shard_count):
        shard = shard_at(m, i)
        tables[i] = shard.table
        shard.table = NOTHING
        shard.epoch += 1
        note_size(shard, &no_entries)
    sm_store_u64(&m.sweep, m.sweep + 1)
    unlock_all(m)
    for i in range(m.shard_count):
        table_release(tables[i])
    free(tables)
    return 0


cdef PyObject** map_share_tables(MapCore m, Py_ssize_t* live) except NULL:
    """One reference and share of every table, all at one point in time: a snapshot. O(shards)."""
    cdef PyObject** tables = <PyObject**>allocate(m.shard_count * sizeof(PyObject*), sizeof(void*))
    cdef uint32_t i
    if tables == NULL:
        raise MemoryError()
    live[0] = 0
    lock_all(m)
    for i in range(m.shard_count):
        tables[i] = shard_at(m, i).table
        table_share(tables[i])
        live[0] += block_of(tables[i]).live
    unlock_all(m)
    return tables
