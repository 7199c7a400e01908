# What leaves a map as a whole, and what views ask: of the map as it is stored, whatever a subclass overrides.

from cpython.dict cimport PyDict_New

cdef extern from "Python.h":
    int dict_set_item "PyDict_SetItem"(PyObject* mapping, PyObject* key, PyObject* value) except -1


cdef SnapshotCore content_of(source, str wanted_by):
    """One point in time of a map, a snapshot or an EventualMap's reader."""
    if isinstance(source, MapCore):
        return snapshot_of(source)
    if isinstance(source, SnapshotCore):
        return source
    if isinstance(source, ReaderCore):
        return (<ReaderCore>source)._content()
    raise TypeError(f"{wanted_by} of a ShardMap, a Snapshot or an EventualReader, not of {type(source).__name__!r}")


def _to_dict(source, /):
    """A plain dict of one point in time, in insertion order."""
    cdef SnapshotCore content = content_of(source, "to_dict() is a method")
    cdef Merge* merge
    cdef Entry* entry
    cdef PyObject* key
    cdef PyObject* value
    cdef dict made = PyDict_New()
    if content.live == 0:
        return made
    merge = merge_new(content.table_count)
    try:
        merge_start(merge, content.tables, content.table_count, False)
        # The tables cannot change, as `content` shares them; but the collector may empty them, if this runs in a
        # finalizer of the same garbage.
        while not merge.over:
            entry = merge_entry(merge)
            if entry.key == NULL:
                break
            value = try_boxed_copy(entry.value)
            if value == NULL:
                raise_what_is_set()
            key = new_reference(entry.key)
            merge_advance(merge)
            try:
                dict_set_item(<PyObject*>made, key, value)      # may run the key's __hash__ and __eq__
            finally:
                decref(key)
                decref(value)
    finally:
        free(merge)
    return made
