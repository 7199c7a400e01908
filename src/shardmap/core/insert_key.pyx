# Inserting a new key.

cdef inline bint insert_locked(Access* at, PyObject* key, PyObject* value, Block** old) noexcept:
    """Inserts where the look-up ended, growing if need be: then `old` is to be freed once the mutex is released. False,
    and nothing done, when there is no memory."""
    require_locked(at.shard)
    cdef Block* block
    if is_full(at.found.block):
        note_growth_locked(at.shard)
        if not resize_locked(at, grown(at.found.block.live), old):
            return False
        at.found.slot = empty_slot(at.found.block, at.hash31)
    incref(key)
    value_incref(value)
    block = at.found.block
    announce_insertion_locked(at.shard, block)
    append(block, at.found.slot, at.hash31, sm_is_plain_key(key), key, value,
           sm_stamp_now() if block.stamps != NULL else 0)
    note_size_locked(at.shard, at.found.block)
    return True


cdef bint insert_and_unlock(Access* at, PyObject* key, PyObject* value) noexcept:
    """The same; releases the mutex."""
    require_locked(at.shard)
    cdef Block* old = NULL
    cdef bint done = insert_locked(at, key, value, &old)
    unlock_and_reclaim(at)
    free_replaced_block(old)
    return done
