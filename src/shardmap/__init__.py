"""The map that Python threads share: a concurrent drop-in dict, made for free-threaded CPython."""

from shardmap._core import MISSING, AtomicRef, KeyEntry, LockedMany, MissingType, Partition
from shardmap._eventual import EventualMap, EventualReader
from shardmap._map import ShardMap
from shardmap._partitions import Shards, ShardView
from shardmap._snapshot import Snapshot
from shardmap._stats import ShardStats, Stats
from shardmap._views import ItemsView, KeysView, ValuesView
from shardmap._workers import ShardWorkers

__all__ = [
    "MISSING",
    "AtomicRef",
    "EventualMap",
    "EventualReader",
    "ItemsView",
    "KeyEntry",
    "KeysView",
    "LockedMany",
    "MissingType",
    "Partition",
    "ShardMap",
    "ShardStats",
    "ShardView",
    "ShardWorkers",
    "Shards",
    "Snapshot",
    "Stats",
    "ValuesView",
]
__version__ = "0.1.0"
