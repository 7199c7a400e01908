# Copy-on-write: a writer that finds its shard's table shared with a snapshot replaces it by a copy first.

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


cdef PyObject* table_copy(PyObject* original) except NULL:
    """A copy of a table that cannot change because the caller has a share of it."""
    cdef Table table = Table.__new__(Table)
    cdef Block* old = block_of(original)
    cdef Block* block = rebuilt(old, grown(old.live))
    cdef uint32_t entry
    if block == NULL:
        raise MemoryError()
    trace_memory(block, block.bytes)
    for entry in range(block.used):
        incref(block.entries[entry].key)
        hold(block.entries[entry].value)
    table.block = block
    incref(<PyObject*>table)
    return <PyObject*>table
