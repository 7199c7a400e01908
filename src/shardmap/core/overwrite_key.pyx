# `m[k] = v`, most often of a key that is there: found without the mutex, which is then held for the store only.

cdef inline bint has_box(PyObject* raw, PyObject* box) noexcept:
    """Whether `box`, an int or NULL, is the number that `raw` is."""
    cdef int overflow = 0
    return box != NULL and long_long_of(box, &overflow) == number_of(raw)


cdef bint box_old_value_locked(Access* at, PyObject* raw, PyObject** box) except -1:
    """Whether the value that is about to be taken out is at hand as an object: itself, or a number's int in `box`.
    If not, makes it with the mutex released, which is then held again, and the caller starts over: once the entry
    is out nothing may fail."""
    require_locked(at.shard)
    if not is_number(raw) or has_box(raw, box[0]):
        return True
    unlock_and_reclaim(at)
    if box[0] != NULL:
        decref(box[0])
        box[0] = NULL
    box[0] = boxed(raw)
    lock_located(at)
    return False


cdef Read overwrite_unlocked(MapCore m, Access* at, PyObject* key, PyObject* value, PyObject** old) noexcept:
    """Looks for the key without the mutex, and if there is an entry overwrites it under the mutex, which is then held
    for a moment only; or not at all, if the entry has this very value already. FOUND_PRESENT: done. Else nothing was
    done, for whatever reason. `old`: the reference to release.

    To store what is there changes nothing. It takes effect when the value was read, which the entry of the shard's own
    block had then; a thread that locks the key meanwhile finds what it would have found after that."""
    cdef sm_reader* me
    cdef Block* block
    cdef PyObject* found = NULL
    cdef uint32_t entry = 0
    cdef Read answer
    if not sm_reads_unlocked:
        return LOOK_AGAIN
    me = sm_read_lock()
    if me == NULL:
        return LOOK_AGAIN
    block = <Block*>sm_load_ptr(<void**>at.published)
    if block.mask > LARGE_INDEX:
        # Another thread's processor has the mutex, most likely: to be here as soon as the index is.
        prefetch_to_write(at.shard)
    # While reading nobody may wait. The block is the very one if it still is the table's: it cannot have been freed.
    answer = look_up(block, at.hash31, key, &entry, &found)
    if answer == NEEDS_COMPARISON:
        note_candidate(at, block, entry)
    elif answer != FOUND_PRESENT:
        prefetch_end(block)
    elif found == value and is_settled(m, at, block):
        pass
    elif not try_lock(at.shard):
        answer = LOOK_AGAIN
    else:
        found = block.entries[entry].value
        if (block_of(at.shard.table) == block and found != NULL and at.shard.key_locks == NULL
                and not is_shared(at.shard.table)):
            if found != value:
                incref(value)
                put_value(block, entry, value)
                old[0] = found
        else:
            answer = LOOK_AGAIN
        unlock(at.shard)
    sm_read_unlock(me)
    return answer


cdef inline bint is_settled(MapCore m, Access* at, Block* block) noexcept:
    """Whether what was read in a block stood in the map, no key of the shard was locked, and no operation on all of the
    map was under way."""
    return (sm_load_ptr(<void**>&at.shard.key_locks) == NULL and not sm_load_u64(&m.whole_map_seq) & 1
            and sm_load_ptr(<void**>at.published) == block)


cdef Found map_set(MapCore m, PyObject* key, PyObject* value) except FAILED:
    """Inserts or overwrites: map_write() with the usual cases, in a table of one's own, in front."""
    cdef Access at
    cdef WriteRequest request
    cdef Found found
    cdef ProbeResult result
    cdef Read answer
    cdef PyObject* old = NULL
    if value == <PyObject*>no_value:
        refuse_missing()
    mark_shared(m)
    locate(m, key, &at)
    # It does less under the mutex; but a map that one thread uses pays for the look-up twice where the key is new.
    if sm_load_u8(&m.is_shared_between_threads):
        answer = overwrite_unlocked(m, &at, key, value, &old)
        if answer == FOUND_PRESENT:
            value_decref_if(old)
            return PRESENT
        if answer == NEEDS_COMPARISON:
            request = request_to_write(value)
            compare_unlocked(m, &at, key, NULL, &request.found)
            return write_located(&at, key, &request)
    split_if_wanted(m)
    lock_located(&at)
    if at.shard.table == EMPTY_TABLE:
        give_first_table_locked(&at)
    at.found.block = block_of(at.shard.table)
    result = probe(at.found.block, key, at.hash31, &at.found.slot, &at.found.entry)
    found = find_locked(key, &at) if result == NEEDS_PYTHON else PRESENT if result == THERE else ABSENT
    if at.shard.key_locks == NULL and not is_shared(at.shard.table):
        if found == ABSENT:
            if not insert_and_unlock(&at, key, value):
                raise_memory_error()
            return ABSENT
        old = at.found.block.entries[at.found.entry].value
        value_incref(value)
        put_value(at.found.block, at.found.entry, value)
        unlock(at.shard)        # nothing is deferred: no block was replaced, no key taken out
        value_decref(old)
        return PRESENT
    request = request_to_write(value)
    if found == PRESENT:
        remember_entry_locked(&at, &request.found)
    return write_and_unlock(&at, key, &request)
