"""ShardCache, a bounded cache that threads share. Frequent operations are methods of CacheCore."""

# Types: _cache.pyi.

import os
import sys
import weakref
from collections.abc import ItemsView, KeysView, Mapping, MutableMapping, ValuesView
from typing import NamedTuple

from shardmap import _core
from shardmap._cache_async import get_or_load_async
from shardmap._core import MISSING, CacheCore
from shardmap._cpus import usable_cpus
from shardmap._public import public_class
from shardmap._snapshot import Snapshot
from shardmap._views import ITEMS, KEYS, VALUES

_ENTRIES_PER_SHARD = 512  # with fewer, a shard has too little data to choose which entry to evict
_SHARDS_PER_CPU = 4
_MOST_SHARDS = 256
_PARAMETERS = ("ttl", "idle", "refresh_after", "weigh", "on_remove", "loader", "executor", "timer")


@public_class()
class CacheStats(NamedTuple):
    """What a cache has done since it was created. `hits` and `misses` count since reset_stats(). `loads`,
    `load_failures` and `load_seconds` count successful loads, failed loads, and the seconds of both. `evicted`,
    `expired`, `replaced` and `removed` count entries by RemovalCause. `size` and `weight` are the current ones. The
    counts are exact if no thread uses the cache meanwhile."""

    __module__ = "shardmap"

    hits: int
    misses: int
    loads: int
    load_failures: int
    load_seconds: float
    evicted: int
    expired: int
    replaced: int
    removed: int
    size: int
    weight: int

    @property
    def hit_ratio(self):
        """Hits divided by all look-ups, or 0.0 before the first look-up."""
        return self.hits / (self.hits + self.misses) if self.hits or self.misses else 0.0


@public_class()
class ShardCache(CacheCore):
    """A bounded mapping that many threads can use at once. If it is full, it evicts entries that are unlikely to be
    used again.

    ShardCache(maxsize): at most `maxsize` entries (None: no bound). With `weigh`, the bound is on the total weight of
    all entries. The bound holds at every moment. Every operation on one key is atomic (linearizable). A hit takes no
    lock.

    ttl             seconds after which an entry expires, counted from the last write; or a function ttl(key, value)
                    that returns them for each entry (None: never). With ttl=math.inf, only entries expire that are
                    stored with set(key, value, ttl=...)
    idle            seconds after which an entry expires that was not read or written; it may expire up to 1/128 sooner
    refresh_after   seconds after which the next get_or_load() of an entry loads a new value, while other threads get
                    the old one
    weigh           weigh(key, value) returns the entry's weight, a non-negative int. An entry that is heavier than the
                    bound is not kept
    on_remove       on_remove(key, value, cause) is called once for each value that leaves the cache, by the thread that
                    removes it, while it holds no lock. `cause` is a RemovalCause. Exceptions go to sys.unraisablehook
    loader          loader(key) makes the values that `cache[key]` and get_or_load(key) do not find
    executor        a concurrent.futures.Executor that runs refreshes; without it, the thread that finds one due runs it
    timer           a function without arguments that returns the time in seconds, for tests

    MISSING cannot be stored. Equivalents: functools.lru_cache (see `cached`), cachetools.TTLCache with a lock, Caffeine
    of Java.

    >>> cache = ShardCache(1_000, ttl=60)
    >>> cache.get_or_load("answer", lambda key: 42)
    42
    >>> "answer" in cache, len(cache)
    (True, 1)
    """

    __slots__ = ("_parameters",)
    __module__ = "shardmap"
    __hash__ = None

    def __init__(
        self,
        maxsize,
        *,
        ttl=None,
        idle=None,
        refresh_after=None,
        weigh=None,
        on_remove=None,
        loader=None,
        executor=None,
        timer=None,
    ):
        if maxsize is not None:
            if not hasattr(maxsize, "__index__"):
                raise TypeError(f"maxsize must be an integer or None, not {type(maxsize).__name__}")
            maxsize = maxsize.__index__()
            if maxsize < 0:
                raise ValueError(f"maxsize must be a non-negative integer or None, not {maxsize}")
        functions = {"weigh": weigh, "on_remove": on_remove, "loader": loader, "timer": timer}
        for name, function in functions.items():
            if function is not None and not callable(function):
                raise TypeError(f"{name} must be callable, not {type(function).__name__}")
        if hasattr(self, "_parameters"):
            raise RuntimeError("a ShardCache cannot be initialized twice")
        self._parameters = (maxsize, ttl, idle, refresh_after, weigh, on_remove, loader, executor, timer)
        shards = _shards_for(maxsize if weigh is None else None)
        self._configure(shards, *self._parameters)
        _live[id(self)] = _Reference(self, _forget)

    @property
    def maxsize(self):
        """The bound on the number of entries, or with `weigh` on their total weight. None: there is no bound."""
        return self._parameters[0]

    get_or_load_async = get_or_load_async

    def get_many(self, keys, default=None, *, load_many=None):
        """Returns the values of all `keys` in their order as a list, with `default` for keys without an entry. Each
        look-up is linearizable, the whole is not. Like [cache.get(key, default) for key in keys].

        `load_many` is a function that takes a list of the keys that were not found, each once. It returns a mapping
        from these keys to values, which are stored. If the mapping lacks a key or has MISSING for it, nothing is
        stored, and the caller gets `default`. If another thread is loading a key, that key is not in the list; the call
        waits for the other load. An exception of `load_many` is raised here and in the threads that wait for one of the
        keys."""
        if load_many is None:
            return _core._cache_get_many(self, keys, default)
        return _core._cache_load_many(self, keys, default, load_many)

    def set_many(self, pairs):
        """Stores from a mapping or an iterable of pairs. Does the same as update()."""
        self.update(pairs)

    def keys(self):
        """Returns a live view of the keys. Like dict.keys."""
        return _Keys(self)

    def values(self):
        """Returns a live view of the values. Reads through it do not count as uses of the entries. Like dict.values."""
        return _Values(self)

    def items(self):
        """Returns a live view of the (key, value) pairs. Reads through it do not count as uses of the entries. Like
        dict.items."""
        return _Items(self)

    def snapshot(self):
        """Returns the entries that have not expired at this point in time as an immutable Snapshot. See
        ShardMap.snapshot."""
        self.purge()
        return Snapshot(_core._cache_map(self))

    def stats(self):
        """Returns what the cache has done so far as a CacheStats."""
        hits, misses, loads, failures, nanoseconds, removals = _core._cache_counts(self)
        explicit, replaced, evicted, expired = removals
        return CacheStats(
            hits,
            misses,
            loads,
            failures,
            nanoseconds * 1e-9,
            evicted,
            expired,
            replaced,
            explicit,
            len(self),
            self.weight,
        )

    def reset_stats(self):
        """Sets the counts of hits and misses to zero."""
        _core._forget_cache_counts(self)

    update = MutableMapping.update
    __eq__ = Mapping.__eq__

    def __repr__(self):
        return f"{type(self).__name__}({dict(self.items())!r}, maxsize={self.maxsize})"

    def __sizeof__(self):
        """Returns the bytes of the cache and its tables, without keys and values. Like dict.__sizeof__."""
        return object.__sizeof__(self) + _core._cache_memory(self)

    def __reduce__(self):
        """Pickles the parameters and the contents, with the time that each entry has left by `ttl`. The parameters must
        be picklable, and an executor is not."""
        contents = _core._cache_entries_with_deadlines(self)
        return _restore, (type(self), *self._parameters), (contents, getattr(self, "__dict__", None) or None)

    def __setstate__(self, state):
        contents, attributes = state
        if attributes is not None:
            self.__dict__.update(attributes)
        expires = self._parameters[1] is not None
        for key, value, left in contents:
            if expires:
                self.set(key, value, ttl=left)
            else:
                self[key] = value

    def _check(self):
        """For tests: verifies every invariant. Raises AssertionError that names the broken one."""
        _core._cache_check(self)


