"""ShardMap, the main class. Frequent operations are methods of MapCore; the methods here cost a Python frame."""

# Types: _map.pyi.

import copyreg
from collections.abc import MutableMapping
from functools import partial

from shardmap import _core
from shardmap._core import MISSING, MapCore
from shardmap._cpus import usable_cpus
from shardmap._map_reduce import map_reduce
from shardmap._mapping import MappingSurface
from shardmap._partitions import Shards, partitions
from shardmap._public import public_class
from shardmap._snapshot import Snapshot
from shardmap._stats import stats_of

_SHARDS_PER_CPU = 8  # with 4, two threads that insert needed a fifth more time
_MOST_DEFAULT_SHARDS = 256


def _bits_for(shards):
    """Bits that number at least `shards` shards."""
    return (shards - 1).bit_length()


def _set_cpus(cpus):
    """Sets the largest number of shards that a map is split into by itself, from the number of CPUs. Tests and
    benchmarks pass another number than that of this machine."""
    _core._set_default_shards(_bits_for(min(_SHARDS_PER_CPU * cpus, _MOST_DEFAULT_SHARDS)))


_set_cpus(usable_cpus())


@public_class(MappingSurface)
class ShardMap(MapCore):
    """A dict that many threads can use at once without a lock of their own.

    ShardMap(), ShardMap(mapping), ShardMap(iterable_of_pairs), ShardMap(..., key=value): like dict.

    Every operation on one key is atomic (linearizable). `len`, `clear`, `copy`, `snapshot` and the start of an
    iteration see the whole map at one point in time. Iteration never raises because another thread wrote. No lock is
    held while your code runs (`__hash__`, `__eq__`, `__del__`), so it may use the map.

    >>> m = ShardMap(a=1)
    >>> m["b"] = 2
    >>> m
    ShardMap({'a': 1, 'b': 2})
    """

    __slots__ = ()
    __module__ = "shardmap"
    __hash__ = None

    @classmethod
    def with_capacity(cls, capacity=0, *, shards=None):
        """Returns an empty map with room for `capacity` entries before it grows, in `shards` shards. `shards` is from 1
        to 65,536 and is rounded up to a power of two; the number then never changes. Without `shards`, the map has one
        shard. When threads contend, it gets more: up to 8 for each CPU, at most 256.

        More shards let more threads write at once. On Linux, each shard costs 136 bytes and a table. It also costs a
        little time in `len`, `clear`, `popitem` and at the start of an iteration. HashMap::with_capacity of Rust.
        """
        self = _core._make(cls, shards, capacity)
        self.__init__()
        return self

    @classmethod
    def fromkeys(cls, iterable, value=None, /):
        """Returns a new map with these keys, all with `value`. Like dict.fromkeys."""
        self = cls()
        if isinstance(self, MapCore) and type(self).__setitem__ is ShardMap.__setitem__:
            _core._store_keys(self, iterable, value)
        else:
            for key in iterable:
                self[key] = value
        return self

    def snapshot(self):
        """Returns the map at this point in time as an immutable Snapshot. O(shards): holds the locks of all shards for
        a short time. Afterwards, the first change of each shard copies its table."""
        return Snapshot(self)

    def copy(self):
        """Returns a new map equal to this one at one point in time. O(shards): the two maps share tables until one of
        them writes. A shallow copy. Like dict.copy."""
        return _core._copy(ShardMap, self)

    def __copy__(self):
        # Keeps the class and the attributes of a subclass, like copy.copy of a dict's subclass. If a subclass defines
        # how it is copied, that takes precedence, as for a dict's subclass.
        cls = type(self)
        if cls is not ShardMap and _says_how(cls):
            return _rebuilt(self, copyreg.dispatch_table.get(cls))
        new = _core._copy(cls, self)
        state = self.__getstate__()
        if state is not None:
            _set_state(new, state)
        return new

    def __deepcopy__(self, memo):
        # Makes the same as copy.deepcopy does by default, but without Python code for each entry.
        from copy import deepcopy

        cls = type(self)
        if cls is not ShardMap and _says_how(cls):
            return _rebuilt(self, copyreg.dispatch_table.get(cls), partial(deepcopy, memo=memo), memo)
        state = self.__getstate__()
        new = _restore(cls, self._chosen_shards())
        memo[id(self)] = new
        if state is not None:
            _set_state(new, deepcopy(state, memo))
        _core._deepcopy_entries(new, self, deepcopy, memo)
        return new

    def __reduce__(self):
        return _restore, (type(self), self._chosen_shards()), self.__getstate__(), None, iter(self.items())

    def __sizeof__(self):
        """Returns the bytes of the map, its shards and its tables, without keys and values. Tables that are shared with
        a snapshot count, too. Like dict.__sizeof__."""
        return object.__sizeof__(self) + _core._memory(self)

    def __or__(self, other):
        """Returns a new map: this one, updated from `other`. Like dict.__or__."""
        if not isinstance(other, (dict, MapCore, Snapshot)):
            return NotImplemented
        return _core._union(ShardMap, self, other)

    def __ror__(self, other):
        if not isinstance(other, (dict, MapCore, Snapshot)):
            return NotImplemented
        return _core._union(ShardMap, ShardMap(other), self)

    def __ior__(self, other):
        """Updates this map from `other`. Does not call a subclass's update(). Like dict.__ior__."""
        MapCore.update(self, other)
        return self

    def map_reduce(
        self,
        map_function,
        reduce_function,
        *,
        executor=None,
        initial=MISSING,
    ):
        """Reduces the results of map_function(key, value) for all entries at one point in time with reduce_function(a,
        b). `executor` works on parts of the entries in parallel; None means a thread for each CPU. `reduce_function`
        must be associative. The results of the parts are combined in a fixed order. It is not specified which entries
        are in which part, so the result should not depend on their order. `initial` is used once, before all entries.
        MISSING, the default, means that there is none; then an empty map raises TypeError. The first exception of
        either function reaches the caller, and parts that have not started are cancelled. No lock is held. The
        functions run in copies of the caller's context (context variables, decimal's context) if the executor runs them
        in this interpreter. An executor that pickles its work gets only the functions. Like
        functools.reduce(reduce_function, itertools.starmap(map_function, m.items()), initial)."""
        return map_reduce(self, map_function, reduce_function, executor, initial)

    def shard_index(self, key):
        """Returns the number of the shard that `key` belongs to, from 0 to len(m.shards) - 1. The key need not be in
        the map. The number is the same for equal keys, for the lifetime of this map. The first use of `shard_index` or
        `shards` fixes the number of shards. If it was not chosen, it becomes 8 for each CPU, or stays as it is if a key
        is locked at that moment. This first use costs O(entries), and writers wait."""
        return _core._shard_index(self, key)

    @property
    def shards(self):
        """The shards as a sequence of ShardViews, in the order of their numbers. `len` and `in` of a view are live;
        iteration sees its shard at one point in time. Use it to distribute work by shard_index. Like shard_index, it
        fixes the number of shards."""
        return Shards(self)

    def partitions(self, n, /):
        """Splits the map at one point in time into a list of `n` Partitions, so that threads can share the work. Each
        is an iterable of (key, value) pairs that can be used many times and has a length. Together they hold every
        entry exactly once, in no particular order. Their lengths differ by at most one, whatever the number of shards.
        O(shards + n), plus a walk through tables from which entries have been removed."""
        return partitions(self.snapshot(), n)

    def stats(self):
        """Returns the size, capacity and counters of each shard as a Stats. O(shards)."""
        return stats_of(self)

    def _check(self):
        """For tests: verifies every invariant of every shard. Raises AssertionError that names the broken one.
        O(entries), with the locks of all shards held."""
        _core._check(self)


