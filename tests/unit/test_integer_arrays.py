"""Arrays of integers as keys of operations on many keys do what the same integers in a list do."""

from __future__ import annotations

import array
import mmap
import struct
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardmap import MISSING, ShardCache, ShardCounter, ShardMap, ShardSet

np: Any = pytest.importorskip("numpy")

INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
FORMATS = [order + name for order in "<>" for name in INTEGERS]
EXTREMES = sorted(
    {sign * (1 << bits) + step for bits in (0, 7, 8, 15, 16, 30, 31, 32, 60, 61, 62, 63, 64) for step in (-2, -1, 0, 1, 2)
     for sign in (1, -1)}
)  # fmt: skip
LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "contiguous": lambda a: a,
    "every second": lambda a: np.repeat(a, 2)[::2],
    "reversed": lambda a: a[::-1],
    "one column": lambda a: np.stack([a, a, a], axis=1)[:, 1],
    "not aligned": lambda a: np.frombuffer(b"x" + a.tobytes(), dtype=a.dtype, offset=1),
    "packed in records": lambda a: np.array([(1, n) for n in a.tolist()], dtype=[("a", "i1"), ("b", a.dtype)])["b"],
    "one repeated": lambda a: np.broadcast_to(a[:1], len(a)),
    "read-only": lambda a: (a.setflags(write=False), a)[1],
    "empty": lambda a: a[:0],
}


def fitting(numbers: list[int], dtype: str) -> list[int]:
    info = np.iinfo(dtype)
    return [n for n in numbers if info.min <= n <= info.max]


def half_filled(numbers: list[int], shards: int = 1) -> ShardMap[Any, Any]:
    m: ShardMap[Any, Any] = ShardMap.with_capacity(shards=shards)
    m.update((n, f"value of {n}") for n in numbers[::2])
    return m


def assert_done_alike(keys: Any, numbers: list[int], shards: int = 1) -> None:
    """All operations on many keys: an array, and a list of the same integers."""
    start = sorted(set(numbers))
    values = list(range(len(numbers)))
    works: dict[str, Callable[[ShardMap[Any, Any], Any], Any]] = {
        "get_many": lambda m, these: m.get_many(these, "default"),
        "contains_many": lambda m, these: m.contains_many(these),
        "set_many": lambda m, these: m.set_many(these, values),
        "pop_many": lambda m, these: m.pop_many(these),
        "delete_many": lambda m, these: m.delete_many(these),
    }
    for name, work in works.items():
        expected, got = half_filled(start, shards), half_filled(start, shards)
        assert work(got, keys) == work(expected, numbers), name
        assert list(got.items()) == list(expected.items()), name
        assert [type(key) for key in got] == [type(key) for key in expected], name
        got._check()
    for name, count in {
        "count": lambda m, these: m.count(these),
        "add_many": lambda m, these: m.add_many(these, 3),
        "add_many, float": lambda m, these: m.add_many(these, 0.5),
    }.items():
        expected, got = ShardMap.with_capacity(shards=shards), ShardMap.with_capacity(shards=shards)
        count(expected, numbers)
        count(got, keys)
        assert list(got.items()) == list(expected.items()), name
        assert [type(key) for key in got] == [type(key) for key in expected], name


@pytest.mark.parametrize("dtype", FORMATS)
def test_each_integer_type_and_byte_order_finds_what_ints_find(dtype: str, shards: int) -> None:
    numbers = fitting(EXTREMES, dtype) * 2
    keys = np.array(numbers, dtype=dtype)
    assert keys.tolist() == numbers
    assert_done_alike(keys, numbers, shards)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["<i8", ">i8", "u1", "<u2", ">i4", "?"])
def test_any_layout_in_memory_is_read(dtype: str, layout: str) -> None:
    numbers = [1, 0, 1] if dtype == "?" else fitting(EXTREMES, dtype)
    keys = LAYOUTS[layout](np.array(numbers, dtype=dtype))
    assert_done_alike(keys, keys.tolist())


