# The extension type under ShardMap: what of a dict's surface should not cost a Python frame.

from cpython.dict cimport PyDict_Check, PyDict_Copy, PyDict_Next
from cpython.sequence cimport PySequence_Fast

cdef object MISSING = object()      # "no default given"
cdef uint32_t default_shard_bits = 0


def _set_default_shards(uint32_t bits, /):
    global default_shard_bits
    default_shard_bits = bits


cdef class MapCore:

    __class_getitem__ = classmethod(GenericAlias)

    def __cinit__(self, *args, **kwargs):
        make_shards(self, default_shard_bits)
        enlist(self)

    def __init__(self, /, *args, **kwargs):
        update_from_arguments(self, type(self).__name__, args, kwargs)

    def __dealloc__(self):
        if self.shards != NULL:
            delist(self)
            drop_shards(self)

    # --- dict's operations ---

    def __len__(self):
        """Entries at one point in time. O(shards), takes no lock unless others keep inserting. dict.__len__."""
        return map_len(self)

    def __contains__(self, key):
        """Whether there is an entry for `key`. Linearizable. dict.__contains__."""
        return map_contains(self, <PyObject*>key) == PRESENT

    def __getitem__(self, key):
        """The value of `key`; KeyError without one (or what a subclass's __missing__ returns). Linearizable.
        dict.__getitem__."""
        cdef PyObject* value = NULL
        if map_get(self, <PyObject*>key, &value) == PRESENT:
            return steal(value)
        return missing(self, key)

    def __setitem__(self, key, value):
        """Inserts or overwrites. Linearizable. dict.__setitem__."""
        map_set(self, <PyObject*>key, <PyObject*>value)

    def __delitem__(self, key):
        """Removes the entry; KeyError without one. Linearizable. dict.__delitem__."""
        cdef PyObject* value = NULL
        if map_remove(self, <PyObject*>key, &value) == ABSENT:
            raise KeyError(key)
        decref(value)

    def __iter__(self):
        """Iterates over the keys of one point in time, in insertion order. dict.__iter__."""
        return new_iterator(snapshot_of(self), KEYS, False)

    def __reversed__(self):
        """The same, last inserted first. dict.__reversed__."""
        return new_iterator(snapshot_of(self), KEYS, True)

    def get(self, key, default=None, /):
        """The value of `key`, or `default`. Linearizable. dict.get."""
        cdef PyObject* value = NULL
        if map_get(self, <PyObject*>key, &value) == PRESENT:
            return steal(value)
        return default

    def setdefault(self, key, default=None, /):
        """The value of `key`; without one, inserts `default` and returns it. One operation: of many threads that
        ask at once, one inserts, and all get the same value. Linearizable. dict.setdefault."""
        cdef PyObject* value = NULL
        if map_setdefault(self, <PyObject*>key, <PyObject*>default, &value) == PRESENT:
            return steal(value)
        return default

    def pop(self, key, default=MISSING, /):
        """Removes the entry and returns its value; without one, `default` or KeyError. Of many threads that pop
        one entry, one gets it. Linearizable. dict.pop."""
        cdef PyObject* value = NULL
        if map_remove(self, <PyObject*>key, &value) == PRESENT:
            return steal(value)
        if default is MISSING:
            raise KeyError(key)
        return default

    def popitem(self):
        """Removes the entry inserted last and returns it as (key, value); KeyError from an empty map. Takes every
        shard's lock for a moment: O(shards). Linearizable. dict.popitem."""
        cdef PyObject* key = NULL
        cdef PyObject* value = NULL
        cdef tuple item = PyTuple_New(2)    # made first: once the entry is out nothing can fail
        if map_popitem(self, &key, &value) == ABSENT:
            raise KeyError("popitem(): dictionary is empty")
        set_item(<PyObject*>item, 0, key)
        set_item(<PyObject*>item, 1, value)
        return item

    def clear(self):
        """Removes all entries at one point in time: O(shards), then the entries are let go. Linearizable over the
        whole map. dict.clear."""
        map_clear(self)

    def update(self, /, *args, **kwargs):
        """Inserts or overwrites from a mapping, an iterable of pairs, and keywords. Each key is linearizable, the
        whole is not: others see it happen. From a ShardMap: from one point in time of it. dict.update."""
        update_from_arguments(self, "update", args, kwargs)

    def add(self, key, delta=1, default=0, /):
        """Adds `delta` to the number stored for `key`, to `default` without one, and returns the sum. No other
        thread's update is lost. Linearizable, plain writes included. `+` of the stored object may run more
        than once if others write the same key meanwhile, outside of any lock. Like
        collections.Counter's `c[key] += delta`."""
        cdef PyObject* old = NULL
        cdef Found found, done
        cdef object total
        while True:
            old = NULL
            found = map_get(self, <PyObject*>key, &old)
            try:
                total = steal(number_add(<PyObject*>default if found == ABSENT else old, <PyObject*>delta))
                done = map_replace_same(self, <PyObject*>key, old, <PyObject*>total)
            finally:
                if old != NULL:
                    decref(old)
            if done == PRESENT:
                return total

    def _iterate(self, int what, bint backward=False, /):
        """Iterates over keys (0), values (1) or items (2) of one point in time."""
        return new_iterator(snapshot_of(self), checked(what), backward)

    def _chosen_shards(self):
        """The number of shards if it was chosen, else None."""
        return self.shard_count if self.chosen_shards else None


