# The operations on one key. Each is linearizable: it takes effect at one point while it holds the mutex.
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


cdef int make_writable_where_found(Position* at, bint is_present, PyObject** equal) except -1:
    """make_writable() in the middle of an operation that starts over then. A stored key that only Python can compare is not
    compared again: the caller lets `equal` go at its end."""
    if is_present and equal[0] == NULL and not is_plain_entry(at.block, at.entry):
        at.equal = equal[0] = new_reference(at.block.entries[at.entry].key)
    return make_writable(at)


cdef bint make_room(Position* at, uint64_t wanted, Block** old) noexcept:
    """Replaces the block of a table that only this shard holds. Under the mutex, attached. The caller frees
    `old` later. False, and nothing done, when there is no memory."""
    cdef Block* new = rebuilt(at.block, wanted)
    if new == NULL:
        return False
    trace_memory(new, new.bytes)
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

cdef inline void let_go_if(PyObject* raw) noexcept:
    if raw != NULL:
        let_go(raw)


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


cdef Found map_get_found(MapCore m, Position* at, PyObject* key, PyObject** value, FoundEntry* where) except FAILED:
    """The same with the key aimed at; remembers the entry if the key was compared by Python code."""
    cdef Read seen
    where.is_valid = False
    sm_note_use(<PyObject*>m, &m.seen)
    seen = read_unlocked(m, at, key, value)
    if seen != LOOK_AGAIN:
        return <Found>seen
    lock(at.shard)
    return get_held(at, key, value, where)


cdef Found get_locked(Position* at, PyObject* key, PyObject** value) except FAILED:
    cdef FoundEntry where
    where.is_valid = False
    lock(at.shard)
    return get_held(at, key, value, &where)


cdef Found get_held(Position* at, PyObject* key, PyObject** value, FoundEntry* where) except FAILED:
    """With the mutex held; lets it go."""
    cdef Found found = find_again_locked(key, at, where)
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

cdef struct WriteRequest:
    PyObject* value         # NULL: remove
    Write when
    PyObject* expected      # for IF_SAME
    PyObject** old          # where to put a reference to the value before, as an object, or NULL; for IF_ABSENT, to
                            # the one that is there
    uint64_t grant          # of the key's lock that the caller holds; 0: none
    FoundEntry found        # where the key was found by the caller
    uint64_t* sweep         # NULL; or the map's, and nothing is written if it is not
    uint64_t same_sweep     # this one any more


cdef inline WriteRequest request_to_write(PyObject* value) noexcept:
    cdef WriteRequest request
    request.value = value
    request.when = ALWAYS
    request.expected = NULL
    request.old = NULL
    request.grant = 0
    request.found.is_valid = False
    request.sweep = NULL
    return request


cdef Found map_write(MapCore m, PyObject* key, WriteRequest* request) except FAILED:
    """Writes as the request says. The answer tells whether there was an entry; for IF_SAME, whether it was done."""
    cdef Position at
    sm_note_use(<PyObject*>m, &m.seen)
    aim(m, key, &at)
    return write_aimed(&at, key, request)


cdef Found map_exchange(MapCore m, PyObject* key, PyObject* value, Write when, PyObject** old) except FAILED:
    cdef WriteRequest request = request_to_write(value)
    request.when = when
    request.old = old
    return map_write(m, key, &request)


cdef Found map_remove(MapCore m, PyObject* key, PyObject** old) except FAILED:
    return map_exchange(m, key, NULL, ALWAYS, old)


cdef inline Found write_aimed(Position* at, PyObject* key, WriteRequest* request) except FAILED:
    """The same with the key aimed at."""
    lock(at.shard)
    return write_locked(at, key, request)