def test_arrays_longer_than_a_batch_are_read_whole(shards: int) -> None:
    numbers = [(n * 7919) % 20011 for n in range(40000)]
    assert_done_alike(np.array(numbers), numbers, shards)


def test_bools_are_true_and_false() -> None:
    keys = np.array([True, False, True])
    m: ShardMap[Any, Any] = ShardMap()
    m.set_many(keys, "abc")
    assert list(m.items()) == [(True, "c"), (False, "b")]
    assert list(map(type, m)) == [bool, bool]
    assert m.get_many(keys) == ["c", "b", "c"]
    assert m.get_many(np.array([1, 0])) == ["c", "b"]
    counted: ShardMap[Any, int] = ShardMap({1: 5})
    counted.count(keys)
    assert counted == {1: 7, 0: 1}
    assert list(map(type, counted)) == [int, bool]
    assert ShardMap({1: "one"}).get_many(np.array([2], dtype="u1").view("?")) == ["one"]


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_any_int64_is_found_like_an_int(stored: list[int], others: list[int]) -> None:
    m = ShardMap.fromkeys(stored, 1)
    plain = dict.fromkeys(stored, 1)
    asked = stored[::2] + others
    assert m.get_many(np.array(asked, dtype="i8")) == [plain.get(key) for key in asked]


@given(st.lists(st.integers(0, 2**64 - 1)), st.lists(st.integers(0, 2**64 - 1)))
def test_any_uint64_is_found_like_an_int(stored: list[int], others: list[int]) -> None:
    m = ShardMap.fromkeys(stored, 1)
    m.update((key - 2**64, "negative") for key in others)
    plain: dict[int, Any] = dict.fromkeys(stored, 1)
    plain.update((key - 2**64, "negative") for key in others)
    asked = stored[::2] + others
    assert m.get_many(np.array(asked, dtype="u8")) == [plain.get(key) for key in asked]


# --- Keys that equal ints, and what their comparison sees ---


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("of", [float, np.int64, Decimal, Fraction, complex])
def test_keys_of_other_types_that_equal_ints_are_found(of: Callable[[int], Any], few: bool, shards: int) -> None:
    numbers = list(range(-3, 4 if few else 3000))
    m: ShardMap[Any, int] = ShardMap.with_capacity(shards=shards)
    m.update((of(n), n) for n in numbers[::2])
    keys = np.array(numbers)
    assert m.get_many(keys, "none") == [n if n in numbers[::2] else "none" for n in numbers]
    m.set_many(keys, [-n for n in numbers])
    assert m == {of(n): -n for n in numbers}
    m.count(keys)
    assert m.get_many(keys) == [1 - n for n in numbers]
    assert m.pop_many(keys) == [1 - n for n in numbers]
    assert not m


class Seen:
    """Equal to an int of the same value, if `on_eq` does not raise. Keeps what it was compared with."""

    def __init__(self, number: int, on_eq: Callable[[], Any] = lambda: None) -> None:
        self.number = number
        self.on_eq = on_eq
        self.kept: list[Any] = []

    def __hash__(self) -> int:
        return hash(self.number)

    def __eq__(self, other: object) -> bool:
        self.kept.append(other)
        self.on_eq()
        return self.number == other


def works_on(m: ShardMap[Any, Any]) -> list[Callable[[Any], Any]]:
    return [m.get_many, m.contains_many, lambda keys: m.set_many(keys, range(len(keys))), m.count, m.pop_many, m.delete_many]


