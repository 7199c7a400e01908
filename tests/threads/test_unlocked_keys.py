"""Keys that only Python code can compare are read without a mutex, too, and while others write."""

from __future__ import annotations

import datetime
import fractions
import itertools
import sysconfig
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from harness.keys import HashKey
from harness.threads import meanwhile, run_alike, run_threads
from shardmap import ShardMap

pytestmark = pytest.mark.concurrent

MakeMap = Callable[..., ShardMap]

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


@dataclass(frozen=True)
class Record:
    number: int
    name: str


class Number(int):
    """No exact int: a tuple with one in it is no plain key."""


def switching(number: int) -> HashKey:
    """Its __eq__ lets other threads run, and others have its hash."""
    return HashKey(number, number % 5, on_eq=lambda: time.sleep(0))


KINDS: dict[str, Callable[[int], Any]] = {
    "tuple": lambda n: (n, f"x{n}", None, 0.5),
    "nested tuple": lambda n: ((n, (b"b", n)), True),
    "tuple with another int": lambda n: (Number(n), "x"),
    "float": lambda n: n + 0.25,
    "date": lambda n: datetime.date.fromordinal(700_000 + n),
    "UUID": lambda n: uuid.UUID(int=n << 64),
    "frozenset": lambda n: frozenset((n, -n)),
    "frozen dataclass": lambda n: Record(n, "x"),
    "Fraction": lambda n: fractions.Fraction(n, 7),
    "switching": switching,
}

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@every_kind
def test_equal_keys_that_other_threads_made_are_found(make_map: MakeMap, kind: Callable[[int], Any]) -> None:
    m = make_map()
    run_threads(lambda: m.update((kind(n), [n]) for n in range(50)))

    def look(number: int) -> None:
        for _ in range(3):
            for n in range(60):
                key = kind(n)
                found = n < 50
                assert (key in m) is found and m.get(key) == ([n] if found else None)
                assert m.get_many([key], None) == [[n] if found else None]
                if found:
                    m[key] = m[key]

    run_alike(3, look)
    assert m == {kind(n): [n] for n in range(50)}


@pytest.mark.skipif(not FREE_THREADED, reason="with a GIL readers do not meet")
@every_kind
def test_readers_take_no_mutex(kind: Callable[[int], Any]) -> None:
    m = ShardMap.with_capacity(shards=1)
    run_threads(lambda: m.update((kind(n), str(n)) for n in range(20)))

    def read(number: int) -> None:
        for _ in range(100):
            for n in range(20):
                assert m[kind(n)] == str(n) and kind(n) in m
            keys = [kind(n) for n in range(22)]
            assert m.get_many(keys, None) == [*map(str, range(20)), None, None]
            assert m.contains_many(keys) == [True] * 20 + [False] * 2

    run_alike(4, read)  # the first to read what another thread made has it made ready
    before = m.stats().contended
    run_alike(4, read)
    assert m.stats().contended == before


@every_kind
def test_a_reader_beside_writers_gets_its_value_or_none(make_map: MakeMap, kind: Callable[[int], Any]) -> None:
    m = make_map()
    m.update((kind(n), (n, 0)) for n in range(0, 40, 2))  # which stay
    turns = itertools.count()

    def write() -> None:
        turn = next(turns)
        n = turn * 2 % 40 + 1
        m[kind(n)] = (n, turn)
        m[kind(turn * 6 % 40)] = (turn * 6 % 40, turn)
        if turn % 3 == 0:
            m.pop(kind((n + 20) % 40), None) if (n + 20) % 40 % 2 else None
        if turn % 50 == 0:
            m.snapshot()

    def read(number: int) -> None:
        for turn in range(600):
            n = (turn * 7 + number) % 40
            value = m.get(kind(n))
            assert (value is None and n % 2 == 1) or (value is not None and value[0] == n)
            assert kind(n - n % 2) in m and kind(n + 100) not in m

    with meanwhile(write, write):
        run_alike(2, read)


