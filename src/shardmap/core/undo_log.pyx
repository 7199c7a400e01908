# Iterating over a map without making its writers copy: what iterators still need is kept when it is overwritten.
#
# An iterator shows one point in time. A snapshot does that by sharing the tables, and a writer copies a shared table
# first. For an iterator, which most often lives for a moment, that would be too much: `for k in m: del m[k]; break`
# would copy all of the map. So an iterator pins the tables: it notes in each how many entries there are (later ones are
# not its own). A writer that finds a table pinned, but not shared otherwise, changes it in place; the key and value
# that go are first put into the table's undo log, if an iterator has not passed that entry and they are not there for
# it already. (As databases keep old versions for consistent reads; Bernstein and others, Concurrency Control and
# Recovery in Database Systems, 1987, chapter 5.) What an iterator reads of an entry is the oldest version that is
# younger than the iterator, else what the entry holds.
#
# A pin adds PIN_SHARES to the table's `cow_refs`. So whoever asks for "one share" finds that there is something to look
# at, and nobody else pays for iterators. A pinned block is never replaced in its table: where that is needed (to grow,
# for a snapshot's sake, where the log has become as large as the table) the writer copies the table, and leaves it,
# with its log, to the iterators.
#
# Pins are set under the mutexes of all shards; they go without. The log has a lock of one byte, which is held for a few
# instructions of an attached thread in which nothing can stop. Under a mutex nobody waits for it: a writer that does
# not get it copies the table.

cdef uint64_t PIN_SHARES = <uint64_t>1 << 32        # in Table.cow_refs: shares are counted below


cdef bint lock_log_soon(UndoLog* log) noexcept nogil:
    """Tries for a moment, attached."""
    cdef int _
    for _ in range(LOCK_SPINS):
        if sm_byte_try(&log.lock):
            return True
        sm_pause()
    return False


cdef inline void lock_log(UndoLog* log) noexcept nogil:
    """Not under a mutex. Its holders are attached and do not stop, so this neither detaches nor waits for long."""
    while not lock_log_soon(log):
        sm_yield()


# --- Versions ---

cdef inline uint32_t* slot_of_version(UndoLog* log, uint32_t entry) noexcept nogil:
    """Where the index has the entry's last version, or would have it. There is an index."""
    cdef uint32_t mask = 2 * log.room - 1, slot = (entry * <uint32_t>0x9E3779B1) & mask
    while log.latest[slot] != 0 and log.versions[log.latest[slot] - 1].entry != entry:
        slot = (slot + 1) & mask
    return &log.latest[slot]


cdef inline uint32_t last_version(UndoLog* log, uint32_t entry) noexcept nogil:
    """Its number, plus one; 0: none."""
    return slot_of_version(log, entry)[0] if log.count != 0 else 0


cdef OldVersion* version_for(UndoLog* log, Pin* pin, uint32_t entry) noexcept nogil:
    """What the entry held when the iterator began; NULL: what it holds now."""
    cdef OldVersion* found = NULL
    cdef uint32_t number = last_version(log, entry)
    while number > pin.since:
        found = &log.versions[number - 1]
        number = found.before
    return found


cdef bint is_needed(UndoLog* log, uint32_t entry) noexcept nogil:
    """Whether what the entry holds must be kept: an iterator may come to it, and has no version of it so far."""
    cdef uint32_t last = last_version(log, entry), position
    cdef Pin* pin = log.pins
    cdef int _
    for _ in range(PINS_LOOKED_AT):
        if pin == NULL or pin.since < last:     # and so have all older ones
            return False
        position = sm_load_u32(&pin.position)       # acquire: what was passed was read before it changes
        if entry < sm_load_u32(&pin.end) and (entry <= position if pin.backward else entry >= position):
            return True
        pin = pin.next
    # So many have passed it. With one version more, needed or not, none of them is looked at for this entry again.
    return pin != NULL


