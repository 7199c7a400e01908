# When a table grows or shrinks: a new block takes the place of the old one.

cdef inline uint64_t index_slots_for(uint64_t capacity) noexcept nogil:
    cdef uint64_t slots = SMALLEST_INDEX
    while limit_of(slots) < capacity:
        slots *= 2
    return slots


cdef inline uint64_t capacity_for(uint64_t wanted) noexcept nogil:
    """The capacity to allocate for `wanted` entries: all that the index allows if that is small, else the
    next eighth of it, so that a large map does not carry twice the entries it has."""
    cdef uint64_t slots = index_slots_for(wanted)
    cdef uint64_t step, capacity
    if slots <= SMALL_INDEX:
        return limit_of(slots)
    step = slots // 8
    capacity = (wanted + step - 1) // step * step
    return capacity if capacity < limit_of(slots) else limit_of(slots)


cdef inline uint64_t grown(uint64_t live) noexcept nogil:
    """Entries to have room for when `live` of them are there and one more is to come."""
    cdef uint64_t fewer
    if live < SMALL_INDEX:
        return 2 * live if live != 0 else 1     # no more than twice: an index that is just full grows one step
    # A third more, but for the last of it no index that is twice as large.
    fewer = limit_of(index_slots_for(live + live // 8 + 1))
    return min(live + live // 3 + 1, fewer)


cdef inline bint is_full(Block* block) noexcept nogil:
    return block.used == block.capacity or block.filled >= limit_of(<uint64_t>block.mask + 1)


cdef Block* rebuilt(Block* old, uint64_t wanted, int columns) noexcept nogil:
    """A new block with the entries of `old`, holes closed, room for `wanted`. No reference is counted: the
    caller makes one of the two forget them, or counts. NULL when there is no memory. `columns`: those of `old`, if
    that has entries; the empty block tells nothing."""
    cdef Block* new = block_new(wanted, columns)
    cdef uint32_t entry, at = 0
    if new == NULL:
        return NULL
    if old.live == old.used:
        at = old.used
        memcpy(new.entries, old.entries, at * sizeof(Entry))
        if new.stamps != NULL:
            memcpy(new.stamps, old.stamps, at * sizeof(uint64_t))
        memcpy(new.hash31s, old.hash31s, at * sizeof(uint32_t))
    else:
        for entry in range(old.used):
            if old.entries[entry].key != NULL:
                new.entries[at] = old.entries[entry]
                if new.stamps != NULL:
                    new.stamps[at] = old.stamps[entry]
                new.hash31s[at] = old.hash31s[entry]
                at += 1
    if columns > STAMPS:
        copy_cache_columns(new, old, columns)
    new.used = at
    if new.mask == old.mask and old.live == old.used == old.filled:
        memcpy(new.index, old.index, (<size_t>old.mask + 1) * sizeof(uint32_t))
        note_whole(new)
    else:
        build_index(new)
    return new


cdef inline uint64_t share_of(Layout* layout, uint64_t entries) noexcept nogil:
    """Room for the fullest shard, if so many entries are spread as balls are thrown: four standard deviations up."""
    cdef uint64_t each = (entries + layout.shard_count - 1) >> layout.shard_bits
    return each if layout.shard_bits == 0 else each + <uint64_t>(4 * sqrt(<double>each))


cdef int reserve(MapCore m, uint64_t incoming) except -1:
    """Makes room for so many new keys in one step where the table is too small to hold even them, as dict.update
    does."""
    cdef Layout* layout = layout_of(m)
    cdef uint64_t each = share_of(layout, incoming)
    cdef uint32_t i
    cdef Access at
    cdef Block* old
    cdef PyObject* fresh
    cdef bint done
    start_access(&at)
    for i in range(layout.shard_count):
        at.shard = shard_in(layout, i)
        old = NULL
        fresh = NULL
        done = True
        if sm_load_ptr(<void**>at.shard.published) == &empty_block:      # a guess: looked at again under the mutex
            fresh = table_new(each, layout.shard_bits != 0)
        lock(at.shard)
        at.found.block = block_of(at.shard.table)
        if at.shard.is_moved:       # the map was split: what comes grows as it comes
            pass
        elif at.shard.table == EMPTY_TABLE:
            if fresh != NULL:
                change_table_locked(at.shard, fresh)
                fresh = NULL
        elif not is_shared(at.shard.table) and at.found.block.capacity < each:
            done = resize_locked(&at, at.found.block.live + each, &old)
        unlock_and_reclaim(&at)
        free_replaced_block(old)
        if fresh != NULL:
            table_release(fresh)
        if not done:
            raise MemoryError()
    return 0


cdef void grow_without_gil(Shard* shard) noexcept:
    """If the shard's table is large and full: makes the next one with the GIL released. The mutex is held meanwhile,
    so nobody changes the table, and released before attaching again. Only if nothing was inserted or removed since
    is the new block used; values may have been overwritten, so entries are copied once more then."""
    cdef PyThreadState* thread
    cdef Block* old
    cdef Block* new = NULL
    cdef uint64_t layout_version, version
    cdef uint32_t entry, to = 0
    lock(shard)
    old = block_of(shard.table)
    if not is_full(old) or old.live < LARGE_GROWTH or is_shared(shard.table) or shard.key_locks != NULL:
        unlock(shard)
        return
    unlock(shard)
    enlist(<MapCore>shard.owner)
    thread = PyEval_SaveThread()
    sm_mutex_lock(&shard.mutex)
    layout_version = shard.layout_version
    version = shard.size_word
    old = (<Table>shard.table).block
    if old.live >= LARGE_GROWTH:
        new = rebuilt(old, grown(old.live), shard.columns)
    sm_mutex_unlock(&shard.mutex)
    PyEval_RestoreThread(thread)
    if new == NULL:
        return
    lock(shard)
    if shard.layout_version == layout_version and shard.size_word == version and not is_shared(shard.table):
        if old.live == old.used:
            memcpy(new.entries, old.entries, old.used * sizeof(Entry))
        else:
            for entry in range(old.used):
                if old.entries[entry].key != NULL:
                    new.entries[to] = old.entries[entry]
                    to += 1
        change_block_locked(shard, new)
        new = old
    unlock(shard)
    block_free(new)


cdef void change_block_locked(Shard* shard, Block* block) noexcept:
    """Gives the shard's table another block."""
    require_locked(shard)
    trace_block(block)
    (<Table>shard.table).block = block
    publish_locked(shard)
    next_layout_version_locked(shard)


cdef bint resize_locked(Access* at, uint64_t wanted, Block** old) noexcept:
    """Replaces the block of a table that only this shard holds. Under the mutex, attached. The caller frees
    `old` later. False, and nothing done, when there is no memory."""
    require_locked(at.shard)
    cdef Block* new = rebuilt(at.found.block, wanted, at.shard.columns)
    if new == NULL:
        return False
    old[0] = at.found.block
    change_block_locked(at.shard, new)
    at.found.block = new
    if old[0] != &empty_block and retire_locked(at, <void*>(<uintptr_t>old[0] | 1), old[0].bytes):
        old[0] = NULL
    return True


cdef inline void free_replaced_block(Block* block) noexcept:
    """Frees a block whose entries live on in another."""
    if block != NULL and block != &empty_block:
        block_free(block)
