"""The guide's classes and functions with annotations, as people write them in programs that are type-checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from itertools import islice
from typing import Generic, TypeVar, assert_type

from shardmap import MISSING, MissingType, ShardMap

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ExpiringCache(Generic[K, V]):
    """Values made by `make(key)`, and made anew when they are older than `seconds`."""

    def __init__(self, make: Callable[[K], V], seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._make, self._seconds, self._clock = make, seconds, clock
        self._entries: ShardMap[K, tuple[float, V]] = ShardMap()  # key -> (when it expires, value)

    def __getitem__(self, key: K) -> V:
        entry = self._entries.get(key)
        if entry is None or entry[0] <= self._clock():
            entry = self._entries.compute(key, self._renewed)
        assert_type(entry, tuple[float, V])
        return entry[1]

    def _renewed(self, key: K, entry: tuple[float, V] | MissingType) -> tuple[float, V]:
        if entry is not MISSING and entry[0] > self._clock():
            return entry
        value = self._make(key)
        return self._clock() + self._seconds, value

    def sweep(self) -> int:
        now = self._clock()
        return self._entries.retain(lambda key, entry: entry[0] > now)


class Pages:
    """Values made once, by a method; a failure is a value that is removed again."""

    def __init__(self) -> None:
        self._pages: ShardMap[str, bytes | OSError] = ShardMap.with_capacity(1000)

    def _page_or_error(self, path: str) -> bytes | OSError:
        try:
            return path.encode()
        except OSError as error:
            return error

    def page(self, path: str) -> bytes:
        found = self._pages.compute_if_absent(path, self._page_or_error)
        if isinstance(found, OSError):
            self._pages.compare_and_delete(path, found)
            raise found
        return assert_type(found, bytes)


class Session: ...


class Sessions:
    def __init__(self) -> None:
        self._sessions: ShardMap[str, Session] = ShardMap()

    def open(self, name: str) -> Session:
        return self._sessions.compute_if_absent(name, lambda name: Session())

    def close(self, name: str, session: Session) -> bool:
        return self._sessions.compare_and_delete(name, session)


class Limiter:
    """A limit for each client and minute."""

    def __init__(self, most: int = 100) -> None:
        self._most = most
        self._requests: ShardMap[tuple[str, int], int] = ShardMap()

    def allowed(self, client: str, minute: int) -> bool:
        return self._requests.add((client, minute)) <= self._most

    def forget_before(self, minute: int) -> int:
        return self._requests.retain(lambda key, number: key[1] >= minute)


Listener = Callable[[str], object]


class Listeners:
    """Several values for a key: a tuple, replaced by a new one."""

    def __init__(self) -> None:
        self._listeners: ShardMap[str, tuple[Listener, ...]] = ShardMap()

    def listen(self, event: str, function: Listener) -> None:
        self._listeners.compute(event, lambda _, before: (*(before or ()), function))

    def ignore(self, event: str, function: Listener) -> None:
        self._listeners.compute_if_present(
            event, lambda _, before: tuple(each for each in before if each != function) or MISSING
        )

    def call(self, event: str, argument: str) -> None:
        for function in self._listeners.get(event, ()):
            function(argument)


def trim(cache: ShardMap[K, V], most: int) -> None:
    excess = len(cache) - most
    if excess > 0:
        cache.delete_many(list(islice(cache, excess)))


def transfer(accounts: ShardMap[str, int], source: str, target: str, amount: int) -> None:
    with accounts.lock_many([source, target]) as entries:
        if entries[source].value >= amount:
            entries[source].value -= amount
            entries[target].value += amount
    with accounts.lock("carol", timeout=1.0) as carol:
        assert_type(carol.get(0), int)
        carol.set(10)


def used(pages: Pages) -> None:
    cache = ExpiringCache(str.upper, seconds=60)
    assert_type(cache, ExpiringCache[str, str])
    assert_type(cache["a"], str)
    assert_type(cache.sweep(), int)
    assert_type(pages.page("/"), bytes)
    cache[1]  # type: ignore[index]
