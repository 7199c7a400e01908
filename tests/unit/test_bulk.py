"""Operations on many keys do what the loop over them does, as one call."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.keys import HashKey
from shardmap import MISSING, ShardMap, Snapshot

MakeMap = Callable[..., ShardMap]

SOURCES: dict[str, Callable[[list[Any]], Iterable[Any]]] = {
    "list": list,
    "tuple": tuple,
    "generator": lambda elements: (each for each in elements),
}
PLAIN_KEYS = [*range(-2, 12), "", "a", "b", "\xe9t\xe9", "\u0142", "\U0001f600", b"", b"a", 2**62, 2**70, -(2**70)]
# Equal to others and of another type, or compared by Python, or with the hash of another.
ODD_KEYS = [1.0, True, 2.5, None, (), (1,), Fraction(3), frozenset({1}), *(HashKey(n, n % 2) for n in range(4))]

keys = st.lists(st.sampled_from(PLAIN_KEYS) | st.sampled_from(PLAIN_KEYS + ODD_KEYS), max_size=40)
operations = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("get_many", "contains_many", "set_many", "add_many", "count", "delete_many", "pop_many", "snapshot"),
                *("update from a dict", "update from pairs", "update from a list of lists", "update from a map"),
            ]
        ),
        keys,
        st.sampled_from(list(SOURCES)),
    ),
    max_size=8,
)


def in_dict(d: dict[Any, Any], name: str, keys: list[Any], values: list[Any]) -> Any:
    """The loop that a bulk operation stands for."""
    if name == "get_many":
        return [d.get(key, "none") for key in keys]
    if name == "contains_many":
        return [key in d for key in keys]
    if name == "pop_many":
        return [d.pop(key, "none") for key in keys]
    if name == "delete_many":
        return sum(d.pop(key, MISSING) is not MISSING for key in keys)
    if name in ("count", "add_many"):
        for key in keys:
            d[key] = d.get(key, 0) + (1 if name == "count" else 5)
    elif name in ("update from a dict", "update from a map"):
        d.update(dict(zip(keys, values, strict=True)))
    elif name != "snapshot":
        d.update(zip(keys, values, strict=True))
    return None


def in_map(m: ShardMap, name: str, keys: list[Any], values: list[Any], source: Callable[..., Any]) -> Any:
    if name in ("get_many", "pop_many"):
        return getattr(m, name)(source(keys), "none")
    if name in ("contains_many", "delete_many", "count"):
        return getattr(m, name)(source(keys))
    if name == "add_many":
        return m.add_many(source(keys), 5)
    if name == "set_many":
        return m.set_many(source(keys), source(values))
    if name == "update from a dict":
        return m.update(dict(zip(keys, values, strict=True)))
    if name == "update from a map":
        return m.update(ShardMap(zip(keys, values, strict=True)))
    if name == "update from pairs":
        return m.update(source(list(zip(keys, values, strict=True))))
    if name == "update from a list of lists":
        pairs: list[Any] = list(zip(keys, values, strict=True))
        return m.update([list(pair) if n % 3 else pair for n, pair in enumerate(pairs)])
    return None


@pytest.mark.parametrize("shards", [1, 4, 128])
@settings(max_examples=60, deadline=None)
@given(start=keys, steps=operations)
def test_in_step_with_a_dict(shards: int, start: list[Any], steps: list[tuple[str, list[Any], str]]) -> None:
    numbers = itertools.count()
    d: dict[Any, Any] = {key: next(numbers) for key in start}
    m = ShardMap.with_capacity(shards=shards)
    m.update(d)
    snapshots: list[tuple[Snapshot, dict[Any, Any]]] = []
    for name, keys, source in steps:
        if name == "snapshot":
            snapshots.append((m.snapshot(), dict(d)))
        values = [next(numbers) for _ in keys]
        assert in_map(m, name, keys, values, SOURCES[source]) == in_dict(d, name, keys, values), name
        assert list(m.items()) == list(d.items()), name
        assert [type(key) for key in m] == [type(key) for key in d], name
    m._check()
    for snapshot, then in snapshots:
        assert list(snapshot.items()) == list(then.items())


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("size", [0, 1, 511, 512, 1024, 2500])
def test_any_number_of_keys(make_map: MakeMap, source: str, size: int) -> None:
    give = SOURCES[source]
    keys = [str(n * n % (size + 7)) if n % 3 else n if n % 5 else (n,) for n in range(size)]
    d = dict(zip(keys[: size // 2], range(size), strict=False))
    m = make_map(d)
    assert m.get_many(give(keys), -1) == [d.get(key, -1) for key in keys]
    assert m.contains_many(give(keys)) == [key in d for key in keys]
    assert m.set_many(give(keys), give(list(range(size)))) is None
    d.update(zip(keys, range(size), strict=True))
    assert list(m.items()) == list(d.items())
    m.add_many(give(keys), -2)
    for key in keys:
        d[key] -= 2
    assert m == d and m.get_many(give(keys)) == [d[key] for key in keys]
    assert m.delete_many(give(keys[::3])) == len(set(keys[::3]))
    d = {key: value for key, value in d.items() if key not in set(keys[::3])}
    assert list(m.items()) == list(d.items())
    assert m.pop_many(give(keys), None) == [d.pop(key, None) for key in keys] and not m
    m._check()


def test_large_updates_from_everything(make_map: MakeMap) -> None:
    d: dict[Any, int] = {(f"key {n}" if n % 2 else n): n for n in range(5000)}
    made = ShardMap(d)
    for source in (d, d.items(), list(d.items()), tuple(d.items()), iter(d.items()), made, made.snapshot()):
        m = make_map({"first": 0, "key 7": 1})
        m.update(source, last=2)
        assert list(m.items()) == list(({"first": 0, "key 7": 1} | d | {"last": 2}).items())
        m.update(dict.fromkeys(d, None))
        assert m == {"first": 0, "last": 2} | dict.fromkeys(d)


def test_numbers_are_taken_over_as_they_are_stored() -> None:
    m = ShardMap()
    m.count(range(3000))
    other = ShardMap(m)
    other.count(range(0, 3000, 2))
    assert m.get_many(range(4)) == [1, 1, 1, 1] and other.get_many(range(4)) == [2, 1, 2, 1]
    assert other.pop_many([0, 1, 2]) == [2, 1, 2] and other.delete_many(range(3000)) == 2997


def test_any_delta_is_added_as_by_the_loop(make_map: MakeMap) -> None:
    for delta in (0, -1, True, 2**45, 2**46, 2**62, 2**70, 0.1, Fraction(1, 3)):
        m, d = make_map(a=2**61), {"a": 2**61, "b": 0, "c": 0}
        m.add_many(["b", "c", "a"] * 7, delta)
        for key in ["b", "c", "a"] * 7:
            d[key] += delta
        assert m == d
    m = make_map()
    m.add_many(["a", "b"])
    assert m == {"a": 1, "b": 1}
    with pytest.raises(TypeError):
        m.add_many(["c", "a"], "text")
    assert m == {"a": 1, "b": 1}


def test_defaults_are_none(make_map: MakeMap) -> None:
    m = make_map(a=1)
    assert m.get_many("ab") == [1, None] == m.pop_many("ab") and m.get_many(keys=["a"], default=MISSING) == [MISSING]


def test_a_missing_method_is_not_asked() -> None:
    class Default(ShardMap):
        def __missing__(self, key: Any) -> Any:
            raise AssertionError

    assert Default().get_many([1, 2]) == [None, None]


# --- Wrong arguments ---


class Sized:
    """An iterable with a length that is not a sequence."""

    def __init__(self, elements: list[Any]) -> None:
        self.elements = elements

    def __len__(self) -> int:
        return len(self.elements)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.elements)


@pytest.mark.parametrize("kind", [list, tuple, Sized])
def test_unequal_lengths_are_found_before_anything_is_stored(make_map: MakeMap, kind: Any) -> None:
    m = make_map(a=1)
    for keys, values in ((["a", "b"], [2]), (["a"], [2, 3]), ([], [1]), (["b"], [])):
        with pytest.raises(ValueError, match="keys but"):
            m.set_many(kind(keys), kind(values))
    assert m == {"a": 1}


@pytest.mark.parametrize("size", [2, 1024, 3000])
def test_iterators_that_end_at_different_times_store_what_both_gave(make_map: MakeMap, size: int) -> None:
    m = make_map()
    with pytest.raises(ValueError, match="more keys than values"):
        m.set_many(iter(range(size + 1)), iter(range(size)))
    assert list(m.items()) == [(n, n) for n in range(size)]
    m.clear()
    with pytest.raises(ValueError, match="more values than keys"):
        m.set_many(iter(range(size)), range(size + 1).__iter__())
    assert list(m.items()) == [(n, n) for n in range(size)]
    m.set_many(iter(range(size)), iter(range(size)))


def test_what_is_not_iterable_is_a_type_error(make_map: MakeMap) -> None:
    m = make_map(a=1)
    for wrong in (5, None, object()):
        for work in (
            lambda wrong: m.get_many(wrong),
            lambda wrong: m.contains_many(wrong),
            lambda wrong: m.delete_many(wrong),
            lambda wrong: m.pop_many(wrong),
            lambda wrong: m.add_many(wrong),
            lambda wrong: m.set_many(wrong, []),
            lambda wrong: m.set_many([], wrong),
        ):
            with pytest.raises(TypeError, match="not iterable"):
                work(wrong)
    assert m == {"a": 1}


def test_wrong_pairs_are_errors_that_name_their_number(make_map: MakeMap) -> None:
    good = [(n, n) for n in range(2000)]
    for wrong, error, message in (
        ((1, 2, 3), ValueError, "element #2000 has length 3"),
        ([1], ValueError, "element #2000 has length 1"),
        (5, TypeError, "iterable"),
    ):
        for kind in (list, tuple):
            m = make_map()
            with pytest.raises(error, match=message) as caught:
                m.update(kind([*good, wrong, (1, "after")]))
            assert list(m.items()) == good
            assert error is ValueError or "element #2000" in caught.value.__notes__[0]


# --- Exceptions half-way ---


class Stop(Exception):
    pass


def stop() -> None:
    raise Stop


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("at", [0, 500, 1500])
def test_what_came_before_a_hash_that_raises_is_done(make_map: MakeMap, source: str, at: int) -> None:
    give = SOURCES[source]
    for wrong, error in ((HashKey("x", on_hash=stop), Stop), ([], TypeError)):
        elements: list[Any] = [n if n % 2 else str(n) for n in range(3000)]
        elements[at] = wrong
        before = elements[:at]
        rest = elements[at + 1 :]
        m = make_map({key: 0 for key in rest})  # noqa: C420
        with pytest.raises(error):
            m.set_many(give(elements), give(list(range(3000))))
        assert m == dict.fromkeys(rest, 0) | {key: n for n, key in enumerate(before)}
        with pytest.raises(error):
            m.add_many(give(elements), 5)
        assert m == dict.fromkeys(rest, 0) | {key: n + 5 for n, key in enumerate(before)}
        for read in (m.get_many, m.contains_many):
            with pytest.raises(error):
                read(give(elements))
        with pytest.raises(error):
            m.delete_many(give(elements))
        assert m == dict.fromkeys(rest, 0)
        m.update(dict.fromkeys(before, 1))
        with pytest.raises(error):
            m.pop_many(give(elements))
        assert m == dict.fromkeys(rest, 0)
        with pytest.raises(error):
            m.update([(key, 7) for key in elements])
        assert m == dict.fromkeys(rest, 0) | dict.fromkeys(before, 7)


def test_what_came_before_an_iterator_s_error_is_done(make_map: MakeMap) -> None:
    def broken(elements: Iterable[Any]) -> Iterator[Any]:
        yield from elements
        raise Stop

    for size in (3, 1500):
        m = make_map()
        with pytest.raises(Stop):
            m.set_many(broken(range(size)), range(10_000).__iter__())
        assert m == {n: n for n in range(size)}
        m.clear()
        with pytest.raises(Stop):
            m.set_many(iter(range(10_000)), broken(range(size)))
        assert m == {n: n for n in range(size)}
        with pytest.raises(Stop):
            m.delete_many(broken(range(1, size)))
        assert m == {0: 0}


def test_an_eq_that_raises_stops_there(make_map: MakeMap) -> None:
    """Keys that Python compares are worked on one after the other."""
    there = [HashKey(n, 7) for n in range(5)]
    for name in ("set_many", "add_many", "delete_many", "pop_many", "get_many", "contains_many", "count"):
        m = make_map({key: 1 for key in there})  # noqa: C420
        m["number"] = 1
        there[4].on_eq = stop
        arguments = [[*there[:4], "number", HashKey(4, 7), *there[:2], "number"]]
        if name == "set_many":
            arguments.append([5] * 9)
        with pytest.raises(Stop):
            getattr(m, name)(*arguments)
        there[4].on_eq = None
        if name in ("get_many", "contains_many"):
            assert set(m.values()) == {1}
        elif name in ("delete_many", "pop_many"):
            assert list(m) == there[4:]
        elif name == "set_many":
            assert m == {key: 5 for key in there[:4]} | {there[4]: 1, "number": 5}  # noqa: C420
        else:
            assert m.get("number", 0) >= 1 and m[there[4]] == 1


# --- Keys and values whose code uses the map ---


def test_the_map_may_be_changed_from_within(make_map: MakeMap) -> None:
    for name in ("get_many", "contains_many", "set_many", "add_many", "count", "delete_many", "pop_many"):
        for when in ("on_hash", "on_eq"):
            m = make_map({HashKey("there", 3): 1, **{str(n): 1 for n in range(50)}})

            def interfere(m: ShardMap = m) -> None:
                if m.pop("first time", None) is not None:
                    m.update({str(n): 2 for n in range(40, 90)})
                    m.set_many(range(100), range(100))
                    m.delete_many(str(n) for n in range(20))
                    m.snapshot()

            m["first time"] = 1
            arguments: list[Any] = [[*map(str, range(50)), HashKey("x", 3, **{when: interfere}), *range(5)]]  # type: ignore[arg-type]
            next(key for key in m if isinstance(key, HashKey)).on_eq = interfere if when == "on_eq" else None
            if name == "set_many":
                arguments.append([9] * 56)
            getattr(m, name)(*arguments)
            assert "first time" not in m and m["60"] == 2
            m._check()


def test_values_that_die_may_use_the_map(make_map: MakeMap) -> None:
    m = make_map()
    died: list[int] = []

    class Dying:
        def __init__(self, number: int) -> None:
            self.number = number

        def __del__(self) -> None:
            died.append(len(m))
            m[self.number] = None
            m.delete_many([self.number + 1])

    for work in (
        lambda: m.set_many(range(0, 40, 2), [None] * 20),
        lambda: m.delete_many(range(0, 40, 2)),
        lambda: m.pop_many(range(0, 40, 2)),
        lambda: m.update(dict.fromkeys(range(0, 40, 2))),
        lambda: m.count(range(100, 110)),
    ):
        m.clear()
        m.set_many(range(0, 40, 2), [Dying(n) for n in range(0, 40, 2)])
        work()
        m._check()
    m.clear()
    assert len(died) == 100
    m.clear()


def test_a_list_may_change_while_it_is_read(make_map: MakeMap) -> None:
    m = make_map({n: n for n in range(10)})
    keys: list[Any] = [0, 1, 2, HashKey("x"), 3, 4]
    keys[3].on_hash = keys.clear
    assert m.get_many(keys) == [0, 1, 2, None, 3, 4] and not keys


def test_keys_that_others_lock_are_waited_for_and_one_s_own_are_not(make_map: MakeMap) -> None:
    m = make_map(a=1, b=1)
    with m.lock("a") as entry:
        m.set_many(["a", "b"], [2, 2])
        m.count("ab")
        m.add_many("ab", 10)
        assert entry.value == 13 and m.get_many("ab") == [13, 13]
        assert m.pop_many("ab") == [13, 13] and not entry.exists
    with pytest.raises(RuntimeError, match="cannot change that key"):
        m.compute("a", lambda key, value: m.set_many("ab", [1, 2]))
    with pytest.raises(RuntimeError, match="cannot change that key"):
        m.compute("a", lambda key, value: m.count("ab"))
    assert "a" not in m


@pytest.mark.parametrize("size", [10, 511, 512, 3000])
def test_hashes_that_write_come_before_the_batch_is_looked_up(make_map: MakeMap, size: int) -> None:
    for at in (0, size // 2, size - 1):
        m = make_map()
        keys: list[Any] = [str(n) for n in range(size)]
        keys[at] = HashKey("x", on_hash=lambda m=m, size=size: m.update((str(n), n) for n in range(size)))
        found = [n if n != at else None for n in range(size)]
        assert m.get_many(keys) == found
        m.clear()
        assert m.contains_many(keys) == [n is not None for n in found]
