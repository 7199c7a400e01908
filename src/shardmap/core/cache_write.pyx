# Writing to a cache: one loop, as core/write_key.pyx, that also makes room.
#
# The bound. `total` is the weight of all entries that are in the cache or about to be inserted. Weight is added before
# an entry is inserted, and only as far as the bound allows. It is subtracted after an entry is removed. So the bound
# holds at every moment. In a full cache, a writer removes an entry of its own shard and inserts its own: `total` does
# not change, and is not written. If a writer has freed weight that it does not use, it subtracts it before any user
# code runs (RemovedEntries.freed).
#
# The policy chooses the entry to evict, in the writer's own shard. If that shard has none, because other shards have
# all of the weight, an entry of another shard is evicted. The writer then releases its own mutex first, because a
# thread never waits for a mutex while it holds another.

cdef inline CacheShard* cache_shard(CacheCore c, Shard* shard) noexcept nogil:
    cdef Layout* layout = c.entries.layout
    return known_of(c, <uint32_t>((<char*>shard - layout.shards) // stride_for(sizeof(Shard))))


cdef inline CacheShard* known_of(CacheCore c, uint32_t number) noexcept nogil:
    """What is known of a shard's entries: on cache lines of its own."""
    return <CacheShard*>(c.shards + number * stride_for(sizeof(CacheShard)))


cdef inline void follow_block_locked(CacheShard* known, Shard* shard) noexcept:
    """Where another block has taken the place of the one that positions are of. Holes were closed."""
    require_locked(shard)
    if known.layout_version != shard.layout_version:
        known.layout_version = shard.layout_version
        policy_moved(&known.policy)
        cursor_moved(&known.swept)


cdef inline int64_t weight_of_entry(CacheCore c, Block* block, uint32_t entry) noexcept:
    return column_of(block, c.columns, WEIGHTS)[entry] if c.columns & WEIGHTS else 1


cdef inline void forget_entry_locked(CacheCore c, CacheShard* known, Block* block, uint32_t entry,
                                     RemovalKind kind) noexcept:
    """Before an entry goes."""
    policy_removed(&known.policy, block, entry, kind == REMOVED_AS_EVICTED)
    cursor_removed(&known.swept, entry)
    known.removals[<int>kind] += 1


cdef bint remove_entry_locked(CacheCore c, Access* at, uint32_t entry, RemovalKind kind,
                              RemovedEntries* removals) except -1:
    """Removes an entry of the shard, whatever `at` is aimed at. There is room among `removals`. False: the mutex was
    released meanwhile, and perhaps nothing done, or positions have changed. Raises without the mutex."""
    require_locked(at.shard)
    cdef LookupResult aimed_at = at.found
    cdef CacheShard* known = cache_shard(c, at.shard)
    cdef Block* block = block_of(at.shard.table)
    cdef Block* replaced
    cdef PyObject* key
    cdef PyObject* value
    at.found.block = block
    at.found.entry = entry
    if is_shared(at.shard.table) and not may_change_in_place_locked(at, True):
        copy_shared_table_locked(at)
        return False
    at.found.slot = slot_of_entry(block, entry)
    follow_block_locked(known, at.shard)
    forget_entry_locked(c, known, block, entry, kind)
    removals.freed += weight_of_entry(c, block, entry)
    replaced = delete_locked(at, &key, &value)
    note_removal(removals, key, value, kind)
    if at.found.block != block:
        if replaced != NULL:
            unlock_and_reclaim(at)
            free_replaced_block(replaced)
            lock(at.shard)
        return False
    at.found = aimed_at
    return True


cdef bint make_room_locked(CacheCore c, Access* at, int64_t needed, RemovedEntries* removals) except -1:
    """Has so much weight free for the caller: in `removals.freed`, to be subtracted there. False: not yet, and the
    caller starts over, since the mutex was released meanwhile, or positions have changed, or there is no room for
    removals."""
    require_locked(at.shard)
    cdef uint32_t victim = 0
    while removals.freed < needed:
        if sm_add_up_to(c.total, needed - removals.freed, c.most):
            removals.freed = needed
            break
        if not has_room_for_removal(removals):
            tell_removals_and_lock_again(c, at, removals)
            return False
        if not find_victim_locked(c, at.shard, &victim):
            unlock_and_reclaim(at)
            if not make_room_elsewhere(c, at.shard, removals):
                # Other writers have what there is, and wait for more, as this one does: who gives back lets one go on.
                tell_removals(c, removals)
                nap_detached(1)
            lock(at.shard)
            return False
        if not remove_entry_locked(c, at, victim, REMOVED_AS_EVICTED, removals):
            return False
        if victim == at.found.entry:        # it may be the one that is to be overwritten
            return False
    return True


cdef bint make_room_elsewhere(CacheCore c, Shard* own, RemovedEntries* removals) except -1:
    """Evicts one entry of another shard: the next one round that has any. False: none has."""
    cdef Layout* layout = layout_of(c.entries)
    cdef uint32_t first = <uint32_t>((<char*>cache_shard(c, own) - c.shards) // stride_for(sizeof(CacheShard))), i
    for i in range(1, layout.shard_count):
        if remove_victim(c, shard_in(layout, (first + i) % layout.shard_count), REMOVED_AS_EVICTED, removals):
            return True
    if was_cleared_as_garbage(layout):
        count_weight(c)
    return False


cdef bint remove_victim(CacheCore c, Shard* shard, RemovalKind kind, RemovedEntries* removals) except -1:
    """What is to go next of a shard, if there is room among `removals`. False: it has nothing. True and nothing
    removed: look again."""
    cdef Access at
    cdef uint32_t victim = 0
    cdef bint found
    aim_at_shard(shard, &at)
    lock(shard)
    found = find_victim_locked(c, shard, &victim)
    if found:
        remove_entry_locked(c, &at, victim, kind, removals)
    unlock_and_reclaim(&at)
    return found


cdef bint find_victim_locked(CacheCore c, Shard* shard, uint32_t* victim) noexcept:
    require_locked(shard)
    cdef CacheShard* known = cache_shard(c, shard)
    cdef Block* block = block_of(shard.table)
    follow_block_locked(known, shard)
    return policy_victim(&known.policy, block, marks_of(block, c.columns), victim)


cdef bint was_cleared_as_garbage(Layout* layout) noexcept:
    """By the collector, which tells nobody; a finalizer may still use the cache."""
    cdef uint32_t i
    for i in range(layout.shard_count):
        if (<Table>shard_in(layout, i).table).emptied != NULL:
            return True
    return False


cdef int tell_removals_and_lock_again(CacheCore c, Access* at, RemovedEntries* removals) except -1:
    """In the middle of an operation, which starts over then."""
    require_locked(at.shard)
    unlock_and_reclaim(at)
    tell_removals(c, removals)
    lock(at.shard)
    return 0


cdef inline CacheWrite write_to_cache(PyObject* value, CacheWriteWhen when) noexcept:
    cdef CacheWrite write
    write.value = value
    write.when = when
    write.expected = NULL
    write.load = NULL
    write.old = NULL
    write.now = 0
    write.deadline = FOREVER
    write.weight = 1
    write.found.is_valid = False
    write.stored = False
    return write


cdef Found cache_write(CacheCore c, Access* at, PyObject* key, CacheWrite* write) except FAILED:
    """Writes as asked for, with the key located at. The answer tells whether there was an entry. May run any code at
    its end, or where keys are compared."""
    cdef RemovedEntries removals
    start_removals(&removals)
    lock_located(at)
    try:
        return cache_write_and_unlock(c, at, key, write, &removals)
    finally:
        tell_removals(c, &removals)


cdef Found cache_write_and_unlock(CacheCore c, Access* at, PyObject* key, CacheWrite* write,
                                  RemovedEntries* removals) except FAILED:
    require_locked(at.shard)
    cdef CacheShard* known = cache_shard(c, at.shard)
    cdef Block* replaced = NULL
    cdef PyObject* equal = NULL
    cdef Found found
    cdef int64_t needed
    cdef uint32_t before
    cdef bint swept = False, same
    try:
        while True:
            found = find_again_locked(key, at, &write.found)
            if found == PRESENT and has_expired(c, at.found.block, at.found.entry, write.now):
                write.found.is_valid = False
                if has_room_for_removal(removals):
                    remove_entry_locked(c, at, at.found.entry, REMOVED_AS_EXPIRED, removals)
                else:
                    tell_removals_and_lock_again(c, at, removals)
                continue
            if not is_wanted_locked(c, at, write, found):
                unlock_and_reclaim(at)
                return found
            if not has_room_for_removal(removals):
                tell_removals_and_lock_again(c, at, removals)
                continue
            before = removals.count
            if write.value == NULL:
                remove_entry_locked(c, at, at.found.entry, REMOVED_EXPLICITLY, removals)
                if removals.count == before:
                    continue
                if write.old != NULL:
                    write.old[0] = new_reference(removals.items[before].value)
                unlock_and_reclaim(at)
                return PRESENT
            if write.weight > c.most:           # is not kept: as if it had been evicted at once
                if found == PRESENT:
                    same = entry_of(at).value == write.value
                    remove_entry_locked(c, at, at.found.entry, REMOVED_AS_EVICTED if same else REMOVED_AS_REPLACED,
                                        removals)
                    if removals.count == before:
                        continue
                    if same:
                        unlock_and_reclaim(at)
                        return found
                known.removals[<int>REMOVED_AS_EVICTED] += 1
                note_removal(removals, new_reference(key), new_reference(write.value), REMOVED_AS_EVICTED)
                unlock_and_reclaim(at)
                return found
            needed = write.weight
            if found == PRESENT:
                needed -= weight_of_entry(c, at.found.block, at.found.entry)
            if c.expires and not swept:
                swept = True            # a few entries, once
                if not sweep_locked(c, at, write.now, SWEPT_BY_WRITE, removals):
                    continue
            if removals.freed < needed and not make_room_locked(c, at, needed, removals):
                continue
            if not has_room_for_removal(removals):
                tell_removals_and_lock_again(c, at, removals)
                continue
            if is_shared(at.shard.table) and not may_change_in_place_locked(at, found == PRESENT):
                copy_where_found_locked(at, found == PRESENT, &equal)
                continue
            if found == PRESENT:
                overwrite_entry_locked(c, at, write, removals)
            elif not insert_entry_locked(c, at, key, write, &replaced):
                unlock_and_reclaim(at)
                raise_memory_error()
            removals.freed -= needed
            write.stored = True
            unlock_and_reclaim(at)
            free_replaced_block(replaced)
            return found
    finally:
        value_decref_if(equal)


cdef bint is_wanted_locked(CacheCore c, Access* at, CacheWrite* write, Found found) noexcept:
    """Whether there is anything to write, or to remove. If the entry that is there is the answer, hands its value
    over."""
    require_locked(at.shard)
    if write.load != NULL and is_overtaken(c, write.load):
        return False
    if write.when == CACHE_ALWAYS:
        return write.value != NULL or found == PRESENT
    if write.when == CACHE_IF_ABSENT:
        if found == PRESENT and write.old != NULL:
            write.old[0] = new_reference(entry_of(at).value)
            note_access_locked(c, at, write.now)
        return found == ABSENT
    if write.when == CACHE_IF_UNCHANGED:
        return found == ABSENT or entry_of(at).value == write.expected
    return False


cdef inline void note_access_locked(CacheCore c, Access* at, int64_t now) noexcept:
    """Of the entry that was found."""
    require_locked(at.shard)
    raise_mark(&marks_of(at.found.block, c.columns)[at.found.entry], USED)
    if c.columns & ACCESS_TIMES:
        sm_store_i64(&column_of(at.found.block, c.columns, ACCESS_TIMES)[at.found.entry], now)


cdef inline void fill_columns_locked(CacheCore c, Block* block, uint32_t entry, CacheWrite* write) noexcept:
    if c.columns & DEADLINES:
        sm_store_i64(&column_of(block, c.columns, DEADLINES)[entry], write.deadline)
    if c.columns & ACCESS_TIMES:
        sm_store_i64(&column_of(block, c.columns, ACCESS_TIMES)[entry], write.now)
    if c.columns & REFRESH_TIMES:
        sm_store_i64(&column_of(block, c.columns, REFRESH_TIMES)[entry], later(write.now, c.refresh_after))
    if c.columns & WEIGHTS:
        column_of(block, c.columns, WEIGHTS)[entry] = write.weight


cdef void overwrite_entry_locked(CacheCore c, Access* at, CacheWrite* write, RemovedEntries* removals) noexcept:
    """The entry that was found. There is room among `removals`."""
    require_locked(at.shard)
    cdef CacheShard* known = cache_shard(c, at.shard)
    cdef Block* block = at.found.block
    cdef uint32_t entry = at.found.entry
    cdef PyObject* old = block.entries[entry].value
    follow_block_locked(known, at.shard)
    if old != write.value:
        incref(write.value)
        if c.columns & DEADLINES:
            # Until its own is there it has expired: a reader must not find it with the old value's deadline.
            sm_store_i64(&column_of(block, c.columns, DEADLINES)[entry], -FOREVER)
        put_value(block, entry, write.value)
        sm_sched_point()
        note_removal(removals, new_reference(block.entries[entry].key), old, REMOVED_AS_REPLACED)
        known.removals[<int>REMOVED_AS_REPLACED] += 1
    # After the value: a reader that finds the new deadline finds that the old value has gone (holds_still).
    fill_columns_locked(c, block, entry, write)
    note_access_locked(c, at, write.now)
    note_expiry_locked(c, known, block, entry)


cdef bint insert_entry_locked(CacheCore c, Access* at, PyObject* key, CacheWrite* write, Block** replaced) noexcept:
    """False when there is no memory."""
    require_locked(at.shard)
    cdef CacheShard* known = cache_shard(c, at.shard)
    cdef uint32_t entry
    if is_full(at.found.block):
        if not resize_locked(at, grown(at.found.block.live), replaced):
            return False
        at.found.slot = empty_slot(at.found.block, at.hash31)
    follow_block_locked(known, at.shard)
    entry = at.found.block.used
    # Before the entry can be found.
    fill_columns_locked(c, at.found.block, entry, write)
    marks_of(at.found.block, c.columns)[entry] = 0
    insert_locked(at, key, write.value, replaced)
    policy_inserted(&known.policy, at.found.block, marks_of(at.found.block, c.columns), entry, c.most_in_shard)
    note_expiry_locked(c, known, at.found.block, entry)
    return True
