"""What ShardMap and Snapshot have in common: reading a point in time."""

# Types: _mapping.pyi.

from collections.abc import Mapping
from types import GenericAlias

from shardmap import _core
from shardmap._core import MapCore, SnapshotCore
from shardmap._views import ItemsView, KeysView, ValuesView


class MappingSurface:
    """Mixed into the Python classes over MapCore and SnapshotCore."""

    __slots__ = ()

    __class_getitem__ = classmethod(GenericAlias)

    def keys(self):
        """A live view of the keys. dict.keys.

        What unpacks a mapping (`{**m}`, `f(**m)`, `dict(m)`, `d.update(m)`) calls this and then asks for the value of
        each key: a KeyError if another thread deletes one in between. Unpack `m.snapshot()`, or use `m.to_dict()`."""
        return KeysView._of(self)

    def values(self):
        """A live view of the values. dict.values."""
        return ValuesView._of(self)

    def items(self):
        """A live view of the (key, value) pairs. dict.items."""
        return ItemsView._of(self)

    def to_dict(self):
        """A plain dict of the entries at one point in time, in insertion order, also while others write. Shallow: for
        maps inside of maps, json.dumps(m.to_dict(), default=ShardMap.to_dict). Cost: O(shards), in which writers
        wait for moments, and then that of dict(d): every key is hashed anew, and on the way its `__hash__` and `__eq__`
        may run, without a lock. It takes what is stored; what a subclass overrides is not asked. dict.copy, and what
        dict(d) is with a dict."""
        return _core._to_dict(self)

    def __eq__(self, other):
        """Whether both have the same keys with equal values, in any order: one point in time of this side,
        and one of the other if it is a ShardMap. dict.__eq__, and with any Mapping."""
        if not isinstance(other, (MapCore, dict, SnapshotCore)):
            if not isinstance(other, Mapping):
                return NotImplemented
            other = dict(other.items())
        return _core._equal(self, other)

    def __repr__(self):
        return _core._repr(self)
