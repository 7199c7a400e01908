"""The map that Python threads share: a concurrent drop-in dict, made for free-threaded CPython."""

from shardmap._core import MISSING
from shardmap._map import ShardMap
from shardmap._snapshot import Snapshot
from shardmap._stats import ShardStats, Stats
from shardmap._views import ItemsView, KeysView, ValuesView

__all__ = ["MISSING", "ItemsView", "KeysView", "ShardMap", "ShardStats", "Snapshot", "Stats", "ValuesView"]
__version__ = "0.1.0.dev0"
