# Making maps, and filling them from others.

cdef str MISSING_NAME = "__missing__"


# --- Other ways to make a map. Each makes the object itself, so nobody else can know it yet. ---

cdef MapCore blank_map(cls, uint32_t shard_bits):
    """An empty map with so many shards."""
    cdef MapCore self
    # Not declared as `type cls`: Cython takes that for the very type, and a class may have a metaclass (ABCMeta).
    if not isinstance(cls, type):
        raise TypeError(f"expected a subclass of ShardMap, not {cls!r}")
    self = MapCore.__new__(<type>cls)
    begin_with_shards(self, shard_bits)
    return self


_MOST_SHARDS = 65536
_MOST_ENTRIES = 1 << 48     # more than any memory holds; small enough to add to


def _make(cls, shards, capacity, /):
    """An empty map of a subclass of MapCore, in `shards` shards (None: one, and more as they are needed), with room for
    `capacity` entries. Calls neither __new__ nor __init__ of the subclass."""
    cdef uint32_t bits = 0
    cdef MapCore self
    cdef uint32_t i
    cdef uint64_t each
    if not isinstance(capacity, int):
        raise TypeError(f"capacity must be an integer, not {type(capacity).__name__}")
    if capacity < 0:
        raise ValueError(f"capacity must be a non-negative integer, not {capacity}")
    if capacity > _MOST_ENTRIES:
        raise MemoryError()
    if shards is not None:
        if not isinstance(shards, int):
            raise TypeError(f"shards must be an integer or None, not {type(shards).__name__}")
        if not 1 <= shards <= _MOST_SHARDS:
            raise ValueError(f"shards must be from 1 to {_MOST_SHARDS}, not {shards}")
        bits = (shards - 1).bit_length()
    self = blank_map(cls, bits)
    if shards is not None:
        self.shards_fixed = FIXED_BY_CHOICE
    if capacity != 0:
        each = share_of(layout_of(self), capacity)
        for i in range(layout_of(self).shard_count):
            give_table(shard_at(self, i), table_new(each, bits != 0))
    return self


def _copy(cls, MapCore source not None, /):
    """A map of class `cls` equal to `source`: shares all its tables until one of the two writes. O(shards)."""
    cdef MapCore self = blank_map(cls, 0)
    cdef SharedTables shared
    cdef Layout* layout
    cdef PyObject* only
    cdef uint32_t i
    if source.shards_fixed == FIXED_BY_CHOICE:
        self.shards_fixed = FIXED_BY_CHOICE
    mark_shared(source)
    layout = layout_of(source)
    if layout.shard_count == 1:
        lock(shard_in(layout, 0))
        if not shard_in(layout, 0).is_moved:
            only = shard_in(layout, 0).table
            table_share(only)
            unlock(shard_in(layout, 0))
            give_table(shard_at(self, 0), only)
            return self
        unlock(shard_in(layout, 0))
    map_share_tables(source, &shared)
    try:
        begin_with_shards(self, shared.shard_bits)
    except:
        release_tables(shared.tables, shared.count)
        raise
    for i in range(shared.count):
        give_table(shard_at(self, i), shared.tables[i])
    free(shared.tables)
    return self


cdef int init_map(PyObject* self, PyObject* args, PyObject* kwargs) except -1:
    """The type's slot: MapCore.__init__ without a dict for no keywords and a name for no message."""
    if tuple_size(args) == 0 and kwargs == NULL:
        return 0
    named = <dict>kwargs if kwargs != NULL else {}
    update_from_arguments(<MapCore>self, type(<MapCore>self).__name__, <tuple>args, named)
    return 0


# --- update ---

cdef int update_from_arguments(MapCore self, str function, tuple args, dict kwargs) except -1:
    if len(args) > 1:
        raise TypeError(f"{function} expected at most 1 argument, got {len(args)}")
    if args:
        update_from(self, args[0])
    if kwargs:
        for key, value in kwargs.items():
            map_set(self, <PyObject*>key, <PyObject*>value)
    return 0


