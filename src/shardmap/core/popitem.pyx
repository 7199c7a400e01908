# popitem(). An entry whose key another context has locked is not popped before that lock is released: the key's lock is
# taken first, in the queue, like any writer's.

cdef bint is_locked_by_another_locked(Access* at, PyObject* key, KeyLockCheck* check) noexcept:
    """Whether another context may hold the key's lock: holds that one, or one of the same hash that is not known to be
    another key's. Under the mutex; compares nothing but plain keys."""
    require_locked(at.shard)
    cdef KeyLock* each = at.shard.key_locks
    cdef bint unknown = False
    while each != NULL:
        if each.hash31 == at.hash31 and each.key != NULL:
            if each.key == key or each.serial == check.matched:
                return not (each == check.held
                            or check.caller.is_known and relation(&each.owner, &check.caller.context) == SAME_CONTEXT)
            unknown |= not (each.serial <= check.cleared or type_of(each.key) == type_of(key)
                            and sm_is_plain_key(key) and sm_compare(each.key, key) == 0)
        each = each.next
    return unknown


cdef Found map_popitem(MapCore m, PyObject** key, PyObject** value) except FAILED:
    """Removes the entry inserted last; the references are the caller's. Takes all mutexes."""
    cdef Access at
    cdef Shard* chosen
    cdef Block* old_block
    mark_shared(m)
    start_access(&at)
    while True:
        chosen = find_last_locked(lock_all(m), &at)
        if chosen == NULL:
            unlock_all(m)
            return ABSENT
        if (chosen.key_locks != NULL or is_number(entry_of(&at).value)
                or is_shared(chosen.table) and not may_change_in_place_locked(&at, True)):
            # Not to be done with all mutexes held. Meanwhile another entry may become the last.
            unlock_all(m)
            if popitem_slowly(m, key, value):
                return PRESENT
            continue
        old_block = delete_locked(&at, key, value)
        unlock_all(m)
        reclaim_deferred(&at)
        free_replaced_block(old_block)
        return PRESENT


cdef Shard* find_last_locked(Layout* layout, Access* at) noexcept:
    """Aims at the entry inserted last. With all mutexes."""
    require_locked(shard_in(layout, 0))
    cdef uint32_t i, end
    cdef uint64_t latest = 0
    cdef Shard* shard
    cdef Block* block
    cdef Shard* chosen = NULL
    for i in range(layout.shard_count):
        shard = shard_in(layout, i)
        block = block_of(shard.table)
        end = end_of_entries(block)
        if end != 0 and (chosen == NULL or block.stamps[end - 1] >= latest):
            chosen = at.shard = shard
            latest = block.stamps[end - 1] if block.stamps != NULL else 0
            at.found.block = block
            at.found.entry = end - 1
    if chosen != NULL:
        at.found.slot = slot_of_entry(at.found.block, at.found.entry)
        at.hash31 = hash31_of_entry(at.found.block, at.found.entry)
    return chosen


cdef bint popitem_slowly(MapCore m, PyObject** key, PyObject** value) except -1:
    """Tries to pop the entry that is the last, step by step; False if something came between."""
    cdef Access at
    cdef KeyLockCheck check
    cdef PyObject* last = NULL
    cdef PyObject* box = NULL
    cdef Block* old_block
    cdef Shard* chosen
    start_access(&at)
    start_check(&check, 0)
    chosen = find_last_locked(lock_all(m), &at)
    if chosen == NULL:
        unlock_all(m)
        return False
    last = entry_of(&at).key
    incref(last)
    unlock_others(m, chosen)
    try:
        # With the one mutex: a table of the shard's own, an int for a number, the key's lock if it has one.
        while at.shard.key_locks != NULL and check_key_lock_locked(&at, last, &check) == START_AGAIN:
            pass
        chosen = at.shard       # another one, if the map was split meanwhile; from here on the key's lock keeps it
        if is_shared(at.shard.table) and not only_iterators_locked(at.shard):
            copy_shared_table_locked(&at)
        unlock_and_reclaim(&at)
        while True:
            if find_last_locked(lock_all(m), &at) != chosen or entry_of(&at).key != last or (
                    chosen.key_locks != NULL and is_locked_by_another_locked(&at, last, &check)):
                unlock_all(m)
                return False
            if is_number(entry_of(&at).value) and not has_box(entry_of(&at).value, box):
                value[0] = entry_of(&at).value
                unlock_all(m)
                if box != NULL:
                    decref(box)
                    box = NULL
                box = boxed(value[0])
                continue
            if is_shared(chosen.table) and not may_change_in_place_locked(&at, True):
                unlock_all(m)
                copy_table_of(chosen)
                return False
            break
        old_block = delete_locked(&at, key, value)
        unlock_all(m)
        reclaim_deferred(&at)
        free_replaced_block(old_block)
        if is_number(value[0]):
            value[0] = box
            box = NULL
        return True
    finally:
        decref(last)
        if box != NULL:
            decref(box)
        end_check(chosen, &check)       # not at.shard: the last entry may be another by now
