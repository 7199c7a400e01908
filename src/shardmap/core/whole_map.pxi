# The operations on all shards at once. Each is linearizable: it takes effect at one point while it holds all mutexes.
#
# An entry whose key another thread has locked is not popped or cleared before that lock is let go: the key's
# lock is taken first, in the queue, like any writer's.

cdef Found map_popitem(MapCore m, PyObject** key, PyObject** value) except FAILED:
    """Removes the entry inserted last; the references are the caller's. Takes all mutexes."""
    cdef Position at
    cdef Shard* chosen
    cdef Block* old_block
    sm_note_use(<PyObject*>m, &m.seen)
    start_position(&at)
    while True:
        lock_all(m)
        chosen = find_last(m, &at)
        if chosen == NULL:
            unlock_all(m)
            return ABSENT
        if is_shared(chosen.table) or chosen.key_locks != NULL or is_number(at.block.entries[at.entry].value):
            # Not to be done with all mutexes held. Meanwhile another entry may become the last.
            unlock_all(m)
            if popitem_slowly(m, key, value):
                return PRESENT
            continue
        old_block = remove_found(&at, key, value)
        unlock_all(m)
        leave_behind(&at)
        retire(old_block)
        return PRESENT


cdef Shard* find_last(MapCore m, Position* at) noexcept:
    """Aims at the entry inserted last. With all mutexes."""
    cdef uint32_t i, end
    cdef uint64_t latest = 0
    cdef Shard* shard
    cdef Block* block
    cdef Shard* chosen = NULL
    for i in range(m.shard_count):
        shard = shard_at(m, i)
        block = block_of(shard.table)
        end = end_of_entries(block)
        if end != 0 and (chosen == NULL or block.stamps[end - 1] >= latest):
            chosen = at.shard = shard
            latest = block.stamps[end - 1]
            at.block = block
            at.entry = end - 1
    if chosen != NULL:
        at.word = word_of_entry(at.block, at.entry)
        at.place = place_of_entry(at.block, at.entry)
    return chosen


cdef void unlock_others(MapCore m, Shard* kept) noexcept:
    cdef uint32_t i
    for i in range(m.shard_count):
        if shard_at(m, i) != kept:
            unlock(shard_at(m, i))


cdef bint popitem_slowly(MapCore m, PyObject** key, PyObject** value) except -1:
    """Tries to pop the entry that is the last, step by step; False if something came between."""
    cdef Position at
    cdef KeyLockCheck check
    cdef PyObject* last = NULL
    cdef PyObject* box = NULL
    cdef Block* old_block
    cdef Shard* chosen
    start_position(&at)
    start_check(&check, 0)
    lock_all(m)
    chosen = find_last(m, &at)
    if chosen == NULL:
        unlock_all(m)
        return False
    last = at.block.entries[at.entry].key
    incref(last)
    unlock_others(m, chosen)
    try:
        # With the one mutex: a table of the shard's own, an int for a number, the key's lock if it has one.
        while chosen.key_locks != NULL and check_key_lock(&at, last, &check) == START_AGAIN:
            pass
        if is_shared(chosen.table):
            make_writable(&at)
        leave(&at)
        while True:
            lock_all(m)
            if find_last(m, &at) != chosen or at.block.entries[at.entry].key != last or is_shared(chosen.table) or (
                    chosen.key_locks != NULL and locked_by_another(&at, last, &check)):
                unlock_all(m)
                return False
            if is_number(at.block.entries[at.entry].value) and not has_box(at.block.entries[at.entry].value, box):
                value[0] = at.block.entries[at.entry].value
                unlock_all(m)
                if box != NULL:
                    decref(box)
                    box = NULL
                box = boxed(value[0])
                continue
            break
        old_block = remove_found(&at, key, value)
        unlock_all(m)
        leave_behind(&at)
        retire(old_block)
        if is_number(value[0]):
            value[0] = box
            box = NULL
        return True
    finally:
        decref(last)
        if box != NULL:
            decref(box)
        end_check(chosen, &check)       # not at.shard: the last entry may be another by now


cdef Py_ssize_t map_len(MapCore m) noexcept:
    """Entries at one point in time. Without locks if two collections of all shards' sizes agree (with their
    versions: the double collect of Afek et al., Atomic snapshots of shared memory, 1993), else with all."""
    cdef int attempt
    cdef uint32_t i
    cdef uint64_t sweep, first, second, word, odd
    cdef Py_ssize_t total = 0
    for attempt in range(3):
        sweep = sm_load_u64(&m.sweep)
        if sweep & 1:
            break
        total = 0
        first = second = odd = 0
        for i in range(m.shard_count):
            word = sm_load_u64(&shard_at(m, i).size_word)
            total += <uint32_t>word
            first += word >> 32
            odd |= word >> 32
        for i in range(m.shard_count):
            second += sm_load_u64(&shard_at(m, i).size_word) >> 32
        if not odd & 1 and first == second and sm_load_u64(&m.sweep) == sweep:
            return total
    lock_all(m)
    total = 0
    for i in range(m.shard_count):
        total += block_of(shard_at(m, i).table).live
    unlock_all(m)
    return total


cdef int map_clear(MapCore m) except -1:
    """Takes all tables away at one point in time, then lets their entries go. First gets hold of the locks that blocks of
    others have on entries: what is there is then not taken away under them. What is being computed is overtaken."""
    cdef PyObject** tables = <PyObject**>allocate(m.shard_count * 2 * sizeof(PyObject*), sizeof(void*))
    cdef Limbo** limbos = <Limbo**>(tables + m.shard_count)
    cdef uint32_t i
    cdef Shard* shard
    cdef HeldLock* held = NULL
    cdef Caller caller
    if tables == NULL:
        raise MemoryError()
    sm_note_use(<PyObject*>m, &m.seen)
    start_caller(&caller)
    try:
        while True:
            lock_all(m)
            shard = first_shard_to_wait_for(m, &caller)
            if shard == NULL:
                break
            if caller.is_known:
                unlock_others(m, shard)
                take_foreign_lock(shard, &caller, &held)
            else:
                unlock_all(m)
                know_caller(&caller)
        sm_store_u64(&m.sweep, m.sweep + 1)
        sm_fence_release()
        for i in range(m.shard_count):
            shard = shard_at(m, i)
            tables[i] = shard.table
            shard.table = NOTHING
            publish(shard)
            limbos[i] = shard.limbo
            shard.limbo = NULL
            shard.epoch += 1
            note_size(shard, &no_entries)
        sm_store_u64(&m.sweep, m.sweep + 1)
        unlock_all(m)
        if SM_READERS_MEET_WRITERS and sm_reads_unlocked:
            sm_fence_after_unlock()
            if sm_load_u8(&m.seen):
                sm_wait_for_readers()
        release_all_held(&held)
        for i in range(m.shard_count):
            if limbos[i] != NULL:
                empty_limbo(limbos[i])
            table_release(tables[i])
    finally:
        release_all_held(&held)
        context_clear(&caller.context)
        free(tables)
    return 0


cdef Shard* first_shard_to_wait_for(MapCore m, Caller* caller) noexcept:
    """Before clear(), with all mutexes. NULL: none. The first with a key lock at all as long as the caller is not
    known."""
    cdef uint32_t i
    for i in range(m.shard_count):
        if shard_at(m, i).key_locks != NULL:
            if not caller.is_known or foreign_lock(shard_at(m, i), caller) != NULL:
                return shard_at(m, i)
    return NULL


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
