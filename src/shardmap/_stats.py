"""What ShardMap.stats() returns."""

from typing import NamedTuple

from shardmap import _core


class ShardStats(NamedTuple):
    """One shard."""

    size: int
    """Entries."""
    capacity: int
    """Entries it has room for before it grows."""
    contended: int
    """Times a thread found its lock taken and had to spin or wait."""
    copies: int
    """Times a write had to copy the table because a snapshot, a copy, or a loop that could not be served otherwise,
    shared it."""

    @property
    def load(self) -> float:
        """size / capacity; 0.0 while nothing was ever inserted."""
        return self.size / self.capacity if self.capacity else 0.0


class Stats(NamedTuple):
    """A whole map: one ShardStats a shard, each true at some moment of the call, not all at one."""

    shards: tuple[ShardStats, ...]
    splits: int = 0
    """How often the map was split into more shards because threads contended. `contended` and `copies` of the shards
    count from the last time on."""

    @property
    def size(self) -> int:
        """Entries in all shards."""
        return sum(shard.size for shard in self.shards)

    @property
    def capacity(self) -> int:
        """Entries that all shards together have room for."""
        return sum(shard.capacity for shard in self.shards)

    @property
    def load(self) -> float:
        """size / capacity of all shards."""
        return self.size / self.capacity if self.capacity else 0.0

    @property
    def contended(self) -> int:
        """Contended acquisitions of all shards' locks."""
        return sum(shard.contended for shard in self.shards)

    @property
    def copies(self) -> int:
        """Copies made for snapshots, of all shards."""
        return sum(shard.copies for shard in self.shards)


def stats_of(entries: _core.MapCore[object, object]) -> Stats:
    return Stats(tuple(ShardStats(*state) for state in _core._shard_states(entries)), _core._splits(entries))
