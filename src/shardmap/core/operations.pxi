# The operations on one key, and those on all shards at once. Each is linearizable: it takes effect at one
# point while it holds the mutex, or all mutexes.
#
# Old keys and values are collected under the mutex and let go after it.

cdef PyObject* deny_memory() except NULL:
    raise MemoryError()


cdef inline void leave(Position* at) noexcept:
    """Lets the mutex go, then what could not be let go under it."""
    unlock(at.shard)
    leave_behind(at)


cdef inline void leave_behind(Position* at) noexcept:
    if SM_READERS_MEET_WRITERS:
        if at.removed != NOTHING_REMOVED:
            wait_before_freeing(at)
        if at.full != NULL:
            empty_limbo(at.full)
            at.full = NULL
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
        publish(shard)
        shard.epoch += 1
        shard.copies += shared != NOTHING
        at.left = shared
        if SM_READERS_MEET_WRITERS and sm_reads_unlocked and shared != NOTHING:
            # Who shares the table may be alone with it as soon as we let it go, and then writes and frees in place,
            # looking at the users of another map only: this map's readers must have left it by then.
            at.removed = UNSEEN
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
    publish(at.shard)
    at.shard.epoch += 1
    at.block = new
    if old[0] != &no_entries and bury(at, <void*>(<uintptr_t>old[0] | 1), old[0].bytes):
        old[0] = NULL
    return True


cdef inline void retire(Block* block) noexcept:
    """Frees a block whose entries live on in another."""
    if block != NULL and block != &no_entries:
        block_free(block)


cdef bint insert_found_absent(Position* at, PyObject* key, PyObject* value) noexcept:
    """Inserts where find() ended, growing if need be; lets the mutex go. False when there is no memory."""
    cdef Block* old = NULL
    if is_full(at.block):
        if not make_room(at, grown(at.block.live), &old):
            leave(at)
            return False
        at.word = empty_word(at.block, at.place)
    incref(key)
    hold(value)
    announce_insertion(at.shard)
    append(at.block, at.word, at.place, sm_is_plain_key(key), key, value, sm_stamp_now())
    note_size(at.shard, at.block)
    leave(at)
    retire(old)
    return True


cdef Block* remove_found(Position* at, PyObject** key, PyObject** value) noexcept:
    """Removes the entry that find() found. The references are the caller's, and so is the block that is
    returned, if any, to retire(); all that after leave_behind()."""
    cdef Block* block = at.block
    cdef Block* old = NULL
    key[0] = block.entries[at.entry].key
    value[0] = block.entries[at.entry].value
    announce_removal(at.shard)
    take_out(block, at.word, at.entry)
    if SM_READERS_MEET_WRITERS and is_plain_entry(block, at.entry):
        # One reference for the caller, one that outlasts those who compare with the key just now.
        incref(key[0])
        if not bury(at, key[0], sm_plain_size(key[0])):
            decref(key[0])      # not the last
    if block.capacity > SMALL_INDEX and block.live < block.capacity // 8:
        # Give memory back, leaving room to grow into. Without memory to do it in: later.
        make_room(at, 2 * <uint64_t>block.live, &old)
    note_size(at.shard, at.block)
    return old


cdef inline bint has_box(PyObject* raw, PyObject* box) noexcept:
    """Whether `box`, an int or NULL, is the number that `raw` is."""
    cdef int overflow = 0
    return box != NULL and long_long_of(box, &overflow) == number_of(raw)


cdef bint is_boxed(Position* at, PyObject* raw, PyObject** box) except -1:
    """Whether the value that is about to be taken out is at hand as an object: itself, or a number's int in `box`.
    If not, makes it with the mutex let go, which is then held again, and the caller starts over: once the entry
    is out nothing may fail."""
    if not is_number(raw) or has_box(raw, box[0]):
        return True
    leave(at)
    if box[0] != NULL:
        decref(box[0])
        box[0] = NULL
    box[0] = boxed(raw)
    lock(at.shard)
    return False


# --- One key: reading ---

cdef inline Found map_get(MapCore m, PyObject* key, PyObject** value) except FAILED:
    """PRESENT: `value` is a reference of the caller's to the value as it stands in the entry (core/value.pxi)."""
    cdef Position at
    cdef Read seen
    sm_note_use(<PyObject*>m, &m.seen)
    aim(m, key, &at)
    seen = read_unlocked(m, &at, key, value)
    if seen != LOOK_AGAIN:
        return <Found>seen
    return get_locked(&at, key, value)


