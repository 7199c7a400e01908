"""A cache under many threads: the bound, what is told of removals, and histories of loads beside writes."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from harness.history import ABSENT, ONE_BY_ONE, Operation, by_key, one_key, overlapping, violation
from harness.keys import HashKey
from harness.threads import meanwhile, run_alike
from shardmap import MISSING, RemovalCause, ShardCache

pytestmark = [pytest.mark.concurrent, pytest.mark.usefixtures("many_switches")]


@pytest.mark.parametrize("size", [1, 3, 100, 5000])
@pytest.mark.parametrize("kind", ["entries", "weights", "expiring"])
def test_the_bound_holds_at_every_moment_and_each_removal_is_told_once(size: int, kind: str) -> None:
    gone: list[tuple[Any, Any, RemovalCause]] = []
    options: dict[str, Any] = {"on_remove": lambda *what: gone.append(what)}
    if kind == "weights":
        options["weigh"] = lambda key, value: key % 3
    if kind == "expiring":
        options.update(ttl=0.01, idle=0.005)
    cache: ShardCache[Any, tuple[int, int]] = ShardCache(size, **options)
    stored: list[tuple[int, int]] = []

    def look() -> None:
        assert cache.weight <= size
        if kind == "entries":
            assert len(cache) <= size
            assert len(cache.snapshot()) <= size
        if kind == "weights":
            assert sum(key % 3 for key in cache) <= size

    def work(number: int) -> None:
        choices = random.Random(number)
        for i in range(400):
            key = choices.randrange(2 * size + 2)
            what = choices.random()
            if what < 0.5:
                value = number, i
                stored.append(value)
                cache[key] = value
            elif what < 0.6:
                cache.pop(key, None)
            elif what < 0.605:
                cache.clear()
            elif what < 0.62:
                list(cache.items())
            elif what < 0.7:
                value = number, i
                if cache.get_or_load(key, lambda key, value=value: value) is value and cache.get(key) is value:
                    stored.append(value)
            else:
                cache.get(key)

    with meanwhile(look, look):
        run_alike(6, work)
    cache._check()
    cache.clear()
    cache._check()
    assert cache.weight == 0
    told = Counter(value for _, value, _ in gone)
    assert set(told.values()) <= {1}
    assert set(stored) <= set(told)
    stats = cache.stats()
    assert len(gone) == stats.evicted + stats.expired + stats.replaced + stats.removed


@pytest.mark.parametrize("size", [10, 4096])
def test_a_value_that_was_popped_is_popped_once(size: int) -> None:
    cache: ShardCache[int, object] = ShardCache(size)
    for _ in range(50):
        for key in range(8):
            cache[key] = object()
        popped = run_alike(4, lambda number: [cache.pop(key, None) for key in range(8)])
        assert all(sum(each[key] is not None for each in popped) == 1 for key in range(8))


def test_entries_expire_for_all_threads_at_once() -> None:
    now = 0.0
    clock = threading.Lock()  # It stands while a thread reads it and stores that: values are the times of their writes.
    cache: ShardCache[int, float] = ShardCache(5000, ttl=1, timer=lambda: now)
    for i in range(1000):
        cache[i] = now

    def work(number: int) -> None:
        choices = random.Random(number)
        for _ in range(3000):
            key = choices.randrange(1000)
            before = now
            value = cache.get(key)
            assert value is None or before - value < 1
            if value is None:
                with clock:
                    cache[key] = now

    def tick() -> None:
        nonlocal now
        with clock:
            now += 0.01
        time.sleep(0.0005)

    with meanwhile(tick):
        run_alike(4, work)
    cache._check()


@pytest.mark.parametrize("ttl", [0, 3], ids=["has expired as it is written", "expires for the reader"])
def test_a_value_is_not_read_with_the_deadline_of_another(ttl: int) -> None:
    """The two are stored one after the other. Threads' clocks differ here, so that a value that is overwritten, and not
    removed, has expired for who reads it. Small integers, since they need no mutex when they are first read."""
    clock = threading.local()
    cache: ShardCache[str, int] = ShardCache(
        10, ttl=lambda key, value: 1000 if value else ttl, timer=lambda: getattr(clock, "now", 5.0)
    )
    cache["key"] = 1

    def write() -> None:
        cache["key"] = 0
        cache["key"] = 1

    def read(number: int) -> None:
        clock.now = 10.0
        for _ in range(5000):
            assert cache.get("key") != 0

    with meanwhile(write):
        run_alike(2, read)
    cache._check()


class History:
    """Records operations of one thread on a cache, and when its loaders ran."""

    fresh = 0
    number = threading.Lock()

    def __init__(self, cache: ShardCache[Any, int]) -> None:
        self.cache = cache
        self.operations: list[Operation] = []
        self.loads: list[tuple[Any, int, int, int, int, int]] = []  # key, value, start, loader's start, its end, end

    def value(self) -> int:
        with History.number:
            History.fresh += 1
            return History.fresh

    def note(self, name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> None:
        start = time.perf_counter_ns()
        result = call()
        self.operations.append(Operation(name, arguments, result, start, time.perf_counter_ns()))

    def load(self, key: Any) -> None:
        value = self.value()
        times: list[int] = []

        def loader(key: Any) -> int:
            times.append(time.perf_counter_ns())
            time.sleep(0)
            times.append(time.perf_counter_ns())
            return value

        start = time.perf_counter_ns()
        result = self.cache.get_or_load(key, loader)
        end = time.perf_counter_ns()
        if times:
            assert result == value
            self.loads.append((key, value, start, *times, end))  # type: ignore[arg-type]
        # Else another's load was waited for, or it was there: nothing to say about the order.

    def one(self, choices: random.Random, key: Any) -> None:
        cache, what = self.cache, choices.random()
        if what < 0.4:
            self.load(key)
        elif what < 0.6:
            self.note("get", (key,), lambda: cache.get(key, ABSENT))
        elif what < 0.75:
            self.note("pop", (key,), lambda: cache.pop(key, ABSENT))
        elif what < 0.8:
            value = self.value()
            self.note("set", (key, value), lambda: cache.__setitem__(key, value))
        elif what < 0.9:
            value = self.value()
            self.note("setdefault", (key, value), lambda: cache.setdefault(key, value))
        elif what < 0.95:
            self.note("clear", (), cache.clear)
        else:
            self.note("snapshot", (), lambda: tuple(cache.snapshot().items()))


@pytest.mark.parametrize("keys", [(1,), (1, "two", HashKey("three"))], ids=["1", "3"])
def test_histories_of_loads_beside_writes(keys: tuple[Any, ...]) -> None:
    """A load that was stored is a miss, then a store where nothing is. It was stored if anybody saw its value; and then
    nobody wrote, deleted or cleared the key while its loader ran."""
    cache: ShardCache[Any, int] = ShardCache(100)
    histories = []

    def work(number: int) -> None:
        history = History(cache)
        histories.append(history)
        choices = random.Random(number)
        for _ in range(250):
            history.one(choices, choices.choice(keys))

    run_alike(4, work)
    operations = [each for history in histories for each in history.operations]
    if overlapping(operations) < len(operations) // 100:
        pytest.skip(ONE_BY_ONE)
    for key, seen in by_key(operations, keys).items():
        values = {each.result for each in seen}
        writes = [each for each in seen if each.name in ("set", "pop", "clear")]
        for history in histories:
            for its_key, value, start, inside, left, end in history.loads:
                if its_key is not key:
                    continue
                seen.append(Operation("get", (key,), ABSENT, start, end))
                if value in values:
                    seen.append(Operation("setdefault", (key, value), value, start, end))
                    late = [each for each in writes if inside < each.start and each.end < left]
                    assert not late, f"{value} was loaded from {inside} to {left} and stored in spite of {late}"
        wrong = violation(seen, one_key, ABSENT)
        assert wrong is None, f"key {key!r}: {wrong}"
    cache._check()


def test_no_stale_value_is_seen_after_an_invalidation_has_returned() -> None:
    """What a loader reads of the truth before it changes is not seen after the invalidation that follows the change."""
    truth = 0
    cache: ShardCache[str, int] = ShardCache(10)

    def read() -> None:
        before = published
        assert cache.get_or_load("a", lambda key: truth) >= before

    def change() -> None:
        nonlocal truth, published
        truth += 1
        cache.invalidate("a")
        published = truth

    published = 0
    with meanwhile(read, read, read):
        for _ in range(2000):
            change()
    assert cache.get("a", MISSING) in (truth, MISSING)


def test_writers_of_heavy_entries_give_way_to_each_other() -> None:
    cache: ShardCache[int, int] = ShardCache(10, weigh=lambda key, value: value)

    def work(number: int) -> None:
        choices = random.Random(number)
        for _ in range(1500):
            cache[choices.randrange(20)] = choices.randint(1, 10)

    run_alike(4, work)
    cache._check()