cdef int update_from(MapCore self, other) except -1:
    cdef SnapshotCore snapshot
    # Subclasses that iterate in their own way are asked for their keys, as by dict.
    if iterates_as_dict(other):
        if PyDict_Size(other) != 0:
            update_from_dict(self, other)
    elif iterates_as_ours(other):
        if other is not self and not (isinstance(other, MapCore) and map_len(other) == 0):
            snapshot = snapshot_of(other) if isinstance(other, MapCore) else other
            store_snapshot(self, snapshot)
    elif hasattr(other, "keys"):
        for key in other.keys():
            value = other[key]
            map_set(self, <PyObject*>key, <PyObject*>value)
    else:
        update_from_pairs(self, other)
    return 0


cdef bint iterates_as_ours(other) except -1:
    if isinstance(other, MapCore):
        return sm_iterates_as(<PyObject*>other, <PyTypeObject*>MapCore)
    return isinstance(other, SnapshotCore) and sm_iterates_as(<PyObject*>other, <PyTypeObject*>SnapshotCore)


cdef inline bint iterates_as_dict(other) noexcept:
    return PyDict_Check(other) and sm_iterates_as(<PyObject*>other, <PyTypeObject*>dict)


cdef int update_from_dict(MapCore self, source) except -1:
    cdef PyObject* key
    cdef PyObject* value
    cdef Py_ssize_t position = 0
    if PyDict_Size(source) >= FEW:
        store_dict(self, source)
        return 0
    private = PyDict_Copy(source)       # cannot change under us while keys are compared
    while PyDict_Next(private, &position, &key, &value):
        map_set(self, key, value)
    return 0


cdef int update_from_pairs(MapCore self, pairs) except -1:
    """One by one: an iterator may look at the map between two pairs. Lists and tuples of pairs cannot."""
    cdef Py_ssize_t number = 0
    if (PyList_CheckExact(pairs) or PyTuple_CheckExact(pairs)) and len(pairs) >= FEW:
        store_pairs(self, pairs)
        return 0
    for pair in pairs:
        pair = checked_pair(pair, number)
        map_set(self, tuple_item(<PyObject*>pair, 0), tuple_item(<PyObject*>pair, 1))
        number += 1
    return 0


cdef tuple checked_pair(pair, Py_ssize_t number):
    try:
        pair = tuple(PySequence_Fast(pair, "object is not iterable"))
    except TypeError as error:
        error.add_note(f"Cannot convert dictionary update sequence element #{number} to a sequence")
        raise
    if len(pair) != 2:
        raise ValueError(f"dictionary update sequence element #{number} has length {len(pair)}; 2 is required")
    return pair


def _store_keys(MapCore m not None, iterable, value, /):
    """Stores `value` for all keys, in their order. Of a dict, a set, a map, a list or a tuple all at a time."""
    cdef Bulk self
    cdef uint32_t i
    iterable = plain_keys(iterable, ITERATE)
    if value is no_value or not store_different_keys(m, iterable, <PyObject*>value):
        if (PyList_CheckExact(iterable) or PyTuple_CheckExact(iterable)) and len(iterable) >= FEW \
                and value is not no_value:
            self = new_bulk(m, known_size(iterable), BATCH)
            mark_shared(m)
            reserve_if_many(m, known_size(iterable))
            while not self.source.ended and take_keys(self, m, iterable):
                for i in range(self.size):
                    self.values[i] = new_reference(<PyObject*>value)
                store_batch(m, self)
            drop_keys(self)
            raise_error_of(self)
        else:
            for key in iterable:
                map_set(m, <PyObject*>key, <PyObject*>value)


cdef bint store_different_keys(MapCore m, iterable, PyObject* value) except -1:
    """Whether it was a source of keys that are known to differ, for an empty map."""
    if iterates_as_dict(iterable):
        return fill_from_dict(m, iterable, value)
    if type(iterable) is set or type(iterable) is frozenset:
        return len(iterable) >= FEW and fill_from_lists(m, list(iterable), None, value)
    if iterates_as_ours(iterable):
        return fill_from_snapshot(m, snapshot_of(iterable) if isinstance(iterable, MapCore) else iterable, value)
    return False