cdef Found get_locked(Position* at, PyObject* key, PyObject** value) except FAILED:
    cdef Found found = find(key, at)
    if found == PRESENT:
        value[0] = at.block.entries[at.entry].value
        if not is_number(value[0]):
            sm_allow_try_incref(value[0])       # the next reader needs no mutex
            incref(value[0])
    leave(at)
    return found


cdef inline Found map_contains(MapCore m, PyObject* key) except FAILED:
    cdef Position at
    cdef Found found
    cdef Read seen
    sm_note_use(<PyObject*>m, &m.seen)
    aim(m, key, &at)
    seen = read_unlocked(m, &at, key, NULL)
    if seen != LOOK_AGAIN:
        return <Found>seen
    found = find(key, &at)
    leave(&at)
    return found


cdef Found map_get_object(MapCore m, PyObject* key, PyObject** value) except FAILED:
    """The same, as an object."""
    cdef Found found = map_get(m, key, value)
    if found == PRESENT:
        value[0] = boxed(value[0])
    return found


# --- One key: writing ---
#
# One loop for all: find the key; wait if another thread holds the key's lock; get the shard a table of its
# own; each of these may let the mutex go, and then it starts over. What is left is done in one go.

cdef enum Write:
    ALWAYS = 0              # insert or overwrite
    IF_ABSENT = 1           # insert only
    IF_PRESENT = 2          # overwrite only
    IF_SAME = 3             # only where the entry holds `expected` itself; NULL: only where there is no entry


cdef Found map_write(MapCore m, PyObject* key, PyObject* value, Write when, PyObject* expected,
                     PyObject** old, KeyLock* granted) except FAILED:
    """Writes `value` as `when` says; a value of NULL removes. The answer tells whether there was an entry; for
    IF_SAME, whether it was done. `old`, if not NULL: a reference to the value that was there, as an object
    (for IF_ABSENT, to the one that is there)."""
    cdef Position at
    sm_note_use(<PyObject*>m, &m.seen)
    aim(m, key, &at)
    lock(at.shard)
    return write_locked(&at, key, value, when, expected, old, granted)


cdef Found write_locked(Position* at, PyObject* key, PyObject* value, Write when, PyObject* expected,
                        PyObject** old, KeyLock* granted) except FAILED:
    """The same with the key aimed at and the mutex held; lets it go."""
    cdef Pass way
    cdef Found found
    cdef PyObject* box = NULL
    cdef PyObject* old_key = NULL
    cdef PyObject* old_value
    cdef Block* old_block
    cdef bint wanted
    start_pass(&way, granted)
    try:
        while True:
            found = find_locked(key, at)
            if at.shard.key_locks != NULL and not may_pass(at, key, &way):
                continue
            wanted = True
            old_value = NULL
            if found == PRESENT:
                old_value = at.block.entries[at.entry].value
                if when == IF_ABSENT:
                    if old != NULL:
                        old[0] = old_value
                        hold(old_value)
                    wanted = False
                elif when == IF_SAME:
                    wanted = old_value == expected
                    if not wanted:
                        found = ABSENT
                elif old_value == value and old == NULL:
                    wanted = False      # nothing to write: the entry's cache line stays with its readers
            elif when == IF_PRESENT or value == NULL and when == ALWAYS:
                wanted = False
            elif when == IF_SAME:
                wanted = expected == NULL and value != NULL
                if expected == NULL:
                    found = PRESENT
            if not wanted:
                leave(at)
                if when == IF_ABSENT and old != NULL and found == PRESENT:
                    old[0] = boxed(old_value)
                return found
            if is_shared(at.shard.table):
                make_writable(at)
                continue
            if old_value == NULL:
                if not insert_found_absent(at, key, value):
                    deny_memory()
                return found
            if old != NULL and not is_boxed(at, old_value, &box):
                continue
            if value == NULL:
                old_block = remove_found(at, &old_key, &old_value)
                leave(at)
                retire(old_block)
                decref(old_key)
            else:
                hold(value)
                put_value(at.block, at.entry, value)
                leave(at)
            if old == NULL:
                let_go(old_value)
            elif is_number(old_value):
                old[0] = box
                box = NULL
            else:
                old[0] = old_value
            return found
    finally:
        if box != NULL:
            decref(box)
        if way.held != NULL:
            release_key_lock(at.shard, way.held)


