"""count(iterable): a Counter's update from many threads."""

from __future__ import annotations

import gc
import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.keys import HashKey
from harness.threads import meanwhile, run_alike, switching_often
from shardmap import ShardMap, _core

MakeMap = Callable[..., ShardMap]

SOURCES: dict[str, Callable[[list[Any]], Iterable[Any]]] = {
    "list": list,
    "tuple": tuple,
    "iterator": iter,
    "generator": lambda elements: (each for each in elements),
}

elements = st.lists(
    st.one_of(
        st.integers(-3, 3),
        st.sampled_from(["", "a", "b", b"", b"a", "\xe9" * 3, "\u0142", 1.0, True, False, None, (), (1,), 2**70]),
        st.builds(HashKey, st.integers(0, 3), st.sampled_from([0, 1])),
    )
)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("size", [1, 4])
@settings(max_examples=40)
@given(batches=st.lists(elements, max_size=3))
def test_counts_as_counter_does_in_its_order(source: str, size: int, batches: list[list[Any]]) -> None:
    m = ShardMap.with_capacity(shards=size)
    expected: Counter[Any] = Counter()
    for batch in batches:
        m.count(SOURCES[source](batch))
        expected.update(batch)
        assert list(m.items()) == list(expected.items())
        assert [type(key) for key in m] == [type(key) for key in expected]
    m._check()


@pytest.mark.parametrize("source", SOURCES)
def test_more_elements_and_more_keys_than_a_batch(make_map: MakeMap, source: str) -> None:
    words = [f"word {n * n % 3001}" for n in range(70_000)] + list(range(3000))
    m = make_map()
    m.count(SOURCES[source](words))
    assert list(m.items()) == list(Counter(words).items())


def test_adds_to_what_is_there(make_map: MakeMap) -> None:
    m = make_map(a=5, b=2.5, c=2**62, d=2**80, e=True)
    m.add("f", 7)
    before = m.snapshot()
    m.count("abcdefg" * 3)
    assert dict(m) == {"a": 8, "b": 5.5, "c": 2**62 + 3, "d": 2**80 + 3, "e": 4, "f": 10, "g": 3}
    assert before == {"a": 5, "b": 2.5, "c": 2**62, "d": 2**80, "e": True, "f": 7}


def test_what_is_not_iterable_is_a_type_error(make_map: MakeMap) -> None:
    m = make_map(a=1)
    for wrong in (5, None, object()):
        with pytest.raises(TypeError, match="not iterable"):
            m.count(wrong)  # type: ignore[arg-type]
    assert m == {"a": 1}


class Stop(Exception):
    pass


def stop() -> None:
    raise Stop


@pytest.mark.parametrize("source", SOURCES)
def test_what_came_before_an_element_that_cannot_be_hashed_is_counted(make_map: MakeMap, source: str) -> None:
    m = make_map(number=1)
    words: list[Any] = ["a", "b", ("c",)] * 200
    with pytest.raises(TypeError, match="unhashable"):
        m.count(SOURCES[source]([*words, [], "after"]))
    with pytest.raises(Stop):
        m.count(SOURCES[source]([*words, HashKey("x", on_hash=stop), "after"]))
    with pytest.raises(Stop):
        m.count(SOURCES[source]([*words, HashKey("y", 7, on_eq=stop), HashKey("z", 7), "after"]))
    next(key for key in m if isinstance(key, HashKey)).on_eq = None
    assert m == {"number": 1, "a": 600, "b": 600, ("c",): 600, HashKey("y", 7): 1}


def test_what_came_before_an_iterator_s_error_is_counted(make_map: MakeMap) -> None:
    m = make_map()

    def words() -> Iterator[str]:
        yield from ("a", "b", "a")
        raise Stop

    with pytest.raises(Stop):
        m.count(words())
    assert list(m.items()) == [("a", 2), ("b", 1)]


def test_an_entry_that_cannot_be_added_to_does_not_keep_the_others_from_being_counted(make_map: MakeMap) -> None:
    text = {"x": "text", "y": None}
    m = make_map(text)
    with pytest.raises(TypeError):
        m.count(["a", "x", "b", "y", "a"])
    assert m == {**text, "a": 2, "b": 1}

    def words() -> Iterator[str]:
        yield from ("a", "x", "b")
        raise Stop

    with pytest.raises(TypeError) as caught:
        m.count(words())
    assert isinstance(caught.value.__context__, Stop)
    assert m == {**text, "a": 3, "b": 2}


