"""The shards of a map, and its partitions, which threads share out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from operator import index
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from shardmap import _core
from shardmap._core import Partition, SnapshotCore
from shardmap._public import public_class
from shardmap._snapshot import Snapshot

if TYPE_CHECKING:
    from shardmap._map import ShardMap

_KT = TypeVar("_KT")
_VT = TypeVar("_VT")


def partitions(source: SnapshotCore[_KT, _VT], count: int) -> list[Partition[_KT, _VT]]:
    number = index(count)
    if number < 1:
        raise ValueError(f"n must be at least 1, not {number}")
    return _core._partitions(source, number)


@public_class()
class ShardView(Collection[_KT], Generic[_KT, _VT]):
    """One shard of a map: a live collection of its keys. Iteration, items(), values() and snapshot() read this shard at
    one point in time and hold its lock for a short time. The next write to the shard then copies its table, as after
    any snapshot."""

    __slots__ = ("_index", "_source")
    __module__ = "shardmap"

    def __init__(self, source: ShardMap[_KT, _VT], number: int) -> None:
        self._source = source
        self._index = number

    @property
    def index(self) -> int:
        """The number of the shard: shard_index(key) of its keys."""
        return self._index

    def __len__(self) -> int:
        """Returns the number of entries of this shard. O(1), takes no lock."""
        return _core._shard_len(self._source, self._index)

    def __contains__(self, key: object) -> bool:
        """Returns whether the key is in the map and belongs to this shard. Linearizable."""
        return _core._shard_index(self._source, key) == self._index and key in self._source

    def __iter__(self) -> Iterator[_KT]:
        """Iterates over the keys of this shard at one point in time, in insertion order."""
        return iter(self.snapshot())

    def items(self) -> Iterator[tuple[_KT, _VT]]:
        """Iterates over the (key, value) pairs of this shard at one point in time, in insertion order."""
        return iter(self.snapshot().items())

    def values(self) -> Iterator[_VT]:
        """Iterates over the values of this shard at one point in time, in insertion order."""
        return iter(self.snapshot().values())

    def snapshot(self) -> Snapshot[_KT, _VT]:
        """Returns the entries of this shard at this point in time as a Snapshot. Takes only this shard's lock."""
        return _core._shard_snapshot(Snapshot, self._source, self._index)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ShardView):
            return NotImplemented
        return self._source is other._source and self._index == other._index

    def __hash__(self) -> int:
        return hash((id(self._source), self._index))

    def __repr__(self) -> str:
        return f"<shard {self._index} of {_core._shard_count(self._source)}: {len(self)} entries>"


@public_class()
class Shards(Sequence[ShardView[_KT, _VT]]):
    """The shards of a map, in the order of their numbers, as ShardMap.shards returns them: a sequence of ShardViews."""

    __slots__ = ("_source",)
    __module__ = "shardmap"

    def __init__(self, source: ShardMap[_KT, _VT]) -> None:
        self._source = source

    def __len__(self) -> int:
        return _core._shard_count(self._source)

    @overload
    def __getitem__(self, number: int) -> ShardView[_KT, _VT]: ...
    @overload
    def __getitem__(self, number: slice) -> list[ShardView[_KT, _VT]]: ...
    def __getitem__(self, number: Any) -> Any:
        chosen = range(len(self))[number]
        if isinstance(chosen, range):
            return [ShardView(self._source, each) for each in chosen]
        return ShardView(self._source, chosen)

    def __eq__(self, other: object) -> bool:
        return self._source is other._source if isinstance(other, Shards) else NotImplemented

    def __hash__(self) -> int:
        return hash((Shards, id(self._source)))

    def __repr__(self) -> str:
        return f"<{len(self)} shards>"
