# Comparing whole maps. An entry's values are compared as dict does: the same object, or `==`, in insertion order of the
# left side, until the first difference.
#
# What needs no Python code is compared table by table first (nobody can tell the order). The first key or value
# that does need it ends that; then all goes in insertion order.

cdef bint equal_to_snapshot(SnapshotCore mine, SnapshotCore other) except -1:
    cdef Comparison outcome
    if mine.live != other.live:
        return False
    if mine.live == 0:
        return True
    outcome = compare_plainly(mine, other, True)
    if outcome == START_OVER or outcome == DIFFERENT and mine.table_count != 1:
        return equal_in_order(mine, other, None)
    return outcome == EQUAL


cdef bint equal_to_dict(SnapshotCore mine, other) except -1:
    return mine.live == PyDict_Size(other) and equal_in_order(mine, None, other)


cdef Comparison compare_plainly(SnapshotCore mine, SnapshotCore other, bint values) noexcept:
    """EQUAL, or DIFFERENT; START_OVER where Python code would be needed. Without `values`: whether all keys are there.
    Both have entries."""
    cdef uint32_t i
    cdef Comparison outcome
    cdef bint alike = mine.shard_bits == other.shard_bits
    for i in range(mine.table_count):
        if alike and mine.tables[i] == other.tables[i]:
            continue
        outcome = compare_table_plainly(block_of(mine.tables[i]), other, values,
                                        block_of(other.tables[i]) if alike else NULL)
        if outcome != EQUAL:
            return outcome
    return EQUAL


cdef Comparison compare_table_plainly(Block* block, SnapshotCore other, bint values, Block* alike) noexcept:
    """`alike`: the block of all keys of this one in the other map, if it has as many shards."""
    cdef Block* there = alike
    cdef Entry* mine
    cdef uint32_t i, slot = 0, entry = 0, hash31
    cdef Py_hash_t hashed
    cdef ProbeResult found
    cdef Comparison outcome
    for i in range(block.used):
        mine = &block.entries[i]
        if mine.key == NULL:
            continue
        if alike != NULL:
            if i + FAR_AHEAD < block.used:
                prefetch_slot(there, block.hash31s[i + FAR_AHEAD])
            if i + AHEAD < block.used:
                prefetch_entry(there, block.hash31s[i + AHEAD])
            hash31 = hash31_of_entry(block, i)
        elif is_plain_entry(block, i):
            hashed = sm_plain_hash(mine.key)
            hash31 = sm_hash31_of(<uint64_t>hashed, other.shard_bits)
            there = block_of(other.tables[sm_shard_of(<uint64_t>hashed, other.shard_bits)])
        else:
            return START_OVER
        found = probe(there, mine.key, hash31, &slot, &entry)
        if found != THERE:
            return DIFFERENT if found == NOT_THERE else START_OVER
        if values:
            outcome = compare_values_plainly(mine.value, there.entries[entry].value)
            if outcome != EQUAL:
                return outcome
    return EQUAL


cdef inline Comparison compare_values_plainly(PyObject* a, PyObject* b) noexcept:
    cdef int answer
    cdef int64_t x, y
    if a == b:
        return EQUAL
    if is_number(a) or is_number(b):
        if as_number(a, &x) and as_number(b, &y):
            return EQUAL if x == y else DIFFERENT
        return START_OVER
    if is_exact_float(a) and is_exact_float(b):
        return EQUAL if float_value(a) == float_value(b) else DIFFERENT
    if not sm_has_plain_hash(a) or not sm_has_plain_hash(b):
        return START_OVER
    answer = sm_compare(a, b)
    return START_OVER if answer < 0 else EQUAL if answer else DIFFERENT


cdef bint equal_in_order(SnapshotCore mine, SnapshotCore other, mapping) except -1:
    """With another snapshot, or with a dict."""
    cdef Merge* merge = merge_new(mine.table_count)
    cdef Entry* entry
    cdef PyObject* key
    cdef PyObject* value = NULL
    cdef bint same = True
    try:
        merge_start(merge, mine.tables, mine.table_count, False)
        while same and not merge.over:
            entry = merge_entry(merge)
            if entry.key == NULL:       # emptied by the collector: see to_dict.pyx
                break
            value = try_boxed_copy(entry.value)
            if value == NULL:
                raise_what_is_set()
            key = new_reference(entry.key)
            merge_advance(merge)
            try:
                same = entry_is_equal(key, value, other, mapping)
            finally:
                decref(key)
                decref(value)
    finally:
        free(merge)
    return same


cdef bint entry_is_equal(PyObject* key, PyObject* value, SnapshotCore other, mapping) except -1:
    cdef Access at
    cdef PyObject* theirs = NULL
    if other is None:
        if not sm_dict_get(<PyObject*>mapping, key, &theirs):
            return False
    else:
        if snapshot_find(other, key, &at) == ABSENT:
            return False
        theirs = boxed_reference(entry_of(&at).value)
    try:
        return theirs == value or equal_objects(theirs, value)
    finally:
        decref(theirs)


cdef inline PyObject* boxed_reference(PyObject* raw) except NULL:
    value_incref(raw)
    return boxed(raw)


def _equal(self, other, /):
    """Whether a map or a snapshot has the same keys as a map, a snapshot or a dict, with equal values."""
    cdef SnapshotCore theirs = None
    if not isinstance(other, dict):
        theirs = content_of(other)
    return equal_to_dict(content_of(self), other) if theirs is None else equal_to_snapshot(content_of(self), theirs)