def _restore(cls, shards):
    return _core._make(cls, shards, 0)


_WAYS_TO_COPY = [(name, getattr(ShardMap, name)) for name in ("__reduce_ex__", "__reduce__", "items", "__setitem__")]


def _says_how(cls):
    return cls in copyreg.dispatch_table or any(getattr(cls, name) is not way for name, way in _WAYS_TO_COPY)


def _rebuilt(source, reducer, copied=lambda x: x, memo=None):
    """Copies as copy.copy or copy.deepcopy does if the class defines how it is copied."""
    reduced = reducer(source) if reducer is not None else type(source).__reduce_ex__(source, 4)
    return source if isinstance(reduced, str) else _made_of(source, copied, memo, *reduced)


def _made_of(source, copied, memo, make, arguments, state=None, elements=None, entries=None, /):
    made = make(*map(copied, arguments))
    if memo is not None:
        memo[id(source)] = made
    if state is not None:
        _set_state(made, copied(state))
    for element in elements or ():
        made.append(copied(element))
    for key, value in entries or ():
        key = copied(key)
        made[key] = copied(value)
    return made


def _set_state(target, state):
    """Does what pickle and copy do with the result of __getstate__."""
    if hasattr(target, "__setstate__"):
        target.__setstate__(state)
        return
    attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    if attributes:
        target.__dict__.update(attributes)
    for name, value in (slots or {}).items():
        setattr(target, name, value)


MutableMapping.register(ShardMap)
