"""ShardMap: the class people use. Hot operations are MapCore's; here is what may cost a Python frame."""

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
from shardmap._snapshot import Snapshot
from shardmap._stats import stats_of

_SHARDS_PER_CPU = 8  # of writers that meet: with 4, two threads that insert needed a fifth more time
_MOST_DEFAULT_SHARDS = 256


def _bits_for(shards):
    """Bits that number at least `shards` shards."""
    return (shards - 1).bit_length()


def _set_cpus(cpus):
    """How many CPUs there are decides into how many shards a map is split at most. For tests and benchmarks: another
    number than that of this machine."""
    _core._set_default_shards(_bits_for(min(_SHARDS_PER_CPU * cpus, _MOST_DEFAULT_SHARDS)))


_set_cpus(usable_cpus())


class ShardMap(MappingSurface, MapCore):
    """A dict that many threads can use at once without a lock of their own.

    ShardMap(), ShardMap(mapping), ShardMap(iterable_of_pairs), ShardMap(..., key=value): as dict.

    Every operation on one key is atomic (linearizable). `len`, `clear`, `copy`, `snapshot` and the start of
    an iteration see the whole map at one point in time; iterating never raises because another thread
    wrote. No lock is held while your code runs (`__hash__`, `__eq__`, `__del__`), so it may use the map.

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
        """An empty map with room for `capacity` entries before it grows, in `shards` shards (rounded up to a power
        of two, at most 65,536), whose number then never changes. Default: one, and more once threads contend, up to 8
        for each CPU, at most 256.

        More shards let more threads write at once; each costs 136 bytes, a table, and a little time in `len`, `clear`,
        `popitem` and at the start of an iteration. HashMap::with_capacity of Rust.
        """
        self = _core._make(cls, shards, capacity)
        self.__init__()
        return self

    @classmethod
    def fromkeys(cls, iterable, value=None, /):
        """A new map with these keys, all with `value`. dict.fromkeys."""
        self = cls()
        if isinstance(self, MapCore) and type(self).__setitem__ is MapCore.__setitem__:
            _core._store_keys(self, iterable, value)
        else:
            for key in iterable:
                self[key] = value
        return self

    def snapshot(self):
        """The map at this point in time, immutable. O(shards): takes every shard's lock for a moment. Writers then
        copy each shard's table before they first change it."""
        return Snapshot(self)

    def copy(self):
        """A new map equal to this one at one point in time. O(shards): tables are shared until one of the two maps
        writes to them. dict.copy, and like it shallow."""
        return _core._copy(ShardMap, self)

    def __copy__(self):
        # Keeps the class and the attributes of a subclass, as copy.copy of a dict's subclass does; and as there, what
        # a subclass says about how it is copied goes first.
        cls = type(self)
        if cls is not ShardMap and _says_how(cls):
            return _rebuilt(self, copyreg.dispatch_table.get(cls))
        new = _core._copy(cls, self)
        state = self.__getstate__()
        if state is not None:
            _set_state(new, state)
        return new

    def __deepcopy__(self, memo):
        # What the generic way of copy.deepcopy makes, without going through Python entry by entry.
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
        """Bytes of the map, its shards and its tables, without keys and values. Tables that a snapshot shares are
        counted here too. dict.__sizeof__."""
        return object.__sizeof__(self) + _core._memory(self)

    def __or__(self, other):
        """A new map: this one updated from `other`. dict.__or__."""
        if not isinstance(other, (dict, MapCore, Snapshot)):
            return NotImplemented
        return _core._union(ShardMap, self, other)

    def __ror__(self, other):
        if not isinstance(other, (dict, MapCore, Snapshot)):
            return NotImplemented
        return _core._union(ShardMap, ShardMap(other), self)

    def __ior__(self, other):
        """update(other), and like dict's not a subclass's update. dict.__ior__."""
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
        """reduce_function over map_function(key, value) of all entries of one point in time, in parts that `executor`
        works on at once (None: a thread for each CPU). `reduce_function` must be associative; parts are put together
        in one order, but which entries are in which part is not said, so it should not depend on their order either.
        `initial` comes once, before everything; without it an empty map is a TypeError. The first exception of
        either function reaches the caller, and parts that have not begun are not worked on. No lock is held.
        The functions run in copies of the caller's context (context variables, decimal's context) if the executor runs
        them in this interpreter; one that pickles its work gets the functions alone.
        functools.reduce(reduce_function, itertools.starmap(map_function, m.items()), initial)."""
        return map_reduce(self, map_function, reduce_function, executor, initial)

    def shard_index(self, key):
        """The number of the shard that `key` belongs to, in the map or not: from 0 to len(m.shards) - 1, the same for
        equal keys, for as long as this map lives. The first use of this or of `shards` makes 8 shards for each CPU,
        unless the number was chosen (if a key is locked at that moment, as many as there are have to do), and fixes
        the number. That once costs O(entries), and writers wait."""
        return _core._shard_index(self, key)

    @property
    def shards(self):
        """The shards as a sequence of views, in the order of their numbers: `len` and `in` are live, iteration sees one
        point in time of the one shard. For work that is shared out by shard_index; like it, fixes their number."""
        return Shards(self)

    def partitions(self, n, /):
        """One point in time of the map in `n` parts, for as many threads to share out: each can be iterated over, again
        and again, for (key, value) pairs, and has a length. Together they hold every entry exactly once, and their
        lengths differ by one at most, whatever the number of shards. They have no common order. O(shards + n), and a
        walk through tables from which entries have been removed."""
        return partitions(self.snapshot(), n)

    def stats(self):
        """Sizes, capacities and counters of each shard. O(shards)."""
        return stats_of(self)

    def _check(self):
        """For tests: verifies every invariant of every shard; AssertionError names the one broken. O(entries), with
        all shards locked."""
        _core._check(self)


def _restore(cls, shards):
    return _core._make(cls, shards, 0)


_WAYS_TO_COPY = [(name, getattr(ShardMap, name)) for name in ("__reduce_ex__", "__reduce__", "items", "__setitem__")]


def _says_how(cls):
    return cls in copyreg.dispatch_table or any(getattr(cls, name) is not way for name, way in _WAYS_TO_COPY)


def _rebuilt(source, reducer, copied=lambda x: x, memo=None):
    """What copy.copy, or copy.deepcopy, makes of what a class says about itself."""
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
    """What pickle and copy do with __getstate__'s result."""
    if hasattr(target, "__setstate__"):
        target.__setstate__(state)
        return
    attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    if attributes:
        target.__dict__.update(attributes)
    for name, value in (slots or {}).items():
        setattr(target, name, value)


_core._own_methods(ShardMap)
MutableMapping.register(ShardMap)

