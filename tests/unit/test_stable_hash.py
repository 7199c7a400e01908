"""The hash that finds the owners of DaskWorkers: the same in every process, equal for equal keys, evenly spread."""

from __future__ import annotations

import enum
import itertools
import json
import os
import sys
from collections import Counter, namedtuple
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.process import run_python
from shardmap._stable_hash import owner_of, stable_hash

Point = namedtuple("Point", "x y")
HOUR = timedelta(hours=1)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Text(enum.StrEnum):
    A = "a"


class Number(enum.IntEnum):
    ONE = 1


class Flags(enum.Flag):
    A = 1
    B = 2


class OwnText(str):
    __slots__ = ()


class Ambiguous(tzinfo):
    """At the end of summer time, one hour is there twice: fold=0 and fold=1 have different offsets."""

    def utcoffset(self, when: datetime | None) -> timedelta:
        return HOUR if when is not None and when.fold else 2 * HOUR

    def dst(self, when: datetime | None) -> timedelta:
        return self.utcoffset(when) - HOUR

    def tzname(self, when: datetime | None) -> str:
        return "ambiguous"


AMBIGUOUS = Ambiguous()

KEYS: list[Any] = [
    *("", "a", "ä", "\ud800", "word " * 100, b"", b"a", bytes(range(256))),
    *(0, 1, -1, -2, 2**61 - 1, 2**64, -(2**200), 0.5, -0.0, 1e300, float("inf"), 1j, True, None),
    *(Decimal("1.5"), Fraction(1, 3), UUID(int=7), date(2024, 2, 29), timedelta(days=-3, microseconds=5)),
    *(datetime(2024, 1, 1, 12), datetime(2024, 1, 1, 12, tzinfo=timezone(HOUR))),
    *(Colour.RED, Colour.BLUE, Text.A, Number.ONE, Flags.A | Flags.B, OwnText("a"), Point(1, "y")),
    *((), ("a",), ("a", "b"), (1, ("a", None)), frozenset(), frozenset("abcdef"), frozenset([1, ("a", 2)])),
]

SAME: list[tuple[Any, ...]] = [
    (1, 1.0, True, 1 + 0j, Decimal(1), Fraction(1), Number.ONE),
    (0, -0.0, 0.0, False, Decimal("-0"), Decimal("0.00")),
    (0.5, Decimal("0.50"), Fraction(1, 2)),
    (10**30, Decimal(10**30), Fraction(10**30)),
    ("a", OwnText("a"), Text.A),
    ((1, "a"), (1.0, Text.A), (True, OwnText("a"))),
    ((1, "y"), Point(1, "y"), Point(True, "y")),
    (frozenset("ab"), frozenset("ba"), frozenset([Text.A, "b"])),
    (datetime(2024, 1, 1, 12, tzinfo=UTC), datetime(2024, 1, 1, 13, tzinfo=timezone(HOUR))),
    (datetime(2024, 1, 1, 12), datetime(2024, 1, 1, 12, fold=1)),
    (datetime(2024, 1, 1, 12, tzinfo=AMBIGUOUS), datetime(2024, 1, 1, 12, tzinfo=AMBIGUOUS, fold=1)),
    (datetime.min.replace(tzinfo=timezone(HOUR)), datetime(1, 1, 1, 1, tzinfo=timezone(2 * HOUR))),
    (datetime.max.replace(tzinfo=timezone(-HOUR)), datetime.max.replace(tzinfo=timezone(-HOUR), fold=1)),
    (timedelta(hours=24), timedelta(days=1)),
    (Flags.A | Flags.B, Flags(3)),
]


@pytest.mark.parametrize("keys", SAME, ids=lambda keys: repr(keys[0]))
def test_equal_keys_of_all_types_have_one_hash(keys: tuple[Any, ...]) -> None:
    assert len(set(keys)) == 1, "they are not equal"
    assert len(set(map(stable_hash, keys))) == 1
    assert len({stable_hash((key, "x")) for key in keys}) == 1


def test_every_process_has_the_same_hashes() -> None:
    source = """
        import json, test_stable_hash as keys
        from shardmap._stable_hash import stable_hash
        print(json.dumps([[stable_hash(key) for key in keys.KEYS], hash("a")]))
    """
    seeds = [{"PYTHONHASHSEED": seed, "PYTHONPATH": _folder()} for seed in ("0", "1")]
    (one, text), (other, other_text) = (json.loads(run_python(source, env=seed).stdout) for seed in seeds)
    assert text != other_text
    assert one == other == [stable_hash(key) for key in KEYS]


def _folder() -> str:
    return os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])


def test_keys_that_only_look_alike_have_different_hashes() -> None:
    alike = [("a", "b"), ("b", "a"), ("ab", ""), ("ab",), "ab", (("a", "b"),), ("a", ("b",)), (), ("",), ("", "")]
    assert len(set(map(stable_hash, alike))) == len(alike)


@pytest.mark.parametrize("owners", [2, 3, 4, 7, 16])
def test_keys_are_spread_evenly(owners: int) -> None:
    for keys in (range(20_000), map(str, range(20_000)), itertools.product(range(100), range(200))):
        counts = Counter(owner_of(key, owners) for key in keys)
        assert sorted(counts) == list(range(owners))
        assert max(counts.values()) < 1.15 * 20_000 / owners


plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
)


@given(st.recursive(plain, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=6))
def test_a_copy_of_a_key_has_its_hash(key: Any) -> None:
    def copied(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(copied, value))
        if isinstance(value, frozenset):
            return frozenset(map(copied, reversed(list(value))))
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return value

    assert copied(key) == key
    assert stable_hash(copied(key)) == stable_hash(key) < 2**32


class ByIdentity:
    pass


class WithOwnHash(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WithOwnHash)

    def __hash__(self) -> int:
        return 7


@pytest.mark.parametrize("key", [ByIdentity(), WithOwnHash("a"), (1, ByIdentity()), ByIdentity, len, range(3)])
def test_keys_without_a_rule_are_type_errors(key: Any) -> None:
    with pytest.raises(TypeError, match="no hash that is the same in every process"):
        stable_hash(key)


@pytest.mark.parametrize("key", [[], {}, (1, []), {1}, Decimal("sNaN")])
def test_unhashable_keys_get_pythons_own_error(key: Any) -> None:
    with pytest.raises(TypeError, match=r"unhashable type|Cannot hash"):
        stable_hash(key)


@pytest.mark.parametrize("key", [float("nan"), ("a", float("nan")), complex(0, float("nan")), Decimal("nan")])
def test_nan_is_no_key(key: Any) -> None:
    with pytest.raises(ValueError, match="NaN"):
        stable_hash(key)


def test_a_timedelta64_which_is_equal_to_a_timedelta_is_no_key() -> None:
    numpy = pytest.importorskip("numpy")
    with pytest.raises(TypeError, match="no hash that is the same in every process"):
        stable_hash(numpy.timedelta64(1, "s"))
