# Finding a key under its shard's mutex.
#
# The same object is equal; two objects of one plain type are compared in C. Anything else may run any
# code, so it is compared with the mutex released. Then, if the shard's layout version is what it was, the block is
# the same and every entry is still itself or gone: an entry number is used once in a layout version. "Equal" holds if
# the entry is still there. "Not equal" means go on from here, unless an insertion has taken the slot of a
# removed entry meanwhile: it may be one that was passed. Else start over; the shard may be another by then. As in dict,
# an exception from __eq__ goes to the caller, nothing changed.

cdef inline Entry* entry_of(Access* at) noexcept nogil:
    """The entry that was found."""
    return &at.found.block.entries[at.found.entry]


cdef inline Found lock_and_find(PyObject* key, Access* at) except FAILED:
    """Takes the mutex of the located shard and finds the key. Still holds it afterwards, unless it raises."""
    lock_located(at)
    return find_locked(key, at)


cdef Found find_locked(PyObject* key, Access* at) except FAILED:
    """The same for a mutex that is held; or, without a shard, in a block that cannot change."""
    if at.shard != NULL:
        require_locked(at.shard)
    cdef ProbeSequence sequence
    cdef ProbeResult result
    cdef Comparison outcome = START_OVER
    cdef uint32_t free_slot = NO_SLOT
    while True:
        if outcome == START_OVER:
            if at.shard != NULL:
                at.found.block = block_of(at.shard.table)
            probe_start(&sequence, at.found.block, at.hash31)
            free_slot = NO_SLOT
        result = probe_for(&sequence, at.found.block, key, at.hash31, &free_slot, &at.found.entry)
        if result == NOT_THERE:
            at.found.slot = free_slot
            return ABSENT
        outcome = EQUAL
        if result == NEEDS_PYTHON:
            outcome = compare_in_python_locked(at, at.found.entry, key)
        if outcome == EQUAL:
            at.found.slot = sequence.slot
            return PRESENT
        probe_next(&sequence)


cdef bint equal_objects(PyObject* a, PyObject* b) except -1:
    """As dict's comparison of keys: an object is equal to itself."""
    return rich_compare_bool(a, b, Py_EQ)


cdef inline bint equal_keys_locked(Access* at, PyObject* stored, PyObject* key) except -1:
    """Compares as dict does, stored key first, with the mutex released. Holds it again, unless it raises."""
    require_locked(at.shard)
    cdef bint equal
    incref(stored)
    sm_allow_try_incref(stored)     # who reads it next needs no mutex (core/compare_unlocked.pyx)
    unlock_and_reclaim(at)
    try:
        equal = equal_objects(stored, key)
    finally:
        decref(stored)
    lock_located(at)
    return equal


cdef Comparison compare_in_python_locked(Access* at, uint32_t entry, PyObject* key) except RAISED:
    """Compares as dict does, stored key first, with the mutex released. Holds it again, unless it raises."""
    if at.shard != NULL:
        require_locked(at.shard)
    cdef PyObject* stored = at.found.block.entries[entry].key
    cdef uint64_t layout_version
    cdef uint32_t tombstone_reuses
    cdef bint equal
    if at.shard == NULL:
        return EQUAL if equal_objects(stored, key) else DIFFERENT
    if stored == at.equal:
        return EQUAL
    layout_version = at.shard.layout_version
    tombstone_reuses = at.found.block.tombstone_reuses
    equal = equal_keys_locked(at, stored, key)
    if at.shard.layout_version != layout_version:
        return START_OVER
    if not equal:
        return DIFFERENT if at.found.block.tombstone_reuses == tombstone_reuses else START_OVER
    # In one layout version an entry holds one key, then none: an entry that is still there holds the same key.
    return EQUAL if at.found.block.entries[entry].key != NULL else START_OVER


cdef inline Found find_again_locked(PyObject* key, Access* at, FoundEntry* before) except FAILED:
    """find_locked() that remembers where it found the key. A key is compared once: not again as long as positions in
    the block mean the same."""
    require_locked(at.shard)
    cdef Found found
    if before.is_valid and before.layout_version == at.shard.layout_version:
        at.found.block = block_of(at.shard.table)
        if before.entry < at.found.block.used and at.found.block.entries[before.entry].key != NULL:
            at.found.entry = before.entry
            at.found.slot = slot_of_entry(at.found.block, at.found.entry)
            return PRESENT
    found = find_locked(key, at)
    before.is_valid = found == PRESENT
    if found == PRESENT:
        remember_entry_locked(at, before)
    return found


cdef inline void remember_entry_locked(Access* at, FoundEntry* found) noexcept:
    """Under the mutex, where a look-up has found the key."""
    require_locked(at.shard)
    found.is_valid = True
    found.layout_version = at.shard.layout_version
    found.entry = at.found.entry
