# What leaves a map as a whole, and what views ask: of the map as it is stored, whatever a subclass overrides.

cdef SnapshotCore content_of(source):
    """One point in time of a map, a snapshot or an EventualMap's reader."""
    if isinstance(source, MapCore):
        return snapshot_of(source)
    if isinstance(source, SnapshotCore):
        return source
    if isinstance(source, ReaderCore):
        return (<ReaderCore>source)._content()
    raise TypeError(f"expected a ShardMap, a Snapshot or an EventualReader, not {type(source).__name__!r}")


def _to_dict(source, /):
    """A plain dict of one point in time, in insertion order."""
    cdef SnapshotCore content = content_of(source)
    cdef Merge* merge
    cdef PyObject* key = NULL
    cdef PyObject* value = NULL
    cdef dict made = PyDict_New()
    if content.live == 0:
        return made
    merge = merge_new(content.table_count)
    try:
        merge_start(merge, content.tables, content.table_count, False)
        while take_next(merge, &key, &value):
            try:
                dict_set_item(<PyObject*>made, key, value)      # may run the key's __hash__ and __eq__
            finally:
                decref(key)
                decref(value)
    finally:
        merge_free(merge)
    return made


# --- What views ask ---

def _stored_len(source, /):
    if isinstance(source, MapCore):
        return map_len(source)
    return SnapshotCore.__len__(source) if isinstance(source, SnapshotCore) else ReaderCore.__len__(source)


def _stored_contains(source, key, /):
    if isinstance(source, MapCore):
        return map_contains(source, <PyObject*>key) == PRESENT
    if isinstance(source, SnapshotCore):
        return SnapshotCore.__contains__(source, key)
    return ReaderCore.__contains__(source, key)


def _stored_get(source, key, default, /):
    cdef PyObject* value = NULL
    if isinstance(source, MapCore):
        if map_get(source, <PyObject*>key, &value) == PRESENT:
            return steal(boxed(value))
        return default
    if isinstance(source, SnapshotCore):
        return SnapshotCore.get(source, key, default)
    return ReaderCore.get(source, key, default)