def test_elements_may_use_the_map_and_change_the_list(make_map: MakeMap) -> None:
    m = make_map()
    words: list[Any] = ["a"] * 10

    def interfere() -> None:
        m.count(["inner", "a"])
        m.clear()
        words.append("late")

    x = words[3] = HashKey("x", on_hash=interfere, on_eq=words.clear)
    words[5] = HashKey("y")
    m.count(words)
    x.on_hash = x.on_eq = None
    assert m == {"a": 4, x: 1, HashKey("y"): 1} and not words
    m.clear()
    x.on_hash = interfere
    words.extend(["a", x, "b"])
    m.count(words)
    x.on_hash = None
    assert m == {"a": 1, x: 1, "b": 1, "late": 1}


class Key(HashKey):
    """Counted references."""


@pytest.mark.parametrize("source", SOURCES)
def test_each_reference_is_given_back(make_map: MakeMap, source: str) -> None:
    things = [Key("a", 1), Key("b", 1), f"string {id(source)}", 10**20, Key("a", 1)]

    def work() -> None:
        m = make_map()
        m.count(SOURCES[source](things * 3))
        m.update(dict.fromkeys(things, 10**30))
        m.count(SOURCES[source](things * 3))
        with pytest.raises(TypeError):
            m.count(SOURCES[source]([*things, []]))
        m.clear()

    work()
    before = [sys.getrefcount(thing) for thing in things]
    for _ in range(5):
        work()
    if [sys.getrefcount(thing) for thing in things] != before:
        gc.collect()
    assert [sys.getrefcount(thing) for thing in things] == before


@pytest.mark.parametrize("shared", [False, True])
def test_without_memory_no_count_is_lost_or_made_up(make_map: MakeMap, shared: bool) -> None:
    words = [n % 100 for n in range(300)]
    failures = 0
    for nth in itertools.count(1):
        m = make_map(dict.fromkeys(range(0, 100, 7), 5))
        before = dict(m)
        snapshot = m.snapshot() if shared else None
        _core._fail_allocation(nth)
        try:
            m.count(words)
        except MemoryError:
            failures += 1
        else:
            break
        finally:
            _core._fail_allocation(0)
        m._check()
        assert all(0 <= number - before.get(key, 0) <= 3 for key, number in m.items())
        assert before.keys() <= m.keys() and (snapshot is None or snapshot == before)
    assert failures > 3
    assert m == {n: before.get(n, 0) + 3 for n in range(100)}


# --- Many threads ---


@pytest.mark.parametrize("count", [1, 16, 3000])
def test_totals_of_eight_threads_are_exact(count: int) -> None:
    m = ShardMap()
    words = [f"word {n % count}" for n in range(3 * count + 500)]

    def work(number: int) -> None:
        for source in (list(words), tuple(words), iter(words)):
            m.count(source)

    with switching_often():
        run_alike(8, work)
    assert m == {word: 24 * number for word, number in Counter(words).items()}
    m._check()


def test_totals_are_exact_while_others_add_snapshot_lock_and_grow(make_map: MakeMap) -> None:
    m = make_map()
    keys: list[Any] = ["a", 1, b"c", 2.5, ("d",), HashKey("e"), *range(100, 150)]

    def lock() -> None:
        with m.lock("a") as entry:
            entry.set(entry.get(0))

    fresh = itertools.count()

    def grow() -> None:
        n = next(fresh) % 400
        m[f"ballast {n}"] = None
        m.pop(f"ballast {n - 100}", None)

    def work(number: int) -> None:
        for _ in range(30):
            m.count(keys * 2)
            for key in keys[:6]:
                m.add(key)

    with switching_often(), meanwhile(lambda: list(m.snapshot()), lock, grow):
        run_alike(3, work)
    for n in range(400):
        m.pop(f"ballast {n}", None)
    assert m == {key: 90 * (3 if n < 6 else 2) for n, key in enumerate(keys)}


def test_a_list_that_others_change_is_counted_element_by_element() -> None:
    m = ShardMap()
    words = ["a"] * 100

    def change() -> None:
        words.append("b")
        words.pop()
        words[5] = "ab"[len(words) % 2]

    with switching_often(), meanwhile(change):
        for _ in range(50):
            m.count(words)
    assert set(m) <= {"a", "b"} and 5000 <= sum(m.values()) <= 5050
    m._check()
