"""EventualMap: a map from keys to bags of values. Readers see it as it was at the last refresh (evmap of Rust)."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from math import isqrt
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from shardmap import _core
from shardmap._core import AtomicRef, ReaderCore, Version
from shardmap._map import ShardMap
from shardmap._mapping import MappingSurface
from shardmap._public import public_class
from shardmap._snapshot import Snapshot

_KT = TypeVar("_KT")
_VT = TypeVar("_VT")

_FEWEST_SHARDS = 8


def _shards_for(keys: int) -> int:
    """Returns the number of shards for so many keys. A refresh touches every shard once, and copies each shard in which
    a key has changed. With s shards, that is s + changed * keys / s. The minimum is at the square root of changed *
    keys; the result is this value for 16 changed keys."""
    least = 1 << (4 * isqrt(keys) - 1).bit_length() if keys else 0
    return min(max(_FEWEST_SHARDS, least), _core._MOST_SHARDS)


@public_class(MappingSurface)
class EventualReader(ReaderCore[_KT, _VT]):
    """A mapping from keys to tuples of their values: one version of an EventualMap, until renew() moves to the newest.
    A read takes no lock, waits for no thread, and writes nothing that another thread reads or writes.

    A reader belongs to the first thread that uses it. In any other thread it raises RuntimeError; create a reader for
    each thread. `reader.snapshot()` can be used in any thread. ReadHandle of evmap.
    """

    __slots__ = ()
    __module__ = "shardmap"
    __hash__ = None  # type: ignore[assignment]

    def snapshot(self) -> Snapshot[_KT, tuple[_VT, ...]]:
        """Returns the version that this reader sees, for use in any thread. It does not change when the reader moves
        on. O(1)."""
        return self._content()

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object; pickle its snapshot() instead")


Mapping.register(EventualReader)


class _Layer(Generic[_KT, _VT]):
    """Changes that are not published yet: the new bags. `whole`: they replace everything below."""

    __slots__ = ("bags", "whole")

    def __init__(self, whole: bool = False, bags: dict[_KT, list[_VT]] | None = None) -> None:
        self.bags = {} if bags is None else bags
        self.whole = whole

    def __bool__(self) -> bool:
        return self.whole or bool(self.bags)


@public_class()
class EventualMap(Generic[_KT, _VT]):
    """A map from keys to bags of values, for many readers and few writers. Readers do not see writes until a writer
    calls refresh(). After that, a reader that calls renew() sees all of them at once.

    EventualMap(), EventualMap(mapping), EventualMap(iterable_of_pairs): the initial contents are published at once.

    Several threads may write. They take turns, and the order of one thread's writes is kept. While a write or a refresh
    runs `__hash__` and `__eq__` of keys and values, other writers wait, but readers do not. A bag keeps its values in
    the order of their insertion, and keeps equal values. A key without values is not in the map.

    Signal handlers, and finalizers that the garbage collector runs, may write at any time, even during a write of the
    same thread. The inner write takes effect as if it came before or after the outer one. What is written during a
    refresh is published by the next refresh. A refresh during a write or a refresh of the same thread raises
    RuntimeError.

    A refresh shares the table of each shard, and copies each table in which a key has changed. The number of shards is
    about four times the square root of the number of keys. evmap of Rust.

    >>> routes = EventualMap()
    >>> reader = routes.reader()
    >>> routes.insert("/", "host-1")
    >>> routes.insert("/", "host-2")
    >>> reader.get("/"), routes.refresh(), reader.renew(), reader["/"]
    (None, 1, True, ('host-1', 'host-2'))
    """

    __slots__ = ("__weakref__", "_depth", "_layers", "_meta", "_published", "_working", "_writing")
    __module__ = "shardmap"

    # Between refreshes, `_working` is the last published version: it shares its tables with that version until the next
    # refresh writes the changed keys to it. Changes wait in `_layers`, newest last. Usually there is one layer. There
    # are more while a refresh writes the others, and after a refresh that failed. A lookup goes through the layers from
    # the newest to the oldest, so a refresh that stopped halfway in `_working` does no harm: the next one writes all
    # again, with the same result.
    #
    # The lock excludes other threads, but not signal handlers and finalizers, which may run in this thread between any
    # two steps. So a write changes a list or dict with one call into C. A list that is in use is replaced by another
    # one only in update() and clear(), which discard an insertion that began before them anyway.

    def __init__(self, source: Mapping[_KT, _VT] | Iterable[tuple[_KT, _VT]] = (), /, *, meta: Any = None) -> None:
        self._meta = meta
        self._writing = threading.RLock()
        self._depth = 0  # nested calls of the thread that holds the lock
        self._layers: list[_Layer[_KT, _VT]] = [_Layer()]
        self._working: ShardMap[_KT, tuple[_VT, ...]] = ShardMap.with_capacity(shards=_FEWEST_SHARDS)
        self._published = AtomicRef(Version(self._working.snapshot(), meta, 0))
        _live.add(self)
        self.extend(source)
        self.refresh()

    # --- Reading ---

    def reader(self) -> EventualReader[_KT, _VT]:
        """Returns a new EventualReader that sees the newest version. Create one for each thread. WriteHandle::clone of
        evmap."""
        return EventualReader(self._published)

    @property
    def version(self) -> int:
        """The number of times that something was published."""
        return self._published.load().number

    @property
    def meta(self) -> Any:
        """An object that the next refresh publishes together with the keys. Assign to it. Readers see the one of their
        version."""
        return self._meta

    @meta.setter
    def meta(self, value: Any) -> None:
        self._meta = value

    # --- Writing ---

    def insert(self, key: _KT, value: _VT) -> None:
        """Adds a value to the bag of `key`. Costs as much as with a dict; the first time after a refresh, it copies the
        bag. insert of evmap."""
        with self._writing:
            depth = self._depth
            try:
                self._depth = depth + 1
                self._open(key).append(value)
            finally:
                self._depth = depth

    def extend(self, source: Mapping[_KT, _VT] | Iterable[tuple[_KT, _VT]]) -> None:
        """Inserts many (key, value) pairs. A refresh publishes all of them or none, because other writers wait
        meanwhile. If a key raises, the pairs before it are inserted."""
        pairs = [(key, value) for key, value in (source.items() if isinstance(source, Mapping) else source)]
        with self._writing:
            depth = self._depth
            try:
                self._depth = depth + 1
                for key, value in pairs:
                    self._open(key).append(value)
            finally:
                self._depth = depth

    def update(self, key: _KT, value: _VT) -> None:
        """Makes `value` the only value of `key`. update of evmap."""
        with self._writing:
            depth = self._depth
            try:
                self._depth = depth + 1
                self._layers[-1].bags[key] = [value]
            finally:
                self._depth = depth

    def remove_value(self, key: _KT, value: _VT) -> bool:
        """Removes the oldest value of `key` that is `value` or equal to it, and returns whether there was one. O(values
        of the key). remove_value of evmap."""
        with self._writing:
            depth = self._depth
            try:
                self._depth = depth + 1
                while True:
                    bag = self._open(key)
                    place, found = _place_of(value, list(bag))
                    if place < 0:
                        return False
                    if _core._delete_item(bag, place, found):  # else `==`, or a signal handler, changed the bag
                        return True
            finally:
                self._depth = depth

    def remove(self, key: _KT) -> bool:
        """Removes `key` with all its values, and returns whether there were any. remove_entry of evmap."""
        with self._writing:
            depth = self._depth
            try:
                self._depth = depth + 1
                below, fresh = bool(self._find(key)), list[_VT]()
                bag = self._layers[-1].bags.setdefault(key, fresh)
                there = below if bag is fresh else _core._empty(bag)
            finally:
                self._depth = depth
            return there

    def batch(self) -> AbstractContextManager[object, None]:
        """Returns a context manager: `with m.batch():` publishes what is written in the block together. Other threads
        that write or refresh wait for the end of the block. A refresh in the block publishes what was written so
        far."""
        return self._writing

    def clear(self) -> None:
        """Removes all keys. purge of evmap."""
        with self._writing:
            self._layers[:] = [_Layer(whole=True)]

    def refresh(self) -> int:
        """Publishes everything that all threads have written so far, at one point in time, and returns the version
        number. If nothing was written and `meta` is the same object, it publishes nothing and returns the last number.
        O(shards), plus a copy of each shard in which a key has changed.

        If `__eq__` or `__hash__` of a key raises, nothing is published and nothing is lost; the next refresh tries
        again. Raises RuntimeError if code that runs during a write to this map calls it. refresh of evmap.
        """
        with self._writing:
            if self._depth:
                raise RuntimeError("cannot refresh an EventualMap within a write or a refresh of the same map")
            try:
                self._depth = 1
                number = self._publish()
            finally:
                self._depth = 0
            return number

    # --- The insides, with the lock held ---

    def _find(self, key: _KT) -> Sequence[_VT]:
        """Returns the values that the next refresh would publish for `key`."""
        for layer in self._layers[::-1]:
            bag = layer.bags.get(key)
            if bag is not None:
                return bag
            if layer.whole:
                return ()
        return self._working.get(key, ())

    def _open(self, key: _KT) -> list[_VT]:
        """Returns the bag of `key`, to be changed. If a comparison clears the map meanwhile, this bag is no longer
        used."""
        bags = self._layers[-1].bags
        bag = bags.get(key)
        if bag is None:
            bag = bags.setdefault(key, list(self._find(key)))
        return bag

    def _publish(self) -> int:
        before, meta, layers = self._published.load(), self._meta, self._layers[:]
        if not any(layers) and meta is before.meta:
            return before.number
        if layers[-1]:
            self._layers.append(_Layer())
        else:
            layers.pop()
        for layer in layers:
            self._write(layer)
        version = Version(self._working.snapshot(), meta, before.number + 1)
        self._published.store(version)
        for layer in layers:
            with suppress(ValueError):  # code of keys, or a signal handler, cleared the map
                self._layers.remove(layer)
        return version.number

    def _write(self, layer: _Layer[_KT, _VT]) -> None:
        keys = len(layer.bags) + (0 if layer.whole else len(self._working))
        shards = _shards_for(keys)
        if layer.whole:
            self._working = ShardMap.with_capacity(shards=shards)
        elif shards > len(self._working.shards):
            larger: ShardMap[_KT, tuple[_VT, ...]] = ShardMap.with_capacity(shards=shards)
            larger.update(self._working)
            self._working = larger
        for key, bag in layer.bags.items():
            if bag:
                self._working[key] = tuple(bag)
            else:
                self._working.pop(key, None)

    # --- The rest ---

    def __repr__(self) -> str:
        version = self._published.load()
        return f"<{type(self).__name__}: version {version.number}, {len(version.content)} keys>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles what is published and what is not. It does so as a state, because values may refer to this map."""
        with self._writing:
            version = self._published.load()
            layers = [(each.whole, [(key, list(bag)) for key, bag in each.bags.items()]) for each in self._layers[::-1]]
            published = list(version.content.items()), version.meta, version.number
            return _restore, (type(self),), (*published, layers, self._meta)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        published, published_meta, number, layers, self._meta = state
        self._working = ShardMap.with_capacity(shards=_shards_for(len(published)))
        self._working.update(published)
        self._layers = [_Layer(whole, dict(bags)) for whole, bags in reversed(layers)]
        self._published.store(Version(self._working.snapshot(), published_meta, number))

    def _after_fork(self) -> None:
        # A thread that is gone may have held the lock, at any point of a write or a refresh: see the note on _working.
        if self._writing.acquire(blocking=False):
            self._writing.release()
        else:
            self._writing = threading.RLock()
            self._depth = 0


def _place_of(value: _VT, bag: list[_VT]) -> tuple[int, _VT]:
    """Returns the position of the first value that is `value` or equal to it, and that value; or -1 if there is
    none."""
    for place, each in enumerate(bag):
        if each is value or each == value:
            return place, each
    return -1, value


def _restore(cls: type[EventualMap[Any, Any]]) -> EventualMap[Any, Any]:
    self = cls.__new__(cls)
    EventualMap.__init__(self)
    return self


_live: WeakSet[EventualMap[Any, Any]] = WeakSet()


def _repair_after_fork() -> None:
    for each in list(_live):
        each._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_repair_after_fork)
