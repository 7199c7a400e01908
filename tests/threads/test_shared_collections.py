"""Sets, dicts with defaults, and counters that threads share."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from harness.history import ONE_BY_ONE, Operation, overlapping, violation
from harness.keys import HashKey
from harness.threads import meanwhile, run_alike, run_threads
from shardmap import ShardCounter, ShardDefaultDict, ShardSet

pytestmark = [pytest.mark.concurrent, pytest.mark.usefixtures("many_switches")]

THREADS = 8


@pytest.mark.parametrize("make", [str, int, HashKey], ids=["str", "int", "HashKey"])
@pytest.mark.parametrize("many", [False, True], ids=["add", "add_many"])
def test_each_element_is_new_for_exactly_one(shards: int, make: Callable[[int], Any], many: bool) -> None:
    count = 50 if make is HashKey else 2000
    s: ShardSet[Any] = ShardSet.with_capacity(shards=shards)

    def add(number: int) -> list[Any]:
        elements = [make(each) for each in range(count)]
        random.Random(number).shuffle(elements)
        news = s.add_many(elements) if many else [s.add(each) for each in elements]
        return [element for element, is_new in zip(elements, news, strict=True) if is_new]

    new = [element for each in run_alike(THREADS, add) for element in each]
    assert len(new) == count == len(s) and set(new) == s
    s._check()

    def discard(number: int) -> int:
        elements = [make(each) for each in range(count)]
        random.Random(number).shuffle(elements)
        return sum(s.discard_many(elements) if many else [s.discard(each) for each in elements])

    assert sum(run_alike(THREADS, discard)) == count and len(s) == 0


def test_what_is_popped_is_popped_once(shards: int) -> None:
    s: ShardSet[int] = ShardSet.with_capacity(shards=shards)
    s.update(range(4000))

    def pop(number: int) -> list[int]:
        popped = []
        while True:
            try:
                popped.append(s.pop())
            except KeyError:
                return popped

    popped = [element for each in run_alike(4, pop) for element in each]
    assert sorted(popped) == list(range(4000))


def one_element(there: bool, operation: Operation) -> tuple[bool, bool]:
    """The model: a set of one element at the most."""
    if operation.name == "add":
        return operation.result is not there, True
    if operation.name == "discard":
        return operation.result is there, False
    return operation.result is there, there


@pytest.mark.parametrize("hostile", [(), (HashKey("three"), HashKey("four"))], ids=["plain", "hostile"])
def test_operations_on_one_element_are_linearizable(shards: int, hostile: tuple[Any, ...]) -> None:
    elements = (1, "two", *hostile)
    calls: dict[str, Callable[[ShardSet[Any], Any], bool]] = {
        "add": lambda s, e: s.add(e),
        "discard": lambda s, e: s.discard(e),
        "in": lambda s, e: e in s,
        "in snapshot": lambda s, e: e in s.snapshot(),
        "in iteration": lambda s, e: e in list(s),
        "contains_many": lambda s, e: s.contains_many([e])[0],
    }
    s: ShardSet[Any] = ShardSet.with_capacity(shards=shards)

    def work(number: int) -> list[tuple[Any, Operation]]:
        choices = random.Random(number)
        done = []
        for _ in range(800):
            name, element = choices.choice([*calls, "add", "discard"]), choices.choice(elements)
            start = time.perf_counter_ns()
            result = calls[name](s, element)
            done.append((element, Operation(name, (element,), result, start, time.perf_counter_ns())))
        return done

    history = [each for done in run_alike(4, work) for each in done]
    if overlapping([operation for _, operation in history]) < len(history) // 100:
        pytest.skip(ONE_BY_ONE)
    for element in elements:
        wrong = violation([operation for of, operation in history if of == element], one_element, False)
        assert wrong is None, f"{element!r}: {wrong}"


def test_algebra_and_iteration_see_one_point_in_time(shards: int) -> None:
    """Elements are moved from one half to the other: each point in time has either n or n + 1."""
    s: ShardSet[int] = ShardSet.with_capacity(shards=shards)
    size = 50
    s.update(range(size))
    moved = threading.Lock()

    def move() -> None:
        with moved:
            for number in range(size):
                s.add(number + size)
                s.discard(number)
            for number in range(size):
                s.add(number)
                s.discard(number + size)

    everything = frozenset(range(2 * size))
    with meanwhile(move):
        for _ in range(300):
            for look in (s, s | set(), s & everything, s.snapshot(), s.copy(), s - set()):
                seen = list(look)
                assert size <= len(seen) <= size + 1 and len(set(seen)) == len(seen)
                assert all(number in seen or number + size in seen for number in range(size))
            assert size <= len(s) <= size + 1 and s <= everything and not s > everything


def test_a_set_may_change_in_every_way_while_threads_use_it(shards: int) -> None:
    s: ShardSet[int] = ShardSet.with_capacity(shards=shards)
    other = ShardSet(range(0, 100, 3))

    def change() -> None:
        s.update(range(100))
        s.symmetric_difference_update(range(50))
        s.difference_update(other)
        s.intersection_update(range(80))
        s.clear()

    def look() -> None:
        for each in (s | other, s & other, s - other, s ^ other, s.union([500]), s.copy(), s.snapshot()):
            assert all(0 <= number <= 500 for number in each)
        assert repr(s).startswith("ShardSet(")
        assert (s == other) in (True, False) and (s <= other) in (True, False) and hash(s.snapshot()) is not None

    with meanwhile(change, change, look, look):
        time.sleep(1)
    s._check()


@pytest.mark.parametrize("plain", [True, False], ids=["list", "function"])
def test_each_default_is_made_once(shards: int, plain: bool) -> None:
    made: list[list[int]] = []

    def factory() -> list[int]:
        new: list[int] = []
        made.append(new)
        return new

    m: ShardDefaultDict[int, list[int]] = ShardDefaultDict.with_capacity(shards=shards)
    m.default_factory = list if plain else factory

    def work(number: int) -> None:
        keys = list(range(500))
        random.Random(number).shuffle(keys)
        for key in keys:
            m[key].append(number)

    run_alike(THREADS, work)
    assert len(m) == 500 and all(sorted(value) == list(range(THREADS)) for value in m.values())
    assert plain or len(made) == 500
    m._check()


def test_of_factories_that_ask_for_each_other_s_keys_one_is_told_so() -> None:
    m: ShardDefaultDict[str, str] = ShardDefaultDict()
    both = threading.Barrier(2, timeout=60)
    depth = threading.local()

    def factory() -> str:
        depth.value = getattr(depth, "value", 0) + 1
        if depth.value == 1:
            both.wait()
            return m[depth.other] + "!"
        return "end"

    m.default_factory = factory

    def ask(key: str, other: str) -> str:
        depth.other = other
        try:
            return m[key]
        except RuntimeError as error:
            assert "deadlock" in str(error)
            return "deadlock"

    assert sorted(run_threads(lambda: ask("a", "b"), lambda: ask("b", "a"))) == ["deadlock", "end!"]
    assert sorted(m.values()) == ["end", "end!"]


@pytest.mark.parametrize("factory", [list, list], ids=["list", "function"])
def test_a_default_is_never_made_beside_the_map(factory: Callable[[], list[int]]) -> None:
    """Two threads that hold a key each, and ask for the other's: one is told so, and nothing that is returned is not in
    the map."""
    m: ShardDefaultDict[str, list[int]] = ShardDefaultDict(factory)
    both = threading.Barrier(2, timeout=60)

    def ask(mine: str, other: str) -> int:
        try:
            with m.lock(mine):
                both.wait()
                m[other].append(1)
        except RuntimeError as error:
            assert "deadlock" in str(error)
            return 0
        return 1

    assert sum(run_threads(lambda: ask("a", "b"), lambda: ask("b", "a"))) == sum(map(len, m.values())) == 1


def test_what_a_handler_raises_reaches_who_waits_for_a_default() -> None:
    m: ShardDefaultDict[str, int] = ShardDefaultDict(lambda: 1)
    held = threading.Event()
    leave = threading.Event()

    class Key(str):
        armed = False

        def __eq__(self, other: object) -> bool:
            if Key.armed:
                raise RuntimeError("of the key")
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    def hold() -> None:
        with m.lock(Key("a")):
            held.set()
            leave.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(60)
    Key.armed = True
    with pytest.raises(RuntimeError, match="of the key"):
        m[Key("a")]
    Key.armed = False
    leave.set()
    holder.join(60)
    assert m[Key("a")] == 1


def test_a_set_beside_itself_is_one_point_in_time(shards: int) -> None:
    s: ShardSet[int] = ShardSet.with_capacity(shards=shards)
    counter: ShardCounter[int] = ShardCounter.with_capacity(shards=shards)
    others = {1, 2}

    def change() -> None:
        for number in range(20):
            s.add(number)
            counter.add(number)
        for number in range(20):
            s.discard(number)
            counter.pop(number, None)
        others.add(5)
        others.update(range(100))
        others.clear()

    with meanwhile(change, change):
        for _ in range(500):
            assert s == s and s <= s and s >= s and not s < s and not s > s
            assert not s - s and not s ^ s and s.issubset(s) and s.issuperset(s)
            assert counter == counter and not counter - counter and not counter < counter
            s.isdisjoint(others), s.union(others), s ^ others, s.contains_many(others), s.issuperset(others)
            ShardSet(others).update(others)


def test_no_count_is_lost(shards: int) -> None:
    counter: ShardCounter[str] = ShardCounter.with_capacity(shards=shards)
    words = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"] * 50

    def work(number: int) -> None:
        counter.update(words)
        counter.update(Counter(words))
        counter.subtract(words)
        for word in words:
            counter.add(word)
        counter.update(float=0.5)

    run_alike(THREADS, work)
    expected = {word: 2 * THREADS * count for word, count in Counter(words).items()}
    assert counter == Counter(expected | {"float": THREADS / 2})
    assert counter.most_common(1) == [("the", 2 * THREADS * 100)]


def test_in_place_arithmetic_loses_no_count(shards: int) -> None:
    counter: ShardCounter[str] = ShardCounter.with_capacity(shards=shards)

    def work(number: int) -> None:
        nonlocal counter
        mine = counter
        for _ in range(100):
            mine += Counter(a=3, b=2)
            mine -= Counter(a=1)
            mine |= Counter(c=number)

    run_alike(THREADS, work)
    assert counter == Counter(a=200 * THREADS, b=200 * THREADS, c=THREADS - 1)
