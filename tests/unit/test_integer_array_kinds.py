"""Which arrays are arrays of integers: as keys of operations on many keys, all others are refused or iterated over."""

from __future__ import annotations

import array
import mmap
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from shardmap import MISSING, ShardCache, ShardCounter, ShardMap, ShardSet

np: Any = pytest.importorskip("numpy")

REFUSED = [
    np.array([1.0, 2.0]),
    np.array([1j]),
    np.array([b"a"]),
    np.array(["a"]),
    np.array(["2020-01-01"], dtype="M8[D]"),
    np.array([1], dtype="m8[s]"),
    np.zeros(2, dtype=[("a", "i4")]),
    np.zeros(2, dtype="f2"),
    np.zeros((2, 2), dtype="i8"),
    np.array(1),
    np.zeros(2, dtype="V4"),
]


@pytest.mark.parametrize("keys", REFUSED, ids=lambda keys: f"{keys.dtype} {keys.ndim}")
def test_other_arrays_of_numpy_are_refused_before_anything_is_changed(keys: Any) -> None:
    m: ShardMap[Any, Any] = ShardMap({1: 10, 2: 20})
    s: ShardSet[Any] = ShardSet([1, 2])
    cache: ShardCache[Any, Any] = ShardCache(10)
    for work in (
        m.get_many,
        m.contains_many,
        lambda keys: m.set_many(keys, [1] * keys.size),
        m.delete_many,
        m.pop_many,
        m.count,
        m.add_many,
        lambda keys: m.add_many(keys, 0.5),
        s.add_many,
        s.contains_many,
        s.discard_many,
        cache.get_many,
        lambda keys: cache.get_many(keys, load_many=dict.fromkeys),
    ):
        with pytest.raises(TypeError, match="keys must be an array of"):
            work(keys)
    assert m == {1: 10, 2: 20}
    assert s == {1, 2}
    assert len(cache) == 0


@pytest.mark.parametrize("kind", ["f8", "M8[D]", "U1", "V4", "i8"])
def test_an_empty_array_of_any_type_has_no_keys(kind: str) -> None:
    m = ShardMap({1: 10})
    keys = np.zeros(0, dtype=kind)
    assert m.get_many(keys) == m.contains_many(keys) == m.pop_many(keys, None) == []
    m.count(keys)
    m.set_many(keys, [])
    assert m == {1: 10}


def test_the_error_says_what_to_do() -> None:
    with pytest.raises(TypeError, match=r"not of float64; keys\.tolist\(\)"):
        ShardMap().get_many(np.array([1.5]))


def test_arrays_of_objects_give_their_objects() -> None:
    class Key:
        pass

    keys = [Key(), 1, "a", (1, 2)]
    m: ShardMap[Any, int] = ShardMap(zip(keys, range(4), strict=True))
    objects = np.empty(4, dtype=object)
    objects[:] = keys
    assert m.get_many(objects) == [0, 1, 2, 3]


def test_subclasses_that_iterate_otherwise_are_iterated_over() -> None:
    class Twice(np.ndarray):  # type: ignore[misc]
        def __getitem__(self, index: Any) -> Any:
            return super().__getitem__(index) * 2

    class Backwards(np.ndarray):  # type: ignore[misc]
        def __iter__(self) -> Any:
            return iter(self.tolist()[::-1])

    class Named(np.ndarray):  # type: ignore[misc]
        name = "inherits everything"

    m = ShardMap((n, n) for n in range(10))
    keys = np.arange(1, 4)
    assert m.get_many(keys.view(Twice)) == [2, 4, 6]
    assert m.get_many(keys.view(Backwards)) == [3, 2, 1]
    assert m.get_many(keys.view(Named)) == [1, 2, 3]
    with pytest.raises(TypeError, match="unhashable"):
        m.get_many(np.ma.array([1, 2, 3], mask=[0, 1, 0]))  # the constant `masked` has no hash
    assert m.get_many(np.ma.array([1, 2, 3])) == [1, 2, 3]
    made: ShardMap[Any, int] = ShardMap.fromkeys(keys.view(Named), 0)
    assert {type(key) for key in made} == {int}  # read as an array, not iterated over
    with pytest.raises(TypeError, match="array of integers"):
        m.get_many(np.array([1.0]).view(Named))


def test_the_symmetric_difference_with_an_array_holds_ints() -> None:
    s = ShardSet([1, 9])
    assert {type(each) for each in s.symmetric_difference(np.array([1, 2, 2]))} == {int}
    s.symmetric_difference_update(np.array([1, 2, 2]))
    assert s == {9, 2} and {type(each) for each in s} == {int}


