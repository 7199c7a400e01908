# Removing all entries of a cache at one point in time, as core/clear.pyx does of a map; and popitem().

cdef object pop_victim(CacheCore c):
    cdef Access at
    cdef RemovedEntries removals
    cdef Layout* layout = layout_of(c.entries)
    cdef CacheShard* known
    cdef Block* block
    cdef uint32_t i, victim, live, most
    mark_cache_shared(c)
    sm_add_u64(&c.deletions, 1)
    overtake_all(c)
    start_removals(&removals)
    while True:
        start_access(&at)
        at.shard = NULL
        most = 0
        for i in range(layout.shard_count):
            live = <uint32_t>sm_load_u64(&shard_in(layout, i).size_word)
            if live > most:
                most = live
                at.shard = shard_in(layout, i)
        if at.shard == NULL:
            raise KeyError("popitem(): cache is empty")
        at.hash31 = 0
        at.published = at.shard.published
        known = cache_shard(c, at.shard)
        lock(at.shard)
        follow_block_locked(known, at.shard)
        block = block_of(at.shard.table)
        if policy_victim(&known.policy, block, marks_of(block, c.columns), &victim):
            remove_entry_locked(c, &at, victim, REMOVED_EXPLICITLY, &removals)
        unlock_and_reclaim(&at)
        if removals.count != 0:
            try:
                return (<object>removals.items[0].key, <object>removals.items[0].value)
            finally:
                tell_removals(c, &removals)


cdef int cache_clear(CacheCore c) except -1:
    """map_clear(), and what the cache knows of the entries."""
    cdef Layout* layout = layout_of(c.entries)
    cdef uint32_t i, entry, count = layout.shard_count
    cdef PyObject** tables = <PyObject**>allocate(count * 2 * sizeof(PyObject*), sizeof(void*))
    cdef Limbo** limbos
    cdef Shard* shard
    cdef Block* block
    cdef int64_t freed = 0
    if tables == NULL:
        raise MemoryError()
    limbos = <Limbo**>(tables + count)
    mark_cache_shared(c)
    sm_add_u64(&c.deletions, 1)
    try:
        overtake_all(c)
    except:
        free(tables)
        raise
    lock_all(c.entries)
    sm_store_u64(&c.entries.whole_map_seq, c.entries.whole_map_seq + 1)
    sm_fence_release()
    for i in range(count):
        shard = shard_in(layout, i)
        tables[i] = shard.table
        limbos[i] = shard.limbo
        shard.limbo = NULL
        change_table_locked(shard, EMPTY_TABLE)
        note_size_locked(shard, &empty_block)
        block = block_of(tables[i])
        for entry in range(block.used if c.columns & WEIGHTS else 0):
            if block.entries[entry].key != NULL:
                freed += weight_of_entry(c, block, entry)
        freed += 0 if c.columns & WEIGHTS else block.live
        known_of(c, i).removals[<int>REMOVED_EXPLICITLY] += block.live
        policy_cleared(&known_of(c, i).policy)
        known_of(c, i).swept.position = known_of(c, i).swept.before = 0
        known_of(c, i).layout_version = shard.layout_version
        known_of(c, i).earliest = known_of(c, i).earliest_swept = FOREVER
    sm_store_u64(&c.entries.whole_map_seq, c.entries.whole_map_seq + 1)
    unlock_layout(layout)
    sm_sub_i64_relaxed(c.total, freed)
    wait_for_readers_of(c.entries)
    for i in range(count):
        if limbos[i] != NULL:
            free_limbo(limbos[i])
    for i in range(count):
        if c.on_remove is not None:
            tell_cleared(c, block_of(tables[i]))
        table_release(tables[i])
    free(tables)
    return 0


cdef void tell_cleared(CacheCore c, Block* block) noexcept:
    """Of a table that nobody changes any more."""
    cdef uint32_t entry
    for entry in range(block.used):
        if block.entries[entry].key != NULL:
            tell_removal(c, block.entries[entry].key, block.entries[entry].value, REMOVED_EXPLICITLY)
