# Finding a key under its shard's mutex.
#
# The same object is equal; two objects of one plain type are compared in C. Anything else may run any
# code, so it is compared with the mutex released. Then, if the shard's layout version is what it was, the block is
# the same and every entry is still itself or gone: an entry number is used once in a layout version. "Equal" holds if
# the entry is still there. "Not equal" means go on from here, unless an insertion has taken the slot of a
# removed entry meanwhile: it may be one that was passed. Else start over. As in dict, an exception from __eq__
# goes to the caller, nothing changed.

cdef inline int hash_of(PyObject* key, Py_hash_t* hashed) except -1:
    if is_exact_str(key):
        hashed[0] = sm_str_hash(key)
        if hashed[0] != -1:
            return 0
    elif sm_small_int_hash(key, hashed):
        return 0
    hashed[0] = hash_object(key)
    return 0


cdef inline Entry* entry_of(Access* at) noexcept nogil:
    """The entry that was found."""
    return &at.found.block.entries[at.found.entry]


cdef inline void start_access(Access* at) noexcept:
    at.equal = NULL
    at.deferred.table = NULL
    at.deferred.limbo = NULL
    at.deferred.grace_period = NO_GRACE_PERIOD


cdef inline int locate(MapCore m, PyObject* key, Access* at) except -1:
    """Hashes the key: which shard, which 31 bits."""
    cdef Py_hash_t hashed = 0
    hash_of(key, &hashed)
    locate_hashed(m, hashed, at)
    return 0


cdef inline void locate_hashed(MapCore m, Py_hash_t hashed, Access* at) noexcept:
    cdef uint32_t number = sm_shard_of(<uint64_t>hashed, m.shard_bits)
    at.shard = shard_at(m, number)
    at.published = &m.blocks[number]
    at.hash31 = sm_hash31_of(<uint64_t>hashed, m.shard_bits)
    start_access(at)


cdef inline int compare_stored(Block* block, uint32_t content, uint32_t entry, uint32_t hash31,
                               PyObject* key) noexcept nogil:
    """Compares with the key of the entry that a slot points to, under the mutex. 1: equal, 0: not; -1: only Python can
    tell."""
    cdef PyObject* stored = block.entries[entry].key
    cdef int answer = -1
    if stored == key:
        return 1
    if is_plain_slot(content):
        answer = sm_compare(stored, key)
    return answer if answer >= 0 or hash31_of_entry(block, entry) == hash31 else 0


cdef inline Found lock_and_find(PyObject* key, Access* at) except FAILED:
    """Takes the mutex of the located shard and finds the key. Still holds it afterwards, unless it raises."""
    lock(at.shard)
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
    cdef PyObject* answer = rich_compare(a, b, Py_EQ)
    try:
        return is_true(answer)
    finally:
        decref(answer)


cdef Comparison compare_in_python_locked(Access* at, uint32_t entry, PyObject* key) except RAISED:
    """Compares as dict does, stored key first, with the mutex released. Holds it again, unless it raises."""
    if at.shard != NULL:
        require_locked(at.shard)
    cdef Shard* shard = at.shard
    cdef PyObject* stored = at.found.block.entries[entry].key
    cdef uint64_t layout_version
    cdef uint32_t tombstone_reuses
    cdef bint equal
    if shard == NULL:
        return EQUAL if equal_objects(stored, key) else DIFFERENT
    if stored == at.equal:
        return EQUAL
    layout_version = shard.layout_version
    tombstone_reuses = at.found.block.tombstone_reuses
    incref(stored)
    unlock_and_reclaim(at)
    try:
        equal = equal_objects(stored, key)
    finally:
        decref(stored)
    lock(shard)
    if shard.layout_version != layout_version:
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
