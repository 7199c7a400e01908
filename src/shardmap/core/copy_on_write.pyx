# Copy-on-write: a writer that finds its shard's table shared with a snapshot replaces it by a copy first.

cdef void release_replaced_table(Access* at) noexcept:
    cdef PyObject* table = at.deferred.table
    at.deferred.table = NULL
    table_release(table)        # the shard's share
    table_release(table)        # copy_shared_table_locked()'s own


cdef int copy_shared_table_locked(Access* at) except -1:
    """Gives the shard a table of its own instead of a shared one. Requires: mutex held; holds it on
    return, so that threads that take snapshot after snapshot cannot keep a writer from writing; raises without it.
    The copy is made outside, from a table that cannot change while we have a share in it."""
    require_locked(at.shard)
    cdef Shard* shard = at.shard
    cdef PyObject* shared = shard.table
    cdef PyObject* own
    if shared == EMPTY_TABLE:
        return give_first_table_locked(at)
    table_share(shared)
    unlock_and_reclaim(at)
    try:
        own = table_copy(shared, shard.columns)
    except:
        table_release(shared)
        raise
    lock_located(at)
    if at.shard == shard and shard.table == shared:
        change_table_locked(shard, own)
        shard.copies += 1
        at.deferred.table = shared
        if SM_READERS_MEET_WRITERS and sm_reads_unlocked:
            # Another holder of the table may be the only one as soon as our share is released. It then writes and frees
            # in place, and waits for the readers of its own map only: this map's readers must have gone by then.
            at.deferred.grace_period = GRACE_PERIOD_IF_SHARED
    else:                       # another thread was first
        unlock(at.shard)
        table_release(own)
        table_release(shared)
        lock_located(at)
    return 0


cdef int give_first_table_locked(Access* at) except -1:
    """copy_shared_table_locked() for a shard that never had an entry: there is nothing to copy, and no reader to wait
    for."""
    require_locked(at.shard)
    cdef Shard* shard = at.shard
    cdef PyObject* own
    unlock_and_reclaim(at)
    own = table_new(1, shard.columns)
    lock_located(at)
    if at.shard == shard and shard.table == EMPTY_TABLE:
        change_table_locked(shard, own)
    else:                       # another thread was first
        unlock(at.shard)
        table_release(own)
        lock_located(at)
    return 0


cdef int copy_table_of(Shard* shard) except -1:
    """Gives the shard a table of its own, if it still shares one."""
    cdef Access at
    aim_at_shard(shard, &at)
    lock_located(&at)
    if is_shared(at.shard.table):
        copy_shared_table_locked(&at)
    unlock_and_reclaim(&at)
    return 0


cdef int copy_where_found_locked(Access* at, bint is_present, PyObject** equal) except -1:
    """copy_shared_table_locked() in the middle of an operation that starts over then. A stored key that only Python
    can compare is not compared again: the caller lets `equal` go at its end."""
    require_locked(at.shard)
    if is_present and equal[0] == NULL:
        at.equal = equal[0] = new_reference(entry_of(at).key)
    return copy_shared_table_locked(at)


cdef PyObject* table_copy(PyObject* original, int columns) except NULL:
    """A copy of a table that cannot change because the caller has a share of it."""
    cdef Table table = Table.__new__(Table)
    cdef Block* old = block_of(original)
    cdef Block* block = rebuilt(old, grown(old.live), columns)
    if block == NULL:
        raise MemoryError()
    trace_block(block)
    keep_references(block)
    table.block = block
    incref(<PyObject*>table)
    return <PyObject*>table
