# Snapshots: one point in time of a whole map. A snapshot shares the map's tables, one for each shard.

from types import GenericAlias


cdef class SnapshotCore:
    """Snapshot(source=None)\n--\n\nThe state of a map at one point in time. It never changes, and reads take no
    lock."""

    __class_getitem__ = classmethod(GenericAlias)

    def __cinit__(self, MapCore source=None):
        if source is not None:
            fill_snapshot(self, source)

    def __dealloc__(self):
        if self.tables != NULL and self.origin is None:
            release_tables(self.tables, self.table_count)

    def __len__(self):
        return self.live

    def __contains__(self, key):
        cdef Access at
        sm_mark_used_often(<PyObject*>self, &self.foreign_uses)
        return snapshot_find(self, <PyObject*>key, &at) == PRESENT

    def __getitem__(self, key):
        cdef Access at
        sm_mark_used_often(<PyObject*>self, &self.foreign_uses)
        if snapshot_find(self, <PyObject*>key, &at) == PRESENT:
            return boxed_copy(at.found.block.entries[at.found.entry].value)
        raise KeyError(key)

    def get(self, key, default=None, /):
        """Returns the value of `key`, or `default` if there is no entry. Takes no lock. Like dict.get."""
        cdef Access at
        sm_mark_used_often(<PyObject*>self, &self.foreign_uses)
        if snapshot_find(self, <PyObject*>key, &at) == PRESENT:
            return boxed_copy(at.found.block.entries[at.found.entry].value)
        return default

    def __iter__(self):
        return new_iterator(self, KEYS, False)

    def __reversed__(self):
        return new_iterator(self, KEYS, True)

    def _iterate(self, int what, bint backward=False, /):
        return new_iterator(self, checked(what), backward)


cdef int fill_snapshot(SnapshotCore self, MapCore source) except -1:
    cdef SharedTables shared
    mark_shared(source)
    map_share_tables(source, &shared)
    self.tables = shared.tables
    self.table_count = shared.count
    self.shard_bits = shared.shard_bits
    self.live = shared.live
    self.chosen_shards = source.shards_fixed == FIXED_BY_CHOICE
    return 0


cdef SnapshotCore snapshot_of(MapCore source):
    cdef SnapshotCore snapshot = SnapshotCore.__new__(SnapshotCore)
    fill_snapshot(snapshot, source)
    return snapshot


def _thaw(type cls not None, SnapshotCore source not None, /):
    """A map of class `cls` with the snapshot's entries, in as many shards: shares all its tables. O(shards)."""
    cdef MapCore self
    cdef uint32_t i
    if source.tables == NULL:
        return blank_map(cls, 0)
    self = blank_map(cls, source.shard_bits)
    if source.chosen_shards:
        self.shards_fixed = FIXED_BY_CHOICE
    for i in range(source.table_count):
        table_share(source.tables[i])
        give_table(shard_at(self, i), source.tables[i])
    return self


cdef Found snapshot_find(SnapshotCore self, PyObject* key, Access* at) except FAILED:
    cdef Py_hash_t hashed = 0
    cdef uint32_t mixed
    hash_of(key, &hashed)
    if self.tables == NULL:
        return ABSENT
    at.shard = NULL
    start_access(at)
    mixed = sm_mixed_of(<uint64_t>hashed)
    at.found.block = block_of(self.tables[sm_shard_of_mixed(mixed, self.shard_bits)])
    at.hash31 = sm_hash31_of_mixed(mixed, self.shard_bits)
    return find_locked(key, at)
