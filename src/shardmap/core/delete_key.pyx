# Deleting a key.

cdef Block* remove_found(Position* at, PyObject** key, PyObject** value) noexcept:
    """Removes the entry that find() found. The references are the caller's, and so is the block that is
    returned, if any, to free_replaced_block(); all that after reclaim_deferred()."""
    cdef Block* block = at.block
    cdef Block* old = NULL
    key[0] = block.entries[at.entry].key
    value[0] = block.entries[at.entry].value
    announce_removal(at.shard)
    erase_entry(block, at.slot, at.entry)
    if SM_READERS_MEET_WRITERS and is_plain_entry(block, at.entry):
        # One reference for the caller, one that outlasts those who compare with the key just now.
        incref(key[0])
        if not retire(at, key[0], sm_plain_size(key[0])):
            decref(key[0])      # not the last
    if block.capacity > SMALL_INDEX and block.live < block.capacity // 8:
        # Give memory back, leaving room to grow into. Without memory to do it in: later.
        make_room(at, 2 * <uint64_t>block.live, &old)
    note_size(at.shard, at.block)
    return old