cdef bint make_room_for_version(UndoLog* log) noexcept nogil:
    cdef uint32_t room = max(2 * log.room, FIRST_ROOM), i
    cdef OldVersion* versions
    if log.count < log.room:
        return True
    versions = <OldVersion*>allocate(room * (sizeof(OldVersion) + 2 * sizeof(uint32_t)), sizeof(void*))
    if versions == NULL:
        return False
    if log.count != 0:
        memcpy(versions, log.versions, log.count * sizeof(OldVersion))
    free(log.versions)
    log.versions = versions
    log.latest = <uint32_t*>(versions + room)
    log.room = room
    memset(log.latest, 0, 2 * room * sizeof(uint32_t))
    for i in range(log.count):
        slot_of_version(log, versions[i].entry)[0] = i + 1      # later ones replace earlier ones
    return True


cdef bint keep_version(UndoLog* log, Block* block, uint32_t entry) noexcept:
    cdef OldVersion* version
    cdef uint32_t* slot
    if log.count > 2 * block.live + FIRST_ROOM or not make_room_for_version(log):
        return False
    slot = slot_of_version(log, entry)
    version = &log.versions[log.count]
    version.entry = entry
    version.before = slot[0]
    version.key = new_reference(block.entries[entry].key)
    version.value = block.entries[entry].value
    value_incref(version.value)
    slot[0] = log.count + 1
    sm_store_u32(&log.count, log.count + 1)     # the entry is changed by release stores, after this
    return True


# --- Writers ---

cdef bint only_iterators_locked(Shard* shard) noexcept:
    """Whether nobody but iterators shares the shard's table."""
    require_locked(shard)
    return <uint32_t>sm_load_u64(&(<Table>shard.table).cow_refs) == 1


cdef bint may_change_in_place_locked(Access* at, bint is_present) noexcept:
    """Of a table that is shared: whether the entry that was found may change, or one be added. What iterators need of
    it is kept then."""
    require_locked(at.shard)
    cdef UndoLog* log = <UndoLog*>sm_load_ptr(<void**>&(<Table>at.shard.table).log)
    cdef bint kept = True
    if not only_iterators_locked(at.shard):
        return False
    if not is_present:
        return not is_full(at.found.block)
    if log == NULL:             # it was a snapshot, which has gone
        return True
    if not lock_log_soon(log):
        return False
    if is_needed(log, at.found.entry):
        kept = keep_version(log, at.found.block, at.found.entry)
    sm_byte_unlock(&log.lock)
    return kept


# --- Iterators ---

cdef UndoLog* log_of(Table table) noexcept nogil:
    """The table's log, made if there is none. NULL: no memory. Two maps that share the table may ask at once."""
    cdef UndoLog* log = <UndoLog*>sm_load_ptr(<void**>&table.log)
    cdef UndoLog* fresh
    if log == NULL:
        fresh = <UndoLog*>allocate(sizeof(UndoLog), sizeof(void*))
        if fresh == NULL:
            return NULL
        memset(fresh, 0, sizeof(UndoLog))
        log = <UndoLog*>sm_put_if_null(<void**>&table.log, fresh)
        if log != fresh:
            free(fresh)
    return log


cdef bint pin_locked(Shard* shard, Pin* pin, bint backward) noexcept:
    """False if there is no memory, or the log's lock is taken."""
    require_locked(shard)
    cdef Table table = <Table>shard.table
    cdef Block* block = block_of(shard.table)
    cdef UndoLog* log = log_of(table)
    if log == NULL or not lock_log_soon(log):
        return False
    pin.table = new_reference(shard.table)
    pin.log = log
    pin.end = block.used
    pin.since = log.count
    pin.backward = backward
    pin.position = end_of_entries(block) - 1 if backward else first_entry(block)
    link_pin(log, pin, NULL)
    sm_byte_unlock(&log.lock)
    sm_add_u64(&table.cow_refs, PIN_SHARES)
    return True


cdef void link_pin(UndoLog* log, Pin* pin, Pin* before) noexcept nogil:
    """Behind another one, or as the first."""
    cdef Pin** link = &log.pins if before == NULL else &before.next
    pin.previous = before
    pin.next = link[0]
    if pin.next != NULL:
        pin.next.previous = pin
    link[0] = pin


