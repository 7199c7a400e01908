"""What scenarios are made of: what is prepared, what a thread does, and what must be true afterwards."""

from __future__ import annotations

import _thread
import random
import signal
import threading
from collections.abc import Callable, Hashable, Iterable
from types import SimpleNamespace
from typing import Any

from harness.history import (
    ABSENT,
    COMPOUND,
    READS,
    WRITES,
    Operation,
    Recorder,
    by_key,
    one_key,
    one_of_them,
    violation,
    whole_map,
)
from harness.machine import splitting
from harness.schedules import Scenario
from shardmap import ShardCache, ShardMap, _core

Steps = Iterable[tuple[Any, ...]]
Wrong = Callable[[Any, list[Operation]], str | None]


def steps(*operations: tuple[Any, ...]) -> Callable[[Recorder], None]:
    """A thread that does these, each with its name and arguments."""

    def work(record: Recorder) -> None:
        for operation in operations:
            record(*operation)

    return work


def made(entries: dict[Any, Any], shards: int | None = 1) -> Callable[[], ShardMap]:
    def prepare() -> ShardMap:
        m: ShardMap = ShardMap.with_capacity(shards=shards) if shards else ShardMap()
        m.update(entries)
        return m

    return prepare


def full(entries: int) -> Callable[[], ShardMap]:
    """At the next insertion, its table is rebuilt; of so many entries the block does not stay in limbo."""

    def prepare() -> ShardMap:
        m: ShardMap = ShardMap.with_capacity(shards=1)
        m[0] = "zero"
        m.update((n, "other") for n in range(1, entries))
        shard = m.stats().shards[0]
        m.update((n, "other") for n in range(entries, entries + shard.capacity - shard.size))
        return m

    return prepare


def under_a_snapshot(entries: dict[Any, Any], shards: int = 1) -> Callable[[], ShardMap]:
    def prepare() -> ShardMap:
        m = made(entries, shards)()
        held.append(m.snapshot())
        del held[:-1]
        return m

    return prepare


held: list[Any] = []


def linearizable(start: dict[Any, Any], keys: tuple[Hashable, ...] = (0, 1)) -> Wrong:
    """Each key by itself; and the map is whole."""

    def wrong(m: Any, operations: list[Operation]) -> str | None:
        m._check()
        end = max((o.end for o in operations), default=0)
        last = [Operation("get", (key,), m.get(key, ABSENT), end + 1, end + 2) for key in keys]
        for key, history in by_key([*operations, *last], keys).items():
            found = violation(history, one_key, start.get(key, ABSENT))
            if found:
                return f"key {key!r}: {found}"
        return None

    return wrong


def linearizable_as_a_whole(start: dict[Any, Any]) -> Wrong:
    """All operations in one order, the insertion order of what is there at the end among them."""

    def wrong(m: Any, operations: list[Operation]) -> str | None:
        m._check()
        end = max((o.end for o in operations), default=0)
        last = Operation("iterate", (), tuple(m.items()), end + 1, end + 2)
        return violation([*operations, last], whole_map, tuple(start.items()))

    return wrong


def scenario(prepare: Callable[[], Any], wrong: Wrong, *threads: Any, bound: int = 2) -> Scenario:
    return Scenario(prepare, tuple(each if callable(each) else steps(*each) for each in threads), wrong, bound)


# --- Equal keys of one call ---


def unread(key: Any) -> Callable[[], ShardMap]:
    """With a value that only a reader with the mutex can take: no other thread has read it yet."""

    def prepare() -> ShardMap:
        m: ShardMap = ShardMap.with_capacity(shards=1)
        m[key] = ["unread"]
        return m

    return prepare


def look_up_twice(key: Any, keys: Callable[[list[Any]], Any]) -> Callable[[Recorder], None]:
    def work(record: Recorder) -> None:
        start = record.clock()
        found = record.target.get_many(keys([key, key]), ABSENT)
        record.operations.append(Operation("get_many", (key, key), tuple(found), start, record.clock()))

    return work


def in_their_order(key: Any, stored: Any) -> Wrong:
    """While others remove the key and store it, in whichever order, the second look-up finds nothing older."""

    def wrong(m: Any, operations: list[Operation]) -> str | None:
        m._check()
        last = m.get(key, ABSENT)
        turns = [["unread"], ABSENT if last == stored else stored, last]
        (first, second) = next(o.result for o in operations if o.name == "get_many")
        return f"{first!r}, then {second!r}" if turns.index(first) > turns.index(second) else None

    return wrong


# --- Key locks ---


def with_lock(key: Any, value: Any, timeout: float | None = None) -> Callable[[Recorder], None]:
    def work(record: Recorder) -> None:
        def locked(m: Any) -> Any:
            try:
                with m.lock(key, timeout=timeout) as entry:
                    before = entry.get(ABSENT)
                    entry.set(value)
                    return before
            except TimeoutError:
                return "too late"

        start = record.clock()
        before = locked(record.target)
        if before != "too late":
            record.operations.append(Operation("exchange", (key, value), before, start, record.clock()))

    return work


