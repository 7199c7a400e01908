"""A map seen by its shards, and cut into parts for threads to share out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from operator import index
from typing import Any, Generic, TypeVar, overload

from shardmap import _core
from shardmap._core import MapCore, Partition, SnapshotCore
from shardmap._snapshot import Snapshot

_KT = TypeVar("_KT")
_VT = TypeVar("_VT")


def partitions(source: SnapshotCore[_KT, _VT], count: int) -> list[Partition[_KT, _VT]]:
    number = index(count)
    if number < 1:
        raise ValueError("there must be at least one partition")
    return _core._partitions(source, number)


class ShardView(Collection[_KT], Generic[_KT, _VT]):
    """One shard of a map: a live collection of its keys. Iteration, items(), values() and snapshot() read one point in
    time of this shard, which takes its lock for a moment; each write to it thereafter as with any snapshot."""

    __slots__ = ("_index", "_source")
    __module__ = "shardmap"

    def __init__(self, source: MapCore[_KT, _VT], number: int) -> None:
        self._source = source
        self._index = number

    @property
    def index(self) -> int:
        """The shard's number: what shard_index(key) says of its keys."""
        return self._index

    def __len__(self) -> int:
        """Entries of this shard. O(1), takes no lock."""
        return _core._shard_len(self._source, self._index)

    def __contains__(self, key: object) -> bool:
        """Whether the key is in the map and belongs to this shard. Linearizable."""
        return _core._shard_index(self._source, key) == self._index and key in self._source

    def __iter__(self) -> Iterator[_KT]:
        """The keys of one point in time of this shard, in insertion order."""
        return iter(self.snapshot())

    def items(self) -> Iterator[tuple[_KT, _VT]]:
        """The (key, value) pairs of one point in time of this shard, in insertion order."""
        return iter(self.snapshot().items())

    def values(self) -> Iterator[_VT]:
        """The values of one point in time of this shard, in insertion order."""
        return iter(self.snapshot().values())

    def snapshot(self) -> Snapshot[_KT, _VT]:
        """This shard's entries at this point in time. Takes this shard's lock only."""
        return _core._shard_snapshot(Snapshot, self._source, self._index)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ShardView):
            return NotImplemented
        return self._source is other._source and self._index == other._index

    def __hash__(self) -> int:
        return hash((id(self._source), self._index))

    def __repr__(self) -> str:
        return f"<shard {self._index} of {_core._shard_count(self._source)}: {len(self)} entries>"


class Shards(Sequence[ShardView[_KT, _VT]]):
    """The shards of a map, in the order of their numbers. What ShardMap.shards returns."""

    __slots__ = ("_source",)
    __module__ = "shardmap"

    def __init__(self, source: MapCore[_KT, _VT]) -> None:
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