cdef Found map_set(MapCore m, PyObject* key, PyObject* value) except FAILED:
    """map_write(ALWAYS) with the usual cases, in a table of one's own, in front."""
    cdef Position at
    cdef PyObject* old = NULL
    sm_note_use(<PyObject*>m, &m.seen)
    aim(m, key, &at)
    if overwrite_found(&at, key, value, &old):
        let_go_if(old)
        return PRESENT
    if find(key, &at) == ABSENT and at.shard.key_locks == NULL and not is_shared(at.shard.table):
        if not insert_found_absent(&at, key, value):
            deny_memory()
        return ABSENT
    return write_locked(&at, key, value, ALWAYS, NULL, NULL, NULL)


cdef bint map_add(MapCore m, PyObject* key, PyObject* delta, PyObject* default, PyObject** total) except -1:
    """Adds where no Python code is needed: exact ints of 63 bits and exact floats. False, and nothing done, where it
    is. `total`: a reference to the sum."""
    cdef Position at
    sm_note_use(<PyObject*>m, &m.seen)
    aim(m, key, &at)
    return add_aimed(&at, key, delta, default, total)


cdef bint add_aimed(Position* at, PyObject* key, PyObject* delta, PyObject* default, PyObject** total) except -1:
    """The same with the key aimed at."""
    cdef Pass way
    cdef Found found
    cdef int64_t number = 0, more = 0, first = 0
    cdef bint whole = as_number(delta, &more), floating = is_exact_float(delta)
    cdef PyObject* old = NULL
    cdef PyObject* new = NULL
    cdef PyObject* fresh = NULL         # a float that nobody else knows yet: made before, filled in under the mutex
    cdef double sum
    if not whole and not floating:
        return False
    start_pass(&way, NULL)
    lock(at.shard)
    try:
        while True:
            found = find_locked(key, at)
            if at.shard.key_locks != NULL and not may_pass(at, key, &way):
                continue
            old = at.block.entries[at.entry].value if found == PRESENT else default
            new = NULL
            if as_number(old, &number) and whole:
                if fits(number + more):
                    new = raw_of(number + more)
            elif not is_number(old) and is_exact_float(old) or floating and as_number(old, &number):
                if fresh == NULL:
                    leave(at)
                    fresh = new_float(0.0)
                    lock(at.shard)
                    continue
                sum = <double>number if is_number(old) or not is_exact_float(old) else float_value(old)
                sum += float_value(delta) if floating else <double>more
                set_float(fresh, sum)
                new = fresh
            if new == NULL:
                leave(at)
                return False
            if is_shared(at.shard.table):
                make_writable(at)
                continue
            if found == PRESENT:
                hold(new)
                put_value(at.block, at.entry, new)
                leave(at)
                let_go(old)
            elif not insert_found_absent(at, key, new):
                deny_memory()
            break
        hold(new)
        total[0] = boxed(new)
        return True
    finally:
        if fresh != NULL:
            decref(fresh)
        if way.held != NULL:
            release_key_lock(at.shard, way.held)


# --- All shards ---
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
    cdef Pass way
    cdef PyObject* last = NULL
    cdef PyObject* box = NULL
    cdef Block* old_block
    cdef Shard* chosen
    start_position(&at)
    start_pass(&way, NULL)
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
        while chosen.key_locks != NULL and not may_pass(&at, last, &way):
            pass
        if is_shared(chosen.table):
            make_writable(&at)
        leave(&at)
        while True:
            lock_all(m)
            if find_last(m, &at) != chosen or at.block.entries[at.entry].key != last or is_shared(chosen.table) or (
                    chosen.key_locks != NULL and locked_by_another(&at, last, &way)):
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
        if way.held != NULL:
            release_key_lock(chosen, way.held)      # not at.shard: the last entry may be another by now


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
    """Takes all tables away at one point in time, then lets their entries go. First gets hold of all key locks of
    other threads: what they compute from is then not taken away under them."""
    cdef PyObject** tables = <PyObject**>allocate(m.shard_count * 2 * sizeof(PyObject*), sizeof(void*))
    cdef Limbo** limbos = <Limbo**>(tables + m.shard_count)
    cdef uint32_t i
    cdef Shard* shard
    cdef HeldLock* held = NULL
    if tables == NULL:
        raise MemoryError()
    sm_note_use(<PyObject*>m, &m.seen)
    try:
        while True:
            lock_all(m)
            for i in range(m.shard_count):
                if shard_at(m, i).key_locks != NULL and foreign_lock(shard_at(m, i)) != NULL:
                    break
            else:
                break
            shard = shard_at(m, i)
            unlock_others(m, shard)
            take_foreign_lock(shard, &held)
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
