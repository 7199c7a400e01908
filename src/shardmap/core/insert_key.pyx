# Inserting a new key.

cdef bint insert_found_absent(Position* at, PyObject* key, PyObject* value) noexcept:
    """Inserts where find() ended, growing if need be; lets the mutex go. False when there is no memory."""
    cdef Block* old = NULL
    if is_full(at.block):
        if not make_room(at, grown(at.block.live), &old):
            leave(at)
            return False
        at.word = empty_word(at.block, at.place)
    incref(key)
    hold(value)
    announce_insertion(at.shard)
    append(at.block, at.word, at.place, sm_is_plain_key(key), key, value, sm_stamp_now())
    note_size(at.shard, at.block)
    leave(at)
    retire(old)
    return True
