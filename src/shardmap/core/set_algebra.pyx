# What src/shardmap/_set.py is made of: sets from sets, on one point in time of each.

def _content_of_set(self, /):
    """The elements at one point in time: a SnapshotCore."""
    if isinstance(self, SetSnapshotCore):
        return (<SetSnapshotCore>self).entries
    entries = (<SetCore?>self).entries      # ShardSet.union(None) comes here, too
    mark_set_shared(<SetCore>self)
    return snapshot_of(entries)


def _set_map(SetCore self not None, /):
    """For tests and statistics: the map, which nobody may write to."""
    return self.entries


cdef SetCore blank_set(cls):
    if not isinstance(cls, type):       # not declared so: see blank_map()
        raise TypeError(f"expected a subclass of ShardSet, not {cls!r}")
    return SetCore.__new__(<type>cls)


def _make_set(cls, shards, capacity, /):
    """An empty set of a subclass of SetCore, as _make()."""
    cdef SetCore self = blank_set(cls)
    self.entries = _make(MapCore, shards, capacity)
    return self


def _copy_set(cls, SetCore source not None, /):
    """A set of class `cls` with the same elements: shares all its tables until one of the two writes. O(shards)."""
    cdef SetCore self = blank_set(cls)
    mark_set_shared(source)
    self.entries = _copy(MapCore, source.entries)
    return self


def _set_of(cls, list elements not None, /):
    """A set of class `cls` with elements that are known to differ."""
    cdef SetCore self = blank_set(cls)
    if not fill_from_lists(self.entries, elements, None, <PyObject*>None):
        _store_keys(self.entries, elements, None)
    return self


def _add_all(SetCore self not None, iterable, /):
    add_all(self, iterable)


def _discard_all(SetCore self not None, iterable, /):
    mark_set_shared(self)
    map_delete_many(self.entries, _elements_of(iterable))


def _elements_in(elements, container, bint present, /):
    """Those of `elements` that are in a container, or those that are not, as a list."""
    cdef list found = []
    for element in elements:
        if (element in container) == present:
            found.append(element)
    return found
