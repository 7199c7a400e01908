"""What ShardMap.stats() returns."""

from typing import NamedTuple

from shardmap import _core


class ShardStats(NamedTuple):
    """Statistics of one shard: `size` entries, in a table with room for `capacity` entries before it grows. `contended`
    counts how often a thread found the shard's lock held and had to spin or wait. `copies` counts how often a write had
    to copy the table because a snapshot, a copy or an iteration shared it."""

    size: int
    """The number of entries."""
    capacity: int
    """The number of entries that the shard has room for before it grows."""
    contended: int
    """How often a thread found the shard's lock held and had to spin or wait."""
    copies: int
    """How often a write had to copy the table because a snapshot, a copy, or an iteration that needed it unchanged,
    shared it."""

    @property
    def load(self) -> float:
        """size / capacity, or 0.0 if nothing was ever inserted."""
        return self.size / self.capacity if self.capacity else 0.0


class Stats(NamedTuple):
    """Statistics of a map or a set: `shards` is a tuple with a ShardStats for each shard. Each shard is read at some
    moment of the call, not all at the same moment. `splits` counts how often the map was split into more shards because
    threads contended; a split sets `contended` and `copies` to 0."""

    shards: tuple[ShardStats, ...]
    splits: int = 0
    """How often the map was split into more shards because threads contended. A split sets `contended` and `copies` of
    the shards to 0."""

    @property
    def size(self) -> int:
        """The number of entries in all shards."""
        return sum(shard.size for shard in self.shards)

    @property
    def capacity(self) -> int:
        """The number of entries that all shards together have room for."""
        return sum(shard.capacity for shard in self.shards)

    @property
    def load(self) -> float:
        """size / capacity of all shards, or 0.0 if nothing was ever inserted."""
        return self.size / self.capacity if self.capacity else 0.0

    @property
    def contended(self) -> int:
        """How often a thread found a lock held, summed over all shards."""
        return sum(shard.contended for shard in self.shards)

    @property
    def copies(self) -> int:
        """How often a write copied a shared table, summed over all shards."""
        return sum(shard.copies for shard in self.shards)


ShardStats.__module__ = Stats.__module__ = "shardmap"


def stats_of(entries: _core.MapCore[object, object]) -> Stats:
    return Stats(tuple(ShardStats(*state) for state in _core._shard_states(entries)), _core._splits(entries))