def nobody_locks(wrong: Wrong, key: Any = 0) -> Wrong:
    """A lock that was lost on its way to a waiter would keep everybody out."""

    def check(m: Any, operations: list[Operation]) -> str | None:
        try:
            with m.lock(key, timeout=0):
                pass
        except TimeoutError:
            return "the lock is held by nobody"
        return wrong(m, operations)

    return check


def interrupted(record: Recorder) -> None:
    """Waits for a key whose lock its signal handler wants, too."""
    m = record.target
    before = signal.signal(signal.SIGUSR1, lambda *_: m.update({0: "handler"}))
    try:
        with m.lock(0) as entry:
            entry.set("main")
    finally:
        signal.signal(signal.SIGUSR1, before)


def interrupting(record: Recorder) -> None:
    with record.target.lock(0) as entry:
        _thread.interrupt_main(signal.SIGUSR1)
        entry.set("other")


def handled(m: Any, operations: list[Operation]) -> str | None:
    m._check()
    return None if m[0] in ("main", "other", "handler") else f"{m[0]} was written by nobody"


# --- Caches ---


def cache(entries: dict[Any, Any], maxsize: int = 2) -> Callable[[], Any]:
    def prepare() -> Any:
        c: ShardCache[Any, Any] = ShardCache(maxsize)
        c.update(entries)
        return SimpleNamespace(cache=c, source="old", loads=0, seen=[], maxsize=maxsize)

    return prepare


def expiring_cache() -> Any:
    """Threads' clocks differ in it: for the one at 10 a zero has expired, and a one has not."""
    now = threading.local()
    c: ShardCache[int, int] = ShardCache(
        9, ttl=lambda key, value: 1000 if value else 3, timer=lambda: getattr(now, "time", 5.0)
    )
    c[0] = 1
    return SimpleNamespace(cache=c, now=now, seen=[], maxsize=9)


def look_later(state: Any) -> Any:
    state.now.time = 10.0
    return state.cache.get(0)


def overwrite_twice(state: Any) -> None:
    state.cache[0] = 0
    state.cache[0] = 1


def overwrite(state: Any) -> None:
    state.cache[0] = 2


def cached(use: Callable[[Any], Any]) -> Callable[[Recorder], None]:
    def work(record: Recorder) -> None:
        record.target.seen.append(use(record.target))

    return work


def load(state: Any) -> Any:
    def loader(key: Any) -> Any:
        state.loads += 1
        return state.source

    return state.cache.get_or_load(0, loader)


def change_invalidate_and_load(state: Any) -> Any:
    """What is loaded by who asks after the invalidation has returned."""
    state.source = "new"
    state.cache.invalidate(0)
    return "asked " + state.cache.get_or_load(0, lambda key: state.source)


def change_and_invalidate(state: Any) -> None:
    state.source = "new"
    state.cache.invalidate(0)


def store_and_look(key: Any) -> Callable[[Any], Any]:
    def use(state: Any) -> Any:
        state.cache[key] = key
        return "bound exceeded" if len(state.cache) > state.maxsize else None

    return use


def whole_cache(wrong: Callable[[Any], str | None]) -> Wrong:
    def check(state: Any, operations: list[Operation]) -> str | None:
        _core._cache_check(state.cache)
        if len(state.cache) > state.maxsize or "bound exceeded" in state.seen:
            return f"{len(state.cache)} entries"
        return wrong(state)

    return check


# --- More than can all be tried: samples ---


def mixed(seed: int, names: tuple[str, ...], keys: tuple[Any, ...], count: int) -> Callable[[Recorder], None]:
    """So many random operations, the same each time."""

    def work(record: Recorder) -> None:
        choices = random.Random(seed)
        for n in range(count):
            one_of_them(choices, record, names, keys, 100 * seed + n)

    return work


MIXED = (*READS, *WRITES, *WRITES, *COMPOUND, "clear", "snapshot", "iterate", "popitem", "set_many", "pop_many")


def split_again_and_again() -> ShardMap:
    with splitting(4, shards=8):
        return ShardMap()


def used_cache(seed: int) -> Callable[[Any], Any]:
    def use(state: Any) -> Any:
        choices = random.Random(seed)
        for _ in range(6):
            key = choices.randrange(5)
            choices.choice(
                [
                    lambda key=key: state.cache.get(key),
                    lambda key=key: state.cache.get_or_load(key, lambda key: key),
                    lambda key=key: state.cache.set(key, key),
                    lambda key=key: state.cache.pop(key, None),
                ]
            )()
        return "bound exceeded" if len(state.cache) > state.maxsize else None

    return use


def own_key(*operations: tuple[Any, ...]) -> Callable[[Recorder], None]:
    """Each with an object for its str that nobody else holds."""

    def work(record: Recorder) -> None:
        for name, key, *others in operations:
            record(name, "".join(list(key)), *others)
            done = record.operations[-1]
            record.operations[-1] = Operation(name, (key, *others), done.result, done.start, done.end)

    return work


def both_locks(first: str, second: str) -> Callable[[Recorder], None]:
    def work(record: Recorder) -> None:
        state = record.target
        getattr(state, first).acquire()
        state.m[0] = first
        getattr(state, second).acquire()
        getattr(state, second).release()
        getattr(state, first).release()

    return work
