# What views have of sets. Between two views of keys both are looked at as they are at one point in time; with anything
# else, its elements are asked for one by one in the map as it is then.

cdef set selected(SnapshotCore source, SnapshotCore where, bint present):
    """The keys of `source` that are in `where`; or those that are not, but then None where that takes Python code,
    which would see what dict's compares in another order."""
    cdef set result = set()
    cdef uint32_t i, entry
    cdef Block* block
    cdef Entry* there = NULL
    cdef PyObject* key
    cdef ProbeResult found
    cdef Access at
    for i in range(source.table_count):
        block = block_of(source.tables[i])
        for entry in range(block.used):
            if where.live != 0 and entry + AHEAD < block.used:
                prefetch_if_plain(block, entry + AHEAD, where)
            key = block.entries[entry].key
            if key == NULL:
                continue
            found = NEEDS_PYTHON
            if where.live == 0:
                found = NOT_THERE
            elif is_plain_entry(block, entry):
                found = find_plainly(where, key, &there)
            if found != NEEDS_PYTHON:
                if (found == THERE) == present:
                    result.add(<object>key)
                continue
            if not present:
                return None
            incref(key)
            try:
                if snapshot_find(where, key, &at) == PRESENT:
                    result.add(<object>key)
            finally:
                decref(key)
    return result


cdef inline void prefetch_if_plain(Block* block, uint32_t entry, SnapshotCore where) noexcept:
    cdef PyObject* key = block.entries[entry].key
    if key != NULL and is_plain_entry(block, entry):
        prefetch_key(where, key)


def _selected_keys(source, where, bint present, /):
    """Of the keys of a map those that are in another, or those that are not, as a set; or None: see selected()."""
    return selected(content_of(source), content_of(where), present)


def _selected_elements(elements, source, int what, bint present, /):
    """Of any elements those that are in a view of keys or items, or those that are not, as a set."""
    cdef set result = set()
    for element in elements:
        if view_contains(source, what, element) == present:
            result.add(element)
    return result


def _any_element(elements, source, int what, /):
    """Whether any of the elements is in a view."""
    for element in elements:
        if view_contains(source, what, element):
            return True
    return False


cdef bint view_contains(source, int what, element) except -1:
    if what == KEYS:
        return _stored_contains(source, element)
    return _stored_item(source, element)


def _stored_item(source, item, /):
    """Whether (key, value) is in a map."""
    if not isinstance(item, tuple) or len(item) != 2:
        return False
    key, value = item
    found = _stored_get(source, key, NO_DEFAULT)
    return found is not NO_DEFAULT and (found is value or bool(found == value))


def _all_elements(elements, container, /):
    """Whether all are in it."""
    for element in elements:
        if element not in container:
            return False
    return True


def _keys_within(source, other, bint same_number, bint fewer, /):
    """Whether all keys of a map are in another, which has as many, or more; None where that takes Python code."""
    cdef SnapshotCore mine = content_of(source)
    cdef SnapshotCore theirs = content_of(other)
    cdef Comparison outcome
    if mine.live > theirs.live or same_number and mine.live != theirs.live or fewer and mine.live == theirs.live:
        return False
    if mine.live == 0:
        return True
    outcome = compare_plainly(mine, theirs, False)
    return None if outcome == START_OVER else outcome == EQUAL
