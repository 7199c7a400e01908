# Verifying the invariants: of every shard, for tests; of a block after each change, in a debug build.

cdef const char* block_violation(Block* block) noexcept nogil:
    """The invariant that the block breaks, or NULL. Under the mutex: runs no Python code, allocates nothing."""
    cdef uint32_t entry, slot, content, live = 0, filled = 0, pointing = 0
    cdef uint64_t slots = <uint64_t>block.mask + 1
    cdef uint32_t head, tail
    cdef PyObject* key
    if block == &empty_block:
        return NULL
    if slots & (slots - 1) or slots < SMALLEST_INDEX:
        return b"the index is not a power of two"
    if block.used > block.capacity or block.capacity > limit_of(slots) or block.filled > limit_of(slots):
        return b"more entries than fit"
    for slot in range(block.mask + 1):
        content = block.index[slot]
        if content == EMPTY:
            continue
        filled += 1
        if content == TOMBSTONE:
            continue
        entry = (content & block.mask) - FIRST_ENTRY
        if entry >= block.used or block.entries[entry].key == NULL:
            return b"an index slot points to no entry"
        if content != slot_for(block, entry):
            return b"an index slot's tag is not its entry's"
        pointing += 1
    if filled != block.filled:
        return b"the count of index slots in use is wrong"
    head = sm_load_u32_relaxed(&block.head)     # hints are written without the mutex, too
    tail = sm_load_u32_relaxed(&block.tail)
    if head > block.used or tail > block.used:
        return b"a hint is beyond the entries"
    for entry in range(block.used):
        key = block.entries[entry].key
        if key != NULL and (entry < head or entry >= tail):
            return b"a hint passes over an entry"
        if (key == NULL) != (block.entries[entry].value == NULL):
            return b"a key without value or a value without key"
        if entry and block.stamps != NULL and block.stamps[entry] <= block.stamps[entry - 1]:
            return b"stamps do not grow"
        if key == NULL:
            continue
        live += 1
        if is_plain_entry(block, entry) != sm_is_plain_key(key):
            return b"the mark of plain keys is wrong"
        if probe_length(block, entry) == 0:
            return b"probing does not reach an entry"
    if live != block.live or pointing != live:
        return b"the count of entries is wrong"
    return NULL


cdef bint is_misplaced(Layout* layout, uint32_t number, Block* block) noexcept:
    """Whether an entry is not where the hash of its key, a str, says."""
    cdef uint32_t entry
    cdef PyObject* key
    cdef Py_hash_t hashed
    for entry in range(block.used):
        key = block.entries[entry].key
        if key != NULL and is_exact_str(key):
            hashed = sm_str_hash(key)
            if (sm_shard_of(<uint64_t>hashed, layout.shard_bits) != number
                    or sm_hash31_of(<uint64_t>hashed, layout.shard_bits) != hash31_of_entry(block, entry)):
                return True
    return False


cdef enum:
    ALWAYS_CHECKED = 64         # entries: larger blocks are checked now and then
    CHECKED_FOR_EACH_CHANGE = 16    # entries, about, so that a million insertions do not take minutes

cdef uint32_t unchecked_changes = 0     # approximately: threads may lose each other's


cdef void require_consistent(Block* block) noexcept nogil:
    """After a change, in a debug build."""
    global unchecked_changes
    cdef const char* violation
    cdef uint32_t changes
    if block.used > ALWAYS_CHECKED:
        changes = sm_load_u32_relaxed(&unchecked_changes) + 1
        if <uint64_t>changes * CHECKED_FOR_EACH_CHANGE < block.used:
            sm_store_u32_relaxed(&unchecked_changes, changes)
            return
        sm_store_u32_relaxed(&unchecked_changes, 0)
    violation = block_violation(block)
    SM_REQUIRE(violation == NULL, violation)


def _is_debug():
    """Whether this build asserts contracts (core/contracts.h)."""
    return bool(SM_DEBUG)


def _break_contract(MapCore m not None, str which not None, /):
    """For tests of a debug build: does what no code of ours may do."""
    cdef Shard* shard = shard_at(m, 0)
    cdef sm_reader* reader
    if not SM_DEBUG:
        raise RuntimeError("this build has no assertions")
    if which == "no mutex":
        note_size_locked(shard, block_of(shard.table))
    elif which == "Python code under a mutex":
        lock(shard)
        incref(<PyObject*>m)
        decref(<PyObject*>m)
    elif which == "detaching under a mutex":
        lock(shard)
        PyEval_RestoreThread(PyEval_SaveThread())
    elif which == "a reader waits":
        reader = sm_read_lock()
        lock(shard)
    elif which == "Python code while reading":
        reader = sm_read_lock()
        hash_object(<PyObject*>m)
    elif which == "an inconsistent block":
        lock(shard)
        block_of(shard.table).live += 1
        note_size_locked(shard, block_of(shard.table))
    elif which == "another thread's mutex":
        sm_mutex_unlock(&shard.mutex)
    else:
        raise ValueError(which)


def _probe_lengths(MapCore m not None, /):
    """For tests: how many slots a look-up visits, of each key of the map. While nobody changes it."""
    cdef uint32_t i, entry
    cdef Block* block
    cdef list lengths = []
    for i in range(layout_of(m).shard_count):
        block = block_of(shard_at(m, i).table)
        for entry in range(block.used):
            if block.entries[entry].key != NULL:
                lengths.append(probe_length(block, entry))
    return lengths


def _check(MapCore m not None, /):
    """Verifies every invariant of every shard at one point in time; AssertionError names the one broken."""
    cdef uint32_t i
    cdef Layout* layout
    cdef Shard* shard
    cdef const char* violation = NULL
    layout = lock_all(m)
    for i in range(layout.shard_count):
        shard = shard_in(layout, i)
        violation = block_violation(block_of(shard.table))
        if violation == NULL and is_misplaced(layout, i, block_of(shard.table)):
            violation = b"an entry is not where its hash says"
        if <uint32_t>shard.size_word != block_of(shard.table).live:
            violation = b"the size for len() is not the number of entries"
        if sm_load_u64(&(<Table>shard.table).cow_refs) < 1:
            violation = b"a table without cow_refs"
        if shard.published[0] != block_of(shard.table) and block_of(shard.table) != &empty_block:
            violation = b"readers do not see the shard's block"
        if shard.is_moved or shard.owner != <PyObject*>m or shard.shard_bits != layout.shard_bits:
            violation = b"a shard is not of the map's layout"
        if block_of(shard.table) != &empty_block and (block_of(shard.table).stamps != NULL) != (layout.shard_bits != 0):
            violation = b"stamps without several shards, or several shards without stamps"
        if violation != NULL:
            break
    unlock_layout(layout)
    if violation != NULL:
        raise AssertionError(f"shard {i}: {violation.decode()}")
