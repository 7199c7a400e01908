# Removing all entries of a cache at one point in time, as core/clear.pyx does of a map; and popitem().

cdef object pop_victim(CacheCore c):
    cdef RemovedEntries removals
    cdef Layout* layout = layout_of(c.entries)
    cdef Shard* fullest
    cdef uint32_t i, live, most
    mark_cache_shared(c)
    sm_add_u64(&c.deletions, 1)
    overtake_all(c)
    start_removals(&removals)
    while True:
        fullest = NULL
        most = 0
        for i in range(layout.shard_count):
            live = <uint32_t>sm_load_u64(&shard_in(layout, i).size_word)
            if live > most:
                most = live
                fullest = shard_in(layout, i)
        if fullest == NULL:
            raise KeyError("popitem(): cache is empty")
        remove_victim(c, fullest, REMOVED_EXPLICITLY, &removals)
        if removals.count != 0:
            try:
                return (<object>removals.items[0].key, <object>removals.items[0].value)
            finally:
                tell_removals(c, &removals)


cdef int cache_clear(CacheCore c) except -1:
    """map_clear(), and what the cache knows of the entries."""
    cdef Layout* layout = layout_of(c.entries)
    cdef uint32_t i, count = layout.shard_count
    cdef PyObject** tables = <PyObject**>allocate(count * 2 * sizeof(PyObject*), sizeof(void*))
    cdef Limbo** limbos
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
    take_tables_locked(c.entries, layout, tables, limbos)
    for i in range(count):
        block = block_of(tables[i])
        freed += weight_of_block(c, block)
        known_of(c, i).removals[<int>REMOVED_EXPLICITLY] += block.live
        policy_cleared(&known_of(c, i).policy)
        known_of(c, i).swept.position = known_of(c, i).swept.before = 0
        known_of(c, i).layout_version = shard_in(layout, i).layout_version
        known_of(c, i).earliest = known_of(c, i).earliest_swept = FOREVER
    unlock_layout(layout)
    sm_sub_i64_release(c.total, freed)      # as tell_removals() does
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
