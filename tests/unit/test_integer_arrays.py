"""Arrays of integers as keys of operations on many keys do what the same integers in a list do."""

from __future__ import annotations

import array
import struct
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardmap import ShardMap

np: Any = pytest.importorskip("numpy")

INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
FORMATS = [order + name for order in "<>" for name in INTEGERS]
BITS = (0, 7, 8, 15, 16, 30, 31, 32, 60, 61, 62, 63, 64)
EXTREMES = sorted({sign * (1 << bits) + step for bits in BITS for step in range(-2, 3) for sign in (1, -1)})
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
    def set_many(keys: Any) -> None:
        m.set_many(keys, range(len(keys)))

    return [m.get_many, m.contains_many, set_many, m.count, m.pop_many, m.delete_many]


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


def test_a_memory_map_of_numpy_is_read(tmp_path: Any) -> None:
    mapped = np.memmap(tmp_path / "keys", dtype="i4", mode="w+", shape=3)
    mapped[:] = [1, 2, 3]
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


def test_each_byte_order_is_what_struct_says() -> None:
    numbers = [1, 258, 2**31 - 1]
    m = ShardMap((n, n) for n in numbers)
    for order in "<>":
        keys = np.frombuffer(struct.pack(f"{order}3i", *numbers), dtype=f"{order}i4")
        assert m.get_many(keys) == numbers