def test_a_tuple_with_an_item_that_only_python_can_compare(make_map: MakeMap) -> None:
    """A plain tuple is stored, one with an int of another type asked for; and the other way round."""
    m = make_map({(1, "a"): "plain", (Number(2), "a"): "not"})
    assert m[1, "a"] == m[Number(1), "a"] == m[1.0, "a"] == m[True, "a"] == "plain"
    assert m[2, "a"] == m[Number(2), "a"] == "not"
    assert (1, "b") not in m and (Number(1), "b") not in m and (1, ("a",)) not in m
    nan = float("nan")
    m[nan] = m[nan, 1] = "the very object"
    assert m[nan] == m[nan, 1] == "the very object" and float("nan") not in m and (float("nan"), 1) not in m
    assert 0.0 not in m
    m[-0.0] = "zero"
    assert m[0.0] == m[0] == m[False] == "zero"


def test_the_entry_goes_while_its_key_is_compared(make_map: MakeMap) -> None:
    """The comparison itself removes it, puts it back, splits and clears: as with a dict, or with nothing found."""
    changes: dict[str, tuple[Any, Callable[[ShardMap, Any], Any]]] = {
        "delete": (None, lambda m, key: m.pop(key, None)),
        "delete and insert": ("again", lambda m, key: (m.pop(key, None), m.__setitem__(key, "again"))),
        "overwrite": ("new", lambda m, key: m.__setitem__(key, "new")),
        "clear": (None, lambda m, key: m.clear()),
        "grow": ("old", lambda m, key: m.update((str(n), n) for n in range(1000))),
    }
    for name, (expected, change) in changes.items():
        stored, asked = HashKey("k"), HashKey("k")
        m = make_map({stored: "old"})
        other = HashKey("k")

        def act(m: ShardMap = m, stored: HashKey = stored, change: Any = change, other: HashKey = other) -> None:
            stored.on_eq = None
            change(m, other)

        stored.on_eq = act
        assert m.get(asked) == expected, name
        assert (asked in m) == (expected is not None)
        m._check()


def test_to_store_what_is_there_waits_for_who_holds_the_key(make_map: MakeMap) -> None:
    """It takes no mutex, but it is a write."""
    value = object()
    m = make_map({"key": value, "other": value})
    run_threads(lambda: m.get("key"))
    done: list[str] = []

    def store() -> None:
        for _ in range(100):
            m["key"] = value
        done.append("stored")

    with m.lock("key") as entry:
        with meanwhile(lambda: m.__setitem__("other", value)):
            time.sleep(0.05)
        entry.value = value
        assert not done
    run_alike(4, lambda _: store())
    assert len(done) == 4 and m["key"] is value


class Dying:
    """A key that only its map holds: its memory is soon another object's."""

    __slots__ = ("number", "same_size_as_other")

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        assert type(other) is Dying, f"compared with a {type(other).__name__}, which never was a key of the map"
        return self.number == other.number


class Other:
    __slots__ = ("number", "same_size_as_dying")

    def __init__(self, number: int) -> None:
        self.number = number


def test_nothing_but_keys_of_the_map_is_compared(make_map: MakeMap) -> None:
    """Between the load of a stored key and the reference to it the key may die, and another object get its memory."""
    m, others = make_map(), make_map()

    def write(number: int) -> None:
        for turn in range(1500):
            m[Dying(number)] = None
            m.pop(Dying(number))
            others[turn % 8] = Other(turn)

    def read() -> None:
        for turn in range(3000):
            assert m.get(Dying(-1)) is None
            assert Dying(-2) not in m
            others.get(turn % 8)

    run_threads(lambda: write(1), lambda: write(2), read, read)
    assert len(m) == 0


def test_a_tuple_of_many_items_is_compared_as_any_other_key(make_map: MakeMap) -> None:
    """Not in C, under a mutex: tuples that share items may be met exponentially often."""

    def nested(width: int) -> Any:
        key: Any = 1
        for _ in range(4):
            key = (key,) * width
        return key

    for key, equal in [(nested(2), nested(2)), (nested(40), nested(40)), ((0,) * 1000, tuple([0] * 1000))]:
        m = make_map({key: 1})
        assert m[equal] == 1 and equal in m
        m[equal] = 2
        assert m.pop(equal) == 2 and key not in m
