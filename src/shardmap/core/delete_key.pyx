# Deleting a key.

cdef Block* delete_locked(Access* at, PyObject** key, PyObject** value) noexcept:
    """Removes the entry that lock_and_find() found. The references are the caller's, and so is the block that is
    returned, if any, to free_replaced_block(); all that after reclaim_deferred()."""
    require_locked(at.shard)
    cdef Block* block = at.found.block
    cdef Block* old = NULL
    key[0] = block.entries[at.found.entry].key
    value[0] = block.entries[at.found.entry].value
    announce_removal_locked(at.shard)
    erase_entry(block, at.found.slot, at.found.entry)
    if SM_READERS_MEET_WRITERS and is_plain_entry(block, at.found.entry):
        # One reference for the caller, one that outlasts those who compare with the key just now.
        incref(key[0])
        if not retire_locked(at, key[0], sm_plain_size(key[0])):
            decref_not_last(key[0])
    if block.capacity > SMALL_INDEX and block.live < block.capacity // 8 and not is_shared(at.shard.table):
        # Give memory back, leaving room to grow into. Without memory to do it in: later.
        resize_locked(at, 2 * <uint64_t>block.live, &old)
    note_size_locked(at.shard, at.found.block)
    return old
