# Inserting a new key.

cdef bint insert_found_absent(Position* at, PyObject* key, PyObject* value) noexcept:
    """Inserts where the look-up ended, growing if need be; releases the mutex. False when there is no memory."""
    cdef Block* old = NULL
    if is_full(at.block):
        if not make_room(at, grown(at.block.live), &old):
            unlock_and_reclaim(at)
            return False
        at.slot = empty_slot(at.block, at.hash31)
    incref(key)
    value_incref(value)
    announce_insertion(at.shard)
    append(at.block, at.slot, at.hash31, sm_is_plain_key(key), key, value, sm_stamp_now())
    note_size(at.shard, at.block)
    unlock_and_reclaim(at)
    free_replaced_block(old)
    return True
