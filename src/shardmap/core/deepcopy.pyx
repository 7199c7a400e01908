# The entries of a deep copy.

cdef inline bint is_atomic(PyObject* o) noexcept:
    """Whether it is its own deep copy: of a type that copy.deepcopy() gives back as it is."""
    return (is_number(o) or is_exact_str(o) or is_exact_int(o) or o == <PyObject*>None or is_exact_float(o)
            or o == <PyObject*>True or o == <PyObject*>False or is_exact_bytes(o))


cdef bint all_atomic(SnapshotCore source) noexcept:
    cdef uint32_t i, entry
    cdef Block* block
    for i in range(source.table_count):
        block = block_of(source.tables[i])
        for entry in range(block.used):
            if block.entries[entry].key != NULL:
                if not is_atomic(block.entries[entry].key) or not is_atomic(block.entries[entry].value):
                    return False
    return True


def _deepcopy_entries(MapCore target not None, source, deepcopy, memo, /):
    """Stores deep copies of the entries of a map at one point in time in another, new one. Where there is nothing to
    copy the two share their tables."""
    cdef SnapshotCore content = content_of(source)
    cdef list keys = []
    cdef list values = []
    cdef bint same_keys = True
    if content.live == 0:
        return
    if all_atomic(content):
        store_snapshot(target, content)
        return
    for key, value in new_iterator(content, ITEMS, False):
        if not is_atomic(<PyObject*>key):
            copied = deepcopy(key, memo)
            same_keys &= copied is key
            key = copied
        keys.append(key)
        values.append(value if is_atomic(<PyObject*>value) else deepcopy(value, memo))
    if not same_keys or not fill_from_lists(target, keys, values, NULL):
        map_set_many(target, keys, values)