cdef Found write_locked(Position* at, PyObject* key, WriteRequest* request) except FAILED:
    """The same with the mutex held; lets it go."""
    cdef KeyLockCheck check
    cdef Write when = request.when
    cdef PyObject* value = request.value
    cdef PyObject** old = request.old
    cdef Found found
    cdef PyObject* box = NULL
    cdef PyObject* old_key = NULL
    cdef PyObject* old_value
    cdef PyObject* equal = NULL
    cdef Block* old_block
    cdef bint wanted
    start_check(&check, request.grant)
    try:
        while True:
            found = find_again_locked(key, at, &request.found)
            if at.shard.key_locks != NULL and check_key_lock(at, key, &check) == START_AGAIN:
                continue
            if request.sweep != NULL and request.sweep[0] != request.same_sweep:
                leave(at)
                return ABSENT
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
                    wanted = old_value == request.expected
                    if not wanted:
                        found = ABSENT
                elif old_value == value and old == NULL:
                    wanted = False      # nothing to write: the entry's cache line stays with its readers
            elif when == IF_PRESENT or value == NULL and when == ALWAYS:
                wanted = False
            elif when == IF_SAME:
                wanted = request.expected == NULL and value != NULL
                if request.expected == NULL:
                    found = PRESENT
            if not wanted:
                leave(at)
                if when == IF_ABSENT and old != NULL and found == PRESENT:
                    old[0] = boxed(old_value)
                return found
            if is_shared(at.shard.table):
                make_writable_where_found(at, old_value != NULL, &equal)
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
        let_go_if(equal)
        let_go_if(box)
        end_check(at.shard, &check)


cdef Found map_set(MapCore m, PyObject* key, PyObject* value) except FAILED:
    """Inserts or overwrites: map_write() with the usual cases, in a table of one's own, in front."""
    cdef Position at
    cdef WriteRequest request
    cdef Found found
    cdef PyObject* old = NULL
    if value == <PyObject*>no_value:
        refuse_missing()
    sm_note_use(<PyObject*>m, &m.seen)
    aim(m, key, &at)
    if overwrite_found(&at, key, value, &old):
        let_go_if(old)
        return PRESENT
    found = find(key, &at)
    if at.shard.key_locks == NULL and not is_shared(at.shard.table):
        if found == ABSENT:
            if not insert_found_absent(&at, key, value):
                deny_memory()
            return ABSENT
        old = at.block.entries[at.entry].value
        hold(value)
        put_value(at.block, at.entry, value)
        leave(&at)
        let_go(old)
        return PRESENT
    request = request_to_write(value)
    if found == PRESENT:
        remember_entry(&at, &request.found)
    return write_locked(&at, key, &request)


cdef int refuse_missing() except -1:
    raise ValueError("MISSING stands for no value: it cannot be stored")


cdef inline PyObject* storable(PyObject* value) except NULL:
    """The value; ValueError if it is MISSING."""
    if value == <PyObject*>no_value:
        refuse_missing()
    return value


cdef bint map_add(MapCore m, PyObject* key, PyObject* delta, PyObject* default, PyObject** total) except -1:
    """Adds where no Python code is needed: exact ints of 63 bits and exact floats. False, and nothing done, where it
    is. `total`: a reference to the sum."""
    cdef Position at
    sm_note_use(<PyObject*>m, &m.seen)
    aim(m, key, &at)
    return add_aimed(&at, key, delta, default, total)


cdef bint add_aimed(Position* at, PyObject* key, PyObject* delta, PyObject* default, PyObject** total) except -1:
    """The same with the key aimed at."""
    cdef KeyLockCheck check
    cdef FoundEntry where
    cdef Found found
    cdef int64_t number = 0, more = 0, first = 0
    cdef bint whole = as_number(delta, &more), floating = is_exact_float(delta)
    cdef PyObject* old = NULL
    cdef PyObject* new = NULL
    cdef PyObject* equal = NULL
    cdef PyObject* fresh = NULL         # a float that nobody else knows yet: made before, filled in under the mutex
    cdef double sum
    if not whole and not floating:
        return False
    start_check(&check, 0)
    where.is_valid = False
    lock(at.shard)
    try:
        while True:
            found = find_again_locked(key, at, &where)
            if at.shard.key_locks != NULL and check_key_lock(at, key, &check) == START_AGAIN:
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
                make_writable_where_found(at, found == PRESENT, &equal)
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
        let_go_if(equal)
        let_go_if(fresh)
        end_check(at.shard, &check)
