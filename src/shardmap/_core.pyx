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

One file a concern, in core/, from the bottom up. Read core/shard.pxi first: its rules hold everywhere.
"""

include "core/memory.pxi"
include "core/value.pxi"
include "core/block.pxi"
include "core/table.pxi"
include "core/shard.pxi"
include "core/fork.pxi"
include "core/lookup.pxi"
include "core/reading.pxi"
include "core/sentinel.pxi"
include "core/context.pxi"
include "core/keylock.pxi"
include "core/keywait.pxi"
include "core/operations.pxi"
include "core/whole_map.pxi"
include "core/compound.pxi"
include "core/merge.pxi"
include "core/snapshot.pxi"
include "core/keyentry.pxi"
include "core/keyrequest.pxi"
include "core/bulk_keys.pxi"
include "core/bulk_lookup.pxi"
include "core/bulk_store.pxi"
include "core/bulk_update.pxi"
include "core/bulk_remove.pxi"
include "core/tally.pxi"
include "core/map.pxi"
include "core/calls.pxi"
include "core/construct.pxi"
include "core/inspection.pxi"
include "core/atomicref.pxi"
include "core/eventual.pxi"
include "core/export.pxi"
include "core/partition.pxi"

sm_stamp_init()
sm_readers_init()


# What Cython cannot say about types: the garbage collector's slots, that a mapping is no sequence (Cython
# fills sq_item for every __getitem__, and PySequence_Check() believes it), and the name people use.

cdef extern from *:
    """
    static void sm_set_gc(PyTypeObject *t, traverseproc traverse, inquiry clear)
    { t->tp_traverse = traverse; t->tp_clear = clear; }
    static void sm_no_sequence(PyTypeObject *t)
    { t->tp_as_sequence->sq_item = NULL; PyType_Modified(t); }
    /* The public name, from which __module__ comes. */
    static void sm_set_name(PyTypeObject *t, const char *name)
    { t->tp_name = name; PyType_Modified(t); }
    """
    ctypedef int (*traverseproc)(PyObject*, visitproc, void*)
    ctypedef int (*inquiry)(PyObject*)
    void sm_set_gc(PyTypeObject*, traverseproc, inquiry)
    void sm_no_sequence(PyTypeObject*)
    void sm_set_name(PyTypeObject*, const char*)

sm_set_gc(<PyTypeObject*>Table, <traverseproc>table_traverse, <inquiry>table_clear)
sm_set_gc(<PyTypeObject*>MapCore, <traverseproc>map_traverse, <inquiry>no_clear)
sm_set_gc(<PyTypeObject*>SnapshotCore, <traverseproc>snapshot_traverse, <inquiry>no_clear)
sm_set_gc(<PyTypeObject*>SnapshotIterator, <traverseproc>iterator_traverse, <inquiry>iterator_clear)
sm_set_gc(<PyTypeObject*>AtomicRef, <traverseproc>ref_traverse, <inquiry>ref_clear)
sm_set_gc(<PyTypeObject*>Version, <traverseproc>version_traverse, <inquiry>version_clear)
sm_no_sequence(<PyTypeObject*>MapCore)
sm_no_sequence(<PyTypeObject*>SnapshotCore)
sm_no_sequence(<PyTypeObject*>ReaderCore)
sm_set_name(<PyTypeObject*>AtomicRef, b"shardmap.AtomicRef")
sm_set_name(<PyTypeObject*>Partition, b"shardmap.Partition")
sm_set_name(<PyTypeObject*>KeyEntry, b"shardmap.KeyEntry")
sm_set_name(<PyTypeObject*>LockedMany, b"shardmap.LockedMany")
