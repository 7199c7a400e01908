# clear(). It waits for entries that other code holds in `with` blocks. It does not wait for functions that compute:
# their results are not stored (core/compute.pyx).

cdef KeyLock* foreign_lock_locked(Shard* shard, Caller* caller) noexcept:
    """A key's lock that clear() has to wait for, or that this very context computes under; or NULL. Under the mutex.
    Not those of functions that compute, which it overtakes. Nor those of blocks whose key had no entry so far: their
    holders have found nothing that clear() could take away, and threads that lock one new key after the other would
    keep clear() waiting for ever."""
    require_locked(shard)
    cdef KeyLock* each = shard.key_locks
    while each != NULL:
        if relation(&each.owner, &caller.context) == SAME_CONTEXT:
            if each.computing:
                break
        elif not each.is_compute and each.key != NULL and (
                each.written or has_hash31(block_of(shard.table), each.hash31)):
            break
        each = each.next
    return each


cdef int take_foreign_lock_and_unlock(Shard* shard, Caller* caller, HeldLock** held, uint32_t* given_up) except -1:
    """Waits for it and holds it. Mutex held on entry, not on return. Where that would be a deadlock, lets all that was
    taken go, so that the others can go on."""
    require_locked(shard)
    cdef KeyLock* wanted = foreign_lock_locked(shard, caller)
    cdef HeldLock* node = <HeldLock*>allocate(sizeof(HeldLock), sizeof(void*))
    cdef PyObject* key = wanted.key
    cdef Wait outcome
    incref(key)
    try:
        if node == NULL or relation(&wanted.owner, &caller.context) == SAME_CONTEXT:
            unlock(shard)
            if node == NULL:
                raise MemoryError()
            raise RuntimeError(f"a function that computes the value of {<object>key!r} cannot clear the map")
        outcome = wait_for_key_lock_and_unlock(shard, wanted, key, &caller.context, NO_DEADLINE, False)
        if outcome == GRANTED:
            node.shard = shard
            node.lock = wanted
            node.next = held[0]
            held[0] = node
            node = NULL
        elif outcome == DEADLOCK:
            # Two calls of clear() might block each other without end, if each caller also holds a block's lock.
            if held[0] == NULL or given_up[0] == MOST_GIVEN_UP:
                raise_deadlock(key)
            given_up[0] += 1
            release_all_held(held)
            nap_detached(given_up[0])
    finally:
        decref(key)
        free(node)
    return 0


cdef void nap_detached(uint32_t milliseconds) noexcept:
    cdef PyThreadState* state = PyEval_SaveThread()
    sm_nap(1000 * milliseconds)
    PyEval_RestoreThread(state)


cdef void release_all_held(HeldLock** held) noexcept:
    cdef HeldLock* node
    while held[0] != NULL:
        node = held[0]
        held[0] = node.next
        release_key_lock(node.shard, node.lock)
        free(node)


cdef void take_tables_locked(MapCore m, Layout* layout, PyObject** tables, Limbo** limbos) noexcept:
    """Empties the map, with all mutexes. What it had is the caller's, to let go once no reader looks at it."""
    require_locked(shard_in(layout, 0))
    cdef uint32_t i
    cdef Shard* shard
    sm_store_u64(&m.whole_map_seq, m.whole_map_seq + 1)
    sm_fence_release()      # the odd number before all that changes
    for i in range(layout.shard_count):
        shard = shard_in(layout, i)
        tables[i] = shard.table
        change_table_locked(shard, EMPTY_TABLE)
        limbos[i] = shard.limbo
        shard.limbo = NULL
        note_size_locked(shard, &empty_block)
    sm_store_u64(&m.whole_map_seq, m.whole_map_seq + 1)


cdef int map_clear(MapCore m) except -1:
    """Takes all tables away at one point in time, then releases their entries. First acquires the locks of entries that
    other code holds in `with` blocks, so that these are not removed meanwhile. Does not wait for computed values."""
    cdef uint32_t room = layout_of(m).shard_count
    cdef PyObject** tables = <PyObject**>allocate(room * 2 * sizeof(PyObject*), sizeof(void*))
    cdef Limbo** limbos
    cdef Layout* layout
    cdef uint32_t i
    cdef Shard* shard
    cdef HeldLock* held = NULL
    cdef uint32_t given_up = 0
    cdef Caller caller
    if tables == NULL:
        raise MemoryError()
    mark_shared(m)
    start_caller(&caller)
    try:
        while True:
            layout = lock_all(m)
            if layout.shard_count > room:       # there are more since
                unlock_layout(layout)
                room = layout.shard_count
                free(tables)
                tables = <PyObject**>allocate(room * 2 * sizeof(PyObject*), sizeof(void*))
                if tables == NULL:
                    raise MemoryError()
                continue
            shard = first_shard_to_wait_for_locked(layout, &caller)
            if shard == NULL:
                break
            if caller.is_known:
                unlock_others(m, shard)
                take_foreign_lock_and_unlock(shard, &caller, &held, &given_up)
            else:
                unlock_all(m)
                know_caller(&caller)
        limbos = <Limbo**>(tables + room)
        take_tables_locked(m, layout, tables, limbos)
        unlock_layout(layout)
        wait_for_readers_of(m)
        release_all_held(&held)
        for i in range(layout.shard_count):
            if limbos[i] != NULL:
                free_limbo(limbos[i])
            table_release(tables[i])
    finally:
        release_all_held(&held)
        context_clear(&caller.context)
        free(tables)
    return 0


cdef Shard* first_shard_to_wait_for_locked(Layout* layout, Caller* caller) noexcept:
    """Before clear(), with all mutexes. NULL: none. The first with a key lock at all as long as the caller is not
    known."""
    require_locked(shard_in(layout, 0))
    cdef uint32_t i
    for i in range(layout.shard_count):
        if shard_in(layout, i).key_locks != NULL:
            if not caller.is_known or foreign_lock_locked(shard_in(layout, i), caller) != NULL:
                return shard_in(layout, i)
    return NULL