cdef void copy_pin(Pin* copy, Pin* pin) noexcept:
    """For a second iterator that goes on from there. The first one stays meanwhile."""
    cdef UndoLog* log = pin.log
    copy[0] = pin[0]
    incref(copy.table)
    lock_log(log)
    link_pin(log, copy, pin)
    sm_byte_unlock(&log.lock)
    sm_add_u64(&(<Table>pin.table).cow_refs, PIN_SHARES)


cdef void unpin(Pin* pin) noexcept:
    """May run any code. Not under a mutex."""
    cdef Table table = <Table>steal(pin.table)
    cdef UndoLog* log = pin.log
    cdef OldVersion* versions = NULL
    cdef uint32_t count = 0
    lock_log(log)
    if pin.previous != NULL:
        pin.previous.next = pin.next
    else:
        log.pins = pin.next
    if pin.next != NULL:
        pin.next.previous = pin.previous
    if log.pins == NULL:
        versions = log.versions
        count = log.count
        forget_versions(log)
    sm_byte_unlock(&log.lock)
    sm_add_u64(&table.cow_refs, <uint64_t>-<int64_t>PIN_SHARES)
    free_versions(versions, count)


cdef inline void forget_versions(UndoLog* log) noexcept nogil:
    log.versions = NULL
    log.latest = NULL
    log.room = 0
    sm_store_u32(&log.count, 0)


cdef void free_versions(OldVersion* versions, uint32_t count) noexcept:
    """May run any code."""
    cdef uint32_t i
    for i in range(count):
        decref(versions[i].key)
        value_decref(versions[i].value)
    free(versions)


cdef void free_log(UndoLog* log) noexcept:
    """With its table: nobody iterates any more."""
    if log != NULL:
        free_versions(log.versions, log.count)
        free(log)


cdef bint has_version(Pin* pin, uint32_t entry) noexcept nogil:
    """Whether an entry that is gone now was there when the iterator began."""
    cdef UndoLog* log = pin.log
    cdef bint has
    if sm_load_u32(&log.count) == pin.since:
        return False
    lock_log(log)
    has = version_for(log, pin, entry) != NULL
    sm_byte_unlock(&log.lock)
    return has


cdef inline bint take_pinned(Pin* pin, Entry* entry, uint32_t number, int what, PyObject** key,
                             PyObject** value) noexcept:
    """References to what the entry at the iterator's position held when it began: the key, the value or both. False if
    the collector has emptied the table. Nothing in here stops."""
    cdef UndoLog* log = pin.log
    cdef PyObject* its_key = <PyObject*>sm_load_ptr(<void**>&entry.key)
    cdef PyObject* its_value = <PyObject*>sm_load_ptr(<void**>&entry.value)
    sm_sched_point()
    if sm_load_u32(&log.count) != pin.since:
        return take_version(log, pin, entry, number, what, key, value)
    # A version is kept before its entry changes, so this is what the entry held all the time. And it lives: whoever
    # changes the entry now gives the log references first, which stay as long as the pin.
    if its_key == NULL:
        return False
    reference_what(its_key, its_value, what, key, value)
    return True


cdef inline void reference_what(PyObject* its_key, PyObject* its_value, int what, PyObject** key,
                                PyObject** value) noexcept:
    if what != VALUES:
        key[0] = new_reference(its_key)
    if what != KEYS:
        value[0] = its_value
        value_incref(its_value)


cdef bint take_version(UndoLog* log, Pin* pin, Entry* entry, uint32_t number, int what, PyObject** key,
                       PyObject** value) noexcept:
    """The same where something has been kept since the iterator began."""
    cdef OldVersion* old
    cdef PyObject* its_key
    lock_log(log)
    old = version_for(log, pin, number)
    if old != NULL:
        its_key = old.key
        reference_what(its_key, old.value, what, key, value)
    else:       # nobody changes it while the log is locked: its version would have to be kept first
        its_key = entry.key
        if its_key != NULL:
            reference_what(its_key, entry.value, what, key, value)
    sm_byte_unlock(&log.lock)
    return its_key != NULL