@pytest.mark.parametrize("dtype", ["i8", "f8", "M8[s]"])
def test_an_empty_array_of_two_dimensions_has_no_keys_or_unhashable_ones(dtype: str) -> None:
    assert ShardMap({1: 1}).get_many(np.zeros((0, 2), dtype)) == []
    with pytest.raises(TypeError):
        ShardMap({1: 1}).get_many(np.zeros((2, 0), dtype))


@pytest.mark.parametrize(
    "make",
    [
        lambda: array.array("d", [1.0, 2.5]),
        lambda: memoryview(array.array("d", [1.0, 2.5])),
        lambda: memoryview(b"ab").cast("c"),
        lambda: array.array("u", "ab"),
    ],
    ids=["doubles", "a view of doubles", "a view of chars", "characters"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_buffers_of_other_elements_are_iterated_over(make: Callable[[], Any]) -> None:
    keys = make()
    plain = {key: n for n, key in enumerate(keys)}
    m = ShardMap(plain)
    assert m.get_many(keys) == list(range(2))
    counted: ShardMap[Any, int] = ShardMap()
    counted.count(keys)
    assert counted == Counter(keys)


def test_exporters_that_iterate_otherwise_are_iterated_over() -> None:
    with mmap.mmap(-1, 3) as memory:
        memory[:] = b"abc"
        m = ShardMap({b"a": 1, 97: 2})
        assert m.get_many(memory) == [1 if key == b"a" else None for key in memory]

    class Bytes(bytes):
        def __iter__(self) -> Any:
            return iter("xyz")

    assert ShardMap({"y": 1}).get_many(Bytes(b"abc")) == [None, 1, None]


def test_a_released_memoryview_is_refused_as_by_iteration() -> None:
    view = memoryview(b"abc")
    view.release()
    for work in (ShardMap().get_many, ShardMap().count, ShardMap().delete_many):
        with pytest.raises(ValueError, match="released"):
            work(view)


# --- Other collections ---


def test_sets_and_counters_hold_ints() -> None:
    keys = np.array([3, 1, 3, 2**40], dtype="u8")
    s: ShardSet[Any] = ShardSet(keys)
    s.update(keys + np.uint64(1))
    assert s == {3, 1, 2**40, 4, 2, 2**40 + 1}
    assert s.add_many(np.array([3, 9])) == [False, True]
    assert s.contains_many(keys) == [True] * 4
    assert s.discard_many(np.array([9, 10])) == [True, False]
    s.difference_update(np.array([1, 2]))
    assert sorted(s) == [3, 4, 2**40, 2**40 + 1]
    counter: ShardCounter[Any] = ShardCounter(keys)
    counter.update(keys)
    counter.subtract(keys[:1])
    assert counter == {3: 3, 1: 2, 2**40: 2}
    made: ShardMap[Any, int] = ShardMap.fromkeys(keys, 0)
    assert {type(key) for collection in (s, counter, made) for key in collection} == {int}


def test_methods_that_set_and_counter_have_take_any_array() -> None:
    floats = np.array([1.5, 2.5, 1.5])
    assert ShardSet(floats) == set(floats)
    assert ShardCounter(floats) == Counter(floats)
    assert ShardMap.fromkeys(floats) == dict.fromkeys(floats)
    s: ShardSet[Any] = ShardSet([1.5, 3])
    s.difference_update(floats)
    assert s == {3}
    counter: ShardCounter[Any] = ShardCounter()
    counter.subtract(floats)
    assert counter == {1.5: -2, 2.5: -1}


def test_caches_look_up_and_load_ints() -> None:
    cache: ShardCache[Any, str] = ShardCache(10)
    cache[3] = "three"
    asked: list[Any] = []

    def load(keys: list[Any]) -> dict[Any, str]:
        asked.extend(keys)
        return {key: str(key) for key in keys}

    assert cache.get_many(np.array([3, 4])) == ["three", None]
    assert cache.get_many(np.array([3, 4, 5, 4]), load_many=load) == ["three", "4", "5", "4"]
    assert asked == [4, 5]
    assert {type(key) for key in [*asked, *cache]} == {int}


def test_values_stay_the_arrays_elements() -> None:
    m: ShardMap[Any, Any] = ShardMap()
    m.set_many(np.array([1, 2]), np.array([10, 20]))
    assert m == {1: 10, 2: 20}
    assert {type(value) for value in m.values()} == {np.int64}
    with pytest.raises(ValueError, match="MISSING"):
        m.set_many(np.array([1, 2]), [5, MISSING])
    assert m == {1: 10, 2: 20}


def test_counts_that_no_object_holds_are_returned_as_ints() -> None:
    m: ShardMap[Any, int] = ShardMap()
    keys = np.arange(3000)
    m.count(keys)
    m.add_many(keys, 1000)
    assert m.get_many(keys) == [1001] * 3000
    assert m.get_many(keys[:5]) == [1001] * 5
