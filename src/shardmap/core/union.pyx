# `|`: a new map. Copies are made of the left side's tables, and the right side's entries written there before anybody
# can see them, without a mutex, as long as that takes no Python code. If it does, all goes the way of copy() and
# update().

@cython.final
@cython.no_gc       # lives no longer than a call
cdef class Union:
    """The tables of a new map (internal)."""

    def __dealloc__(self):
        release_tables(self.tables, self.count)


def _union(cls, MapCore source not None, other, /):
    """A map of class `cls` equal to `source`, updated from a dict, a map or a snapshot."""
    cdef SnapshotCore mine, theirs = None
    cdef bint is_dict = iterates_as_dict(other)
    cdef Union union = None
    cdef MapCore new
    cdef uint32_t i
    mine = snapshot_of(source)
    if not is_dict and iterates_as_ours(other):
        theirs = snapshot_of(other) if isinstance(other, MapCore) else other
    if is_dict and mine.live != 0 and PyDict_Size(other) >= mine.table_count:
        union = union_with_dict(mine, other)
    elif theirs is not None and mine.live != 0 and theirs.live >= mine.table_count:
        union = union_with_snapshot(mine, theirs)
    new = blank_map(cls, mine.shard_bits)
    if mine.chosen_shards:
        new.shards_fixed = FIXED_BY_CHOICE
    if union is not None:
        sm_stamp_pass(union.stamp)
        for i in range(union.count):
            give_table(shard_at(new, i), union.tables[i])
        union.count = 0
    else:
        share_tables(new, mine)
        update_from(new, other if theirs is None else theirs)
    return new


cdef Union new_union(SnapshotCore mine, uint64_t incoming):
    cdef Union self = Union.__new__(Union)
    cdef uint32_t i
    self.tables = <PyObject**>allocate(mine.table_count * sizeof(PyObject*), sizeof(void*))
    if self.tables == NULL:
        raise MemoryError()
    for i in range(mine.table_count):
        self.tables[i] = table_copy(mine.tables[i], mine.shard_bits != 0)
        self.count = i + 1
    self.shard_bits = mine.shard_bits
    self.stamp = sm_stamp_reserve_after(incoming)
    return self


cdef Union union_with_snapshot(SnapshotCore mine, SnapshotCore theirs):
    cdef Union self = new_union(mine, theirs.live)
    cdef Merge* merge = merge_new(theirs.table_count)
    cdef Ahead ahead[CHUNK]
    cdef uint32_t count
    cdef bint done = True
    merge_start(merge, theirs.tables, theirs.table_count, False)
    while done and not merge.over:
        count = 0
        while count < CHUNK and not merge.over:
            ahead[count].entry = merge_entry(merge)
            if ahead[count].entry.key == NULL:      # emptied by the collector
                merge.over = True
                break
            prefetch(ahead[count].entry.key)
            merge_advance(merge)
            count += 1
        done = locate_ahead(self, ahead, count) and write_ahead(self, ahead, count)
    merge_free(merge)
    return self if done else None


cdef Union union_with_dict(SnapshotCore mine, source):
    """References to all are held first, since a reference that is given back may end a critical section."""
    cdef Py_ssize_t size = PyDict_Size(source)
    cdef Building held = Building.__new__(Building)
    cdef Union self
    cdef Ahead ahead[CHUNK]
    cdef uint32_t done = 0, count, i
    if size > MOST_BUILT:
        return None
    held.room = <uint32_t>size
    held.shard_bits = mine.shard_bits
    make_arrays(held)
    if hold_dict(held, source, NULL) != NO_SLOT or held.count == 0:
        return None
    self = new_union(mine, size)
    while done < held.count:
        count = min(held.count - done, CHUNK)
        for i in range(count):
            ahead[i].entry = &held.entries[done + i]
            ahead[i].table = self.tables[held.shards[done + i]]
            ahead[i].hash31 = held.hash31s[done + i] & HASH31
        if not write_ahead(self, ahead, count):
            return None
        done += count
    return self


cdef bint locate_ahead(Union self, Ahead* ahead, uint32_t count) noexcept:
    """False where a hash takes Python code."""
    cdef uint32_t i
    cdef Py_hash_t hashed
    for i in range(count):
        if not sm_has_plain_hash(ahead[i].entry.key):
            return False
        hashed = sm_plain_hash(ahead[i].entry.key)
        ahead[i].table = self.tables[sm_shard_of(<uint64_t>hashed, self.shard_bits)]
        ahead[i].hash31 = sm_hash31_of(<uint64_t>hashed, self.shard_bits)
    return True


cdef bint write_ahead(Union self, Ahead* ahead, uint32_t count) noexcept:
    """Writes some entries. False where one takes Python code, or there is no memory."""
    cdef uint32_t i
    for i in range(count):
        prefetch_slot(block_of(ahead[i].table), ahead[i].hash31)
    for i in range(count):
        prefetch_entry(block_of(ahead[i].table), ahead[i].hash31)
    for i in range(count):
        if not write_to_own(ahead[i].table, ahead[i].entry, ahead[i].hash31, self.stamp + i):
            return False
    self.stamp += count
    return True


cdef bint write_to_own(PyObject* table, Entry* entry, uint32_t hash31, uint64_t stamp) noexcept:
    """To a table that nobody else knows. Values that are replaced have another owner, the left side."""
    cdef Block* block = block_of(table)
    cdef Block* old
    cdef PyObject* before
    cdef uint32_t slot = 0, number = 0
    cdef ProbeResult found = probe(block, entry.key, hash31, &slot, &number)
    if found == NEEDS_PYTHON:
        return False
    if found == NOT_THERE:
        if is_full(block):
            old = block
            block = rebuilt(old, grown(old.live), old.stamps != NULL)
            if block == NULL:
                return False
            trace_block(block)
            (<Table>table).block = block
            free_replaced_block(old)
            slot = empty_slot(block, hash31)
        incref(entry.key)
        value_incref(entry.value)
        append(block, slot, hash31, True, entry.key, entry.value, stamp)
    elif block.entries[number].value != entry.value:
        before = block.entries[number].value
        value_incref(entry.value)
        put_value(block, number, entry.value)
        value_decref_not_last(before)
    return True


cdef inline void value_decref_not_last(PyObject* raw) noexcept:
    if not is_number(raw):
        decref_not_last(raw)