MutableMapping.register(ShardCache)


# Views are named as people see them in reprs. Those of collections.abc say the name of the class, and the mapping.


class _View:
    __slots__ = ()

    def __init_subclass__(cls):
        cls.__name__ = cls.__qualname__ = f"Cache{cls.__name__[1:]}View"
        cls.__module__ = "shardmap"

    def __iter__(self):
        return self._mapping._iterate(self._what)

    def __reversed__(self):
        return self._mapping._iterate(self._what, True)


class _Keys(_View, KeysView):
    __slots__ = ()
    _what = KEYS


class _Values(_View, ValuesView):
    __slots__ = ()
    _what = VALUES

    def __contains__(self, value):
        return any(each is value or each == value for each in self)


class _Items(_View, ItemsView):
    __slots__ = ()
    _what = ITEMS

    def __contains__(self, item):
        if not isinstance(item, tuple) or len(item) != 2:
            return False
        there = _core._cache_peek(self._mapping, item[0], MISSING)
        return there is not MISSING and (there is item[1] or there == item[1])


def _shards_for(maxsize):
    """Returns the number of shards, a power of two. None: the number of entries is not known."""
    cpus = 1 << (usable_cpus() - 1).bit_length()
    most = min(cpus, 8)
    if maxsize is not None:
        most = min(_SHARDS_PER_CPU * cpus, _MOST_SHARDS, maxsize // _ENTRIES_PER_SHARD)
    return 1 << max(most, 1).bit_length() - 1


def _restore(cls, *parameters):
    cache = cls.__new__(cls)
    ShardCache.__init__(cache, parameters[0], **dict(zip(_PARAMETERS, parameters[1:], strict=True)))
    return cache


# --- fork ---


class _Reference(weakref.ref):
    __slots__ = ("number",)

    def __init__(self, cache, callback):
        super().__init__(cache, callback)
        self.number = id(cache)


_live = {}  # by id: caches are not hashable


def _forget(reference):
    if _live.get(reference.number) is reference:
        del _live[reference.number]


def _after_fork_in_child():
    for reference in list(_live.values()):
        cache = reference()
        if cache is not None:
            try:
                _core._abandon_loads_of_others(cache)
            except Exception as error:  # raised by a key's __hash__ or __eq__; repair the other caches, too
                sys.excepthook(type(error), error, error.__traceback__)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