# --- Other ways to make a map. Each makes the object itself, so nobody else can know it yet. ---

cdef extern from "math.h" nogil:
    double sqrt(double)


cdef MapCore blank_map(type cls, uint32_t shard_bits):
    cdef MapCore self = MapCore.__new__(cls)
    if self.shard_bits != shard_bits:
        delist(self)
        drop_shards(self)
        make_shards(self, shard_bits)
        enlist(self)
    return self


_MOST_SHARDS = 65536
_MOST_ENTRIES = 1 << 48     # more than any memory holds; small enough to add to


def _make(type cls not None, shards, uint64_t capacity, /):
    """An empty map of a subclass of MapCore, in `shards` shards (None: the default), with room for `capacity`
    entries. Calls neither __new__ nor __init__ of the subclass."""
    cdef uint32_t bits = default_shard_bits
    cdef MapCore self
    cdef uint32_t i
    cdef uint64_t each
    if shards is not None:
        if not isinstance(shards, int):
            raise TypeError("shards must be an integer")
        if not 1 <= shards <= _MOST_SHARDS:
            raise ValueError(f"shards must be from 1 to {_MOST_SHARDS}")
        bits = (shards - 1).bit_length()
    if capacity > _MOST_ENTRIES:
        raise MemoryError()
    self = blank_map(cls, bits)
    self.chosen_shards = shards is not None
    if capacity != 0:
        # Hashes spread like balls thrown: room for the fullest shard, four standard deviations up.
        each = (capacity + self.shard_count - 1) >> self.shard_bits
        if self.shard_count > 1:
            each += <uint64_t>(4 * sqrt(<double>each))
        for i in range(self.shard_count):
            shard_at(self, i).table = table_new(each)
    return self


def _copy(type cls not None, MapCore source not None, /):
    """A map of class `cls` equal to `source`: shares all its tables until one of the two writes. O(shards)."""
    cdef MapCore self = blank_map(cls, source.shard_bits)
    cdef PyObject** tables
    cdef Py_ssize_t live = 0
    cdef uint32_t i
    cdef Shard* shard
    self.chosen_shards = source.chosen_shards
    sm_note_use(<PyObject*>source, &source.seen)
    tables = map_share_tables(source, &live)
    for i in range(self.shard_count):
        shard = shard_at(self, i)
        shard.table = tables[i]
        note_size(shard, block_of(tables[i]))
    free(tables)
    return self


cdef object missing(MapCore self, key):
    method = getattr(type(self), "__missing__", None)
    if method is None:
        raise KeyError(key)
    return method(self, key)


# --- update ---

cdef int update_from_arguments(MapCore self, str function, tuple args, dict kwargs) except -1:
    if len(args) > 1:
        raise TypeError(f"{function} expected at most 1 argument, got {len(args)}")
    if args:
        update_from(self, args[0])
    for key, value in kwargs.items():
        map_set(self, <PyObject*>key, <PyObject*>value)
    return 0


cdef int update_from(MapCore self, other) except -1:
    cdef SnapshotCore snapshot
    # Subclasses that iterate in their own way are asked for their keys, as by dict.
    if PyDict_Check(other) and type(other).__iter__ is dict.__iter__:
        # A copy of our own cannot change under us while keys are compared.
        update_from_dict(self, PyDict_Copy(other))
    elif iterates_as_ours(other):
        if other is not self:
            snapshot = snapshot_of(other) if isinstance(other, MapCore) else other
            for key, value in new_iterator(snapshot, ITEMS, False):
                map_set(self, <PyObject*>key, <PyObject*>value)
    elif hasattr(other, "keys"):
        for key in other.keys():
            value = other[key]
            map_set(self, <PyObject*>key, <PyObject*>value)
    else:
        update_from_pairs(self, other)
    return 0


cdef bint iterates_as_ours(other) except -1:
    if isinstance(other, MapCore):
        return type(other).__iter__ is MapCore.__iter__
    return isinstance(other, SnapshotCore) and type(other).__iter__ is SnapshotCore.__iter__


cdef int update_from_dict(MapCore self, dict private) except -1:
    cdef PyObject* key
    cdef PyObject* value
    cdef Py_ssize_t position = 0
    while PyDict_Next(private, &position, &key, &value):
        map_set(self, key, value)
    return 0


cdef int update_from_pairs(MapCore self, pairs) except -1:
    cdef Py_ssize_t number = 0
    for pair in pairs:
        try:
            pair = tuple(PySequence_Fast(pair, "object is not iterable"))
        except TypeError as error:
            error.add_note(f"Cannot convert dictionary update sequence element #{number} to a sequence")
            raise
        if len(pair) != 2:
            raise ValueError(f"dictionary update sequence element #{number} has length {len(pair)}; 2 is required")
        key, value = pair
        map_set(self, <PyObject*>key, <PyObject*>value)
        number += 1
    return 0