@pytest.mark.parametrize("number", [-1, 5, 2**30, -(2**60), 2**61 + 100])
@pytest.mark.parametrize("which", range(6))
@pytest.mark.parametrize("few", [True, False])
def test_comparisons_get_ints_that_they_may_keep(number: int, which: int, few: bool) -> None:
    seen = Seen(number)
    m: ShardMap[Any, Any] = ShardMap({seen: 1})
    m.update((n, n) for n in range(20))
    works_on(m)[which](np.array([number, 3, number, 4] * (1 if few else 400)))
    assert seen.kept
    assert {type(kept) for kept in seen.kept} == {int}
    del m
    assert set(seen.kept) == {number}


@pytest.mark.parametrize("which", range(6))
@pytest.mark.parametrize("few", [True, False])
def test_an_error_of_a_comparison_is_raised_and_nothing_is_lost(which: int, few: bool, shards: int) -> None:
    def fail() -> None:
        raise ArithmeticError

    seen = Seen(50, fail)
    m: ShardMap[Any, Any] = ShardMap.with_capacity(shards=shards)
    m.update((n, n) for n in range(40))
    m[seen] = 1
    keys = np.arange(60 if few else 3000)
    with pytest.raises(ArithmeticError):
        works_on(m)[which](keys)
    m._check()
    assert m[seen] == 1
    keys.resize(5, refcheck=True)  # no buffer is held any more
    assert len(keys) == 5


@pytest.mark.parametrize("few", [True, False])
def test_a_comparison_may_change_the_map_and_the_array(few: bool) -> None:
    keys = np.arange(10 if few else 3000)
    m: ShardMap[Any, Any] = ShardMap((n, n) for n in range(5))

    def change() -> None:
        keys[:] = 4
        m.pop(3, None)
        m.update((n, -n) for n in range(100000, 100000 + len(m) + 10))

    m[Seen(7, change)] = "seven"
    found = m.get_many(keys)
    assert len(found) == len(keys)
    assert found[7] == "seven"
    assert set(found) <= {0, 1, 2, 3, 4, None, "seven"}
    m._check()


# --- What is no array of integers ---

REFUSED = [
    np.array([1.0, 2.0]),
    np.array([]),
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


def test_subclasses_that_iterate_otherwise_are_iterated_over(tmp_path: Any) -> None:
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
    mapped = np.memmap(tmp_path / "keys", dtype="i4", mode="w+", shape=3)
    mapped[:] = keys
    assert_done_alike(mapped, [1, 2, 3])


# --- Buffers without numpy ---

BUFFERS: list[Any] = [
    *[array.array(code, [0, 1, 1, 100]) for code in "bBhHiIlLqQ"],
    array.array("q", EXTREMES[20:-20]),
    b"hello",
    bytearray(b"hello\xff"),
    memoryview(b"hello"),
    memoryview(array.array("i", [-1, -2, 5])),
    memoryview(array.array("l", range(-9, 9)))[::-2],
    memoryview(bytes([0, 1, 2])).cast("?"),
]


@pytest.mark.parametrize("keys", BUFFERS, ids=lambda keys: f"{type(keys).__name__} {getattr(keys, 'typecode', '')}")
def test_buffers_whose_elements_are_ints_do_what_they_did(keys: Any) -> None:
    assert_done_alike(keys, list(keys))


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


@pytest.mark.parametrize("which", range(6))
def test_the_buffer_is_released(which: int) -> None:
    keys = array.array("q", range(3000))
    works_on(ShardMap((n, n) for n in range(10)))[which](keys)
    keys.append(1)
    with pytest.raises(ValueError, match=r"keys but"):
        ShardMap().set_many(keys, [1])
    with pytest.raises(ValueError, match="more keys than values"):
        ShardMap().set_many(keys, iter([1]))
    keys.append(1)
    assert len(keys) == 3002


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


def test_each_byte_order_is_what_struct_says() -> None:
    numbers = [1, 258, 2**31 - 1]
    m = ShardMap((n, n) for n in numbers)
    for order in "<>":
        keys = np.frombuffer(struct.pack(f"{order}3i", *numbers), dtype=f"{order}i4")
        assert m.get_many(keys) == numbers
