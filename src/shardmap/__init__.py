"""A concurrent drop-in dict for Python threads, made for free-threaded CPython."""

import shardmap._interpreter  # noqa: F401  (before the core)

# isort: split
from shardmap._cache import CacheStats, ShardCache
from shardmap._cached import cached
from shardmap._core import (
    MISSING,
    AtomicRef,
    CacheInfo,
    KeyEntry,
    LockedMany,
    MissingType,
    Partition,
    RemovalCause,
)
from shardmap._counter import ShardCounter
from shardmap._default_dict import ShardDefaultDict
from shardmap._eventual import EventualMap, EventualReader
from shardmap._map import ShardMap
from shardmap._partitions import Shards, ShardView
from shardmap._set import SetSnapshot, ShardSet
from shardmap._snapshot import Snapshot
from shardmap._stats import ShardStats, Stats
from shardmap._views import ItemsView, KeysView, ValuesView
from shardmap._workers import ShardWorkers

__all__ = [
    "MISSING",
    "AtomicRef",
    "CacheInfo",
    "CacheStats",
    "EventualMap",
    "EventualReader",
    "ItemsView",
    "KeyEntry",
    "KeysView",
    "LockedMany",
    "MissingType",
    "Partition",
    "RemovalCause",
    "SetSnapshot",
    "ShardCache",
    "ShardCounter",
    "ShardDefaultDict",
    "ShardMap",
    "ShardSet",
    "ShardStats",
    "ShardView",
    "ShardWorkers",
    "Shards",
    "Snapshot",
    "Stats",
    "ValuesView",
    "cached",
]
__version__ = "0.1.0"
