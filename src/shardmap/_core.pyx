# cython: language_level=3
# cython: freethreading_compatible=True
# cython: binding=False
# cython: embedsignature=True
# cython: embedsignature.format=clinic
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: auto_pickle=False, autotestdict=False
"""The core of shardmap: shards, tables, snapshots.

    MapCore            N shards
      Shard            a cache-line-aligned slot: mutex, pointer to its table
        Table          what the garbage collector sees; owns the block's keys and values
          Block        the open-addressing table in memory
    SnapshotCore       one reference and one share of each of a map's tables
    CacheCore          a map with a bound

One file a concern, in core/, from the bottom up. Read core/shard.pyx first: its rules hold everywhere.
"""

cimport cython

include "core/memory.pyx"
include "core/value.pyx"
include "core/missing.pyx"
include "core/block.pyx"
include "core/cache_columns.pyx"
include "core/probe.pyx"
include "core/undo_log.pyx"
include "core/table.pyx"
include "core/layout.pyx"
include "core/shard.pyx"
include "core/fork.pyx"
include "core/lookup.pyx"
include "core/deferred_free.pyx"
include "core/read_key.pyx"
include "core/compare_unlocked.pyx"
include "core/context.pyx"
include "core/key_lock.pyx"
include "core/key_wait.pyx"
include "core/deadlock.pyx"
include "core/resize.pyx"
include "core/copy_on_write.pyx"
include "core/insert_key.pyx"
include "core/overwrite_key.pyx"
include "core/delete_key.pyx"
include "core/write_key.pyx"
include "core/add.pyx"
include "core/compare_and_set.pyx"
include "core/update_max_min.pyx"
include "core/compute.pyx"
include "core/retain.pyx"
include "core/whole_map.pyx"
include "core/popitem.pyx"
include "core/clear.pyx"
include "core/merge.pyx"
include "core/merge_window.pyx"
include "core/split.pyx"
include "core/snapshot.pyx"
include "core/snapshot_iterator.pyx"
include "core/key_entry.pyx"
include "core/lock_many.pyx"
include "core/key_request.pyx"
include "core/integer_array.pyx"
include "core/bulk_keys.pyx"
include "core/bulk_lookup.pyx"
include "core/bulk_integers.pyx"
include "core/bulk_store.pyx"
include "core/build_table.pyx"
include "core/bulk_update.pyx"
include "core/bulk_delete.pyx"
include "core/count.pyx"
include "core/map.pyx"
include "core/fast_methods.pyx"
include "core/construct.pyx"
include "core/subclass_hooks.pyx"
include "core/stats.pyx"
include "core/check.pyx"
include "core/atomic_ref.pyx"
include "core/eventual_reader.pyx"
include "core/to_dict.pyx"
include "core/equality.pyx"
include "core/union.pyx"
include "core/view_sets.pyx"
include "core/repr.pyx"
include "core/deepcopy.pyx"
include "core/partition.pyx"
include "core/set.pyx"
include "core/set_algebra.pyx"
include "core/cache_removal.pyx"
include "core/cache_policy.pyx"
include "core/cache_expiry.pyx"
include "core/cache_write.pyx"
include "core/cache_read.pyx"
include "core/load.pyx"
include "core/cache_load.pyx"
include "core/cache_refresh.pyx"
include "core/cache_clear.pyx"
include "core/cache.pyx"
include "core/cache_async.pyx"
include "core/cache_many.pyx"
include "core/cache_stats.pyx"
include "core/cached_call.pyx"
include "core/gc.pyx"

sm_hash_init(<uint64_t>hash("shardmap"))
sm_stamp_init()
sm_readers_init()


sm_set_gc(<PyTypeObject*>Table, <traverseproc>table_traverse, <inquiry>table_clear)
sm_set_gc(<PyTypeObject*>Load, <traverseproc>load_traverse, <inquiry>load_clear)
sm_set_gc(<PyTypeObject*>MapCore, <traverseproc>map_traverse, <inquiry>no_clear)
sm_set_gc(<PyTypeObject*>SnapshotCore, <traverseproc>snapshot_traverse, <inquiry>no_clear)
sm_set_gc(<PyTypeObject*>SnapshotIterator, <traverseproc>iterator_traverse, <inquiry>iterator_clear)
sm_set_gc(<PyTypeObject*>AtomicRef, <traverseproc>ref_traverse, <inquiry>ref_clear)
sm_set_gc(<PyTypeObject*>Version, <traverseproc>version_traverse, <inquiry>version_clear)
sm_set_clear(<PyTypeObject*>CacheCore, <inquiry>cache_clear_slot)
sm_set_init(<PyTypeObject*>MapCore, <initproc>init_map)
sm_set_traverse(<PyTypeObject*>KeyEntry, <traverseproc>entry_traverse)
sm_no_sequence(<PyTypeObject*>MapCore)
sm_no_sequence(<PyTypeObject*>SnapshotCore)
sm_no_sequence(<PyTypeObject*>ReaderCore)
sm_no_sequence(<PyTypeObject*>CacheCore)
# What people see in reprs, help() and messages. A core has the name of the class over it; types that nobody makes by
# name are called as CPython calls its own (dict_keyiterator).
sm_set_name(<PyTypeObject*>MapCore, b"shardmap.ShardMap")
sm_set_name(<PyTypeObject*>SnapshotCore, b"shardmap.Snapshot")
sm_set_name(<PyTypeObject*>ReaderCore, b"shardmap.EventualReader")
sm_set_name(<PyTypeObject*>SetCore, b"shardmap.ShardSet")
sm_set_name(<PyTypeObject*>SetSnapshotCore, b"shardmap.SetSnapshot")
sm_set_name(<PyTypeObject*>CacheCore, b"shardmap.ShardCache")
sm_set_name(<PyTypeObject*>SnapshotIterator, b"shardmap.map_iterator")
sm_set_name(<PyTypeObject*>PartitionIterator, b"shardmap.partition_iterator")
sm_set_name(<PyTypeObject*>CachedCall, b"shardmap.cached_function")
sm_set_name(<PyTypeObject*>BoundCachedCall, b"shardmap.cached_method")
sm_set_name(<PyTypeObject*>AsyncEnter, b"shardmap.lock_awaitable")
sm_set_name(<PyTypeObject*>Finished, b"shardmap.unlock_awaitable")
sm_set_name(<PyTypeObject*>AtomicRef, b"shardmap.AtomicRef")
sm_set_name(<PyTypeObject*>Partition, b"shardmap.Partition")
sm_set_name(<PyTypeObject*>KeyEntry, b"shardmap.KeyEntry")
sm_set_name(<PyTypeObject*>LockedMany, b"shardmap.LockedMany")
