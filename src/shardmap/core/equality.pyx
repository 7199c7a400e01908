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
    if mine.live != PyDict_Size(other):
        return False
    return mine.live == 0 or compare_dict_plainly(mine, other) or equal_in_order(mine, None, other)


cdef bint compare_dict_plainly(SnapshotCore mine, other) noexcept:
    """Whether all keys of a dict of the same size are there, with equal values; False as well where that would need
    Python code."""
    cdef PyObject* keys[CHUNK]
    cdef PyObject* values[CHUNK]
    cdef Py_ssize_t position = 0, found = 0
    cdef uint32_t count, i
    cdef bint more = True
    with cython.critical_section(other):
        while more:
            count = 0
            while count < CHUNK:
                more = PyDict_Next(other, &position, &keys[count], &values[count])
                if not more:
                    break
                prefetch(keys[count])
                count += 1
            for i in range(count):
                if i + AHEAD < count:
                    prefetch_key(mine, keys[i + AHEAD])
                if not is_plainly_in(mine, keys[i], values[i]):
                    more = False
                    break
                found += 1
    return found == mine.live


cdef inline void prefetch_key(SnapshotCore content, PyObject* key) noexcept:
    cdef Py_hash_t hashed
    if sm_has_plain_hash(key):
        hashed = sm_plain_hash(key)
        prefetch_slot(block_of(content.tables[sm_shard_of(<uint64_t>hashed, content.shard_bits)]),
                      sm_hash31_of(<uint64_t>hashed, content.shard_bits))


cdef inline ProbeResult find_plainly(SnapshotCore content, PyObject* key, Entry** there) noexcept:
    """Finds a key of a plain type in a snapshot that has entries."""
    cdef Py_hash_t hashed = sm_plain_hash(key)
    cdef Block* block = block_of(content.tables[sm_shard_of(<uint64_t>hashed, content.shard_bits)])
    cdef uint32_t slot = 0, entry = 0
    cdef ProbeResult found = probe(block, key, sm_hash31_of(<uint64_t>hashed, content.shard_bits), &slot, &entry)
    if found == THERE:
        there[0] = &block.entries[entry]
    return found


cdef inline bint is_plainly_in(SnapshotCore content, PyObject* key, PyObject* value) noexcept:
    cdef Entry* there = NULL
    return (sm_has_plain_hash(key) and find_plainly(content, key, &there) == THERE
            and compare_values_plainly(there.value, value) == EQUAL)


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
    cdef Entry* mine
    cdef Entry* there = NULL
    cdef uint32_t i, slot = 0, entry = 0
    cdef ProbeResult found
    cdef Comparison outcome
    for i in range(block.used):
        mine = &block.entries[i]
        if mine.key == NULL:
            continue
        if alike != NULL:
            if i + FAR_AHEAD < block.used:
                prefetch_slot(alike, block.hash31s[i + FAR_AHEAD])
            if i + AHEAD < block.used:
                prefetch_entry(alike, block.hash31s[i + AHEAD])
            found = probe(alike, mine.key, hash31_of_entry(block, i), &slot, &entry)
            if found == THERE:
                there = &alike.entries[entry]
        elif is_plain_entry(block, i):
            found = find_plainly(other, mine.key, &there)
        else:
            found = NEEDS_PYTHON
        if found != THERE:
            return DIFFERENT if found == NOT_THERE else START_OVER
        if values:
            outcome = compare_values_plainly(mine.value, there.value)
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
    cdef PyObject* key = NULL
    cdef PyObject* value = NULL
    cdef bint same = True
    try:
        merge_start(merge, mine.tables, mine.table_count, False)
        while same and take_next(merge, &key, &value):
            try:
                same = entry_is_equal(key, value, other, mapping)
            finally:
                decref(key)
                decref(value)
    finally:
        merge_free(merge)
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


def _equal(self, other, /):
    """Whether a map or a snapshot has the same keys as a map, a snapshot or a dict, with equal values."""
    cdef SnapshotCore theirs = None
    if not isinstance(other, dict):
        theirs = content_of(other)
    return equal_to_dict(content_of(self), other) if theirs is None else equal_to_snapshot(content_of(self), theirs)
