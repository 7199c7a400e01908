"""Snapshot: the state of a ShardMap at one point in time."""

# Types: _snapshot.pyi.

from collections.abc import Mapping
from typing import TYPE_CHECKING

from shardmap import _core
from shardmap._core import SnapshotCore
from shardmap._mapping import MappingSurface
from shardmap._public import public_class
from shardmap._views import ITEMS

if TYPE_CHECKING:
    pass


@public_class(MappingSurface)
class Snapshot(SnapshotCore):
    """An immutable mapping: the state of a ShardMap at one point in time. To take one is O(shards). Afterwards, writers
    of the map copy each table that they change, once. Reads take no lock, and any thread may read.

    >>> from shardmap import ShardMap
    >>> m = ShardMap(a=1)
    >>> before = m.snapshot()
    >>> m["b"] = 2
    >>> before, m
    (Snapshot({'a': 1}), ShardMap({'a': 1, 'b': 2}))
    """

    __slots__ = ()
    __module__ = "shardmap"

    def thaw(self):
        """Returns a new map with these entries, in the same order and in the same number of shards. O(shards): tables
        are shared until the map writes to them. transient() of persistent maps."""
        from shardmap._map import ShardMap

        return _core._thaw(ShardMap, self)

    def partitions(self, n, /):
        """Splits the entries into a list of `n` Partitions. See ShardMap.partitions."""
        from shardmap._partitions import partitions

        return partitions(self, n)

    def __hash__(self):
        """Returns a hash of the items, in any order. Raises TypeError if a value is unhashable. Like
        frozenset.__hash__."""
        return hash(frozenset(self._iterate(ITEMS)))

    def __reduce__(self):
        return _restore, (type(self), list(self._iterate(ITEMS)))

    def __copy__(self):
        return self


def _restore(cls, items):
    from shardmap._map import ShardMap

    return cls(ShardMap(items))


Mapping.register(Snapshot)
