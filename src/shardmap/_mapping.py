"""The common methods of ShardMap and Snapshot that read one point in time."""

# Types: _mapping.pyi.

from collections.abc import Mapping
from types import GenericAlias

from shardmap import _core
from shardmap._core import MapCore, SnapshotCore
from shardmap._views import ItemsView, KeysView, ValuesView


class MappingSurface:
    """The common methods of the classes over MapCore, SnapshotCore and ReaderCore (_public.py)."""

    __slots__ = ()

    __class_getitem__ = classmethod(GenericAlias)

    def keys(self):
        """Returns a live view of the keys. Like dict.keys.

        Code that unpacks a mapping (`{**m}`, `f(**m)`, `dict(m)`, `d.update(m)`) calls keys() and then looks up each
        key. That raises KeyError if another thread deletes a key in between. Unpack `m.snapshot()` instead, or use
        `m.to_dict()`."""
        return KeysView._of(self)

    def values(self):
        """Returns a live view of the values. Like dict.values."""
        return ValuesView._of(self)

    def items(self):
        """Returns a live view of the (key, value) pairs. Like dict.items."""
        return ItemsView._of(self)

    def to_dict(self):
        """Returns a plain dict of the entries at one point in time, in insertion order, also while other threads write.
        It is shallow. For nested maps, use json.dumps(m.to_dict(), default=ShardMap.to_dict). It costs O(shards), while
        writers wait, and then as much as dict(d). Every key is hashed again, so its `__hash__` and `__eq__` may run,
        without a lock. It reads what is stored, and calls no methods that a subclass overrides. Like dict.copy, or
        dict(d) of a dict d."""
        return _core._to_dict(self)

    def __eq__(self, other):
        """Returns whether both have the same keys with equal values, in any order. Each side is read at one point in
        time, if it is a ShardMap or a Snapshot. `other` may be any Mapping. Like dict.__eq__."""
        if not isinstance(other, (MapCore, dict, SnapshotCore)):
            if not isinstance(other, Mapping):
                return NotImplemented
            other = dict(other.items())
        return _core._equal(self, other)

    def __repr__(self):
        return _core._repr(self)
