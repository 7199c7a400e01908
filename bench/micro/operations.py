"""The operations that are measured: each prepares a map and returns what is timed, and how many operations that is.

A timed function does the operation once for each key of a list, in a plain loop; the loop's own cost is the same for
all maps. Operations that change the map are set up anew before each round.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from keys import KINDS, another
from maps import Competitor

SIZES = (1_000, 100_000, 1_000_000)
KEYS = (*KINDS, "str-equal")  # the last: looked up by equal objects, not by those in the map
VALUES: dict[str, Callable[[int], Any]] = {
    "int": lambda number: number % 256,  # small: not allocated
    "none": lambda number: None,
    "object": lambda number: object(),
}

Timed = Callable[[Any], object]


class NotOffered(Exception):
    """A map that does not have the operation."""


class Data(NamedTuple):
    stored: list[Any]  # keys as they are in the map, in order of insertion
    asked: list[Any]  # keys to look up, in another order
    absent: list[Any]
    values: list[Any]


def prepare(kind: str, size: int, values: str) -> Data:
    make = KINDS[kind.removesuffix("-equal")]
    stored = [make(number) for number in range(size)]
    asked = [another(key) for key in stored] if kind.endswith("-equal") else list(stored)
    random.Random(size).shuffle(asked)
    absent = [make(number) for number in range(size, 2 * size)]
    return Data(stored, asked, absent, [VALUES[values](number) for number in range(size)])


def filled(make: Callable[[], Any], data: Data) -> Any:
    m = make()
    for key, value in zip(data.stored, data.values, strict=True):
        m[key] = value
    return m


class Operation(NamedTuple):
    timed: Callable[[Competitor, Data], Timed]
    needs: str  # method of the map
    start: str = "filled"  # or "empty", "presized"
    changes: bool = False  # needs a fresh map each round


def _get_hit(_: Competitor, data: Data) -> Timed:
    def run(m: Any, keys: Sequence[Any] = data.asked) -> None:
        for k in keys:
            m[k]

    return run


def _get_miss(_: Competitor, data: Data) -> Timed:
    def run(m: Any, keys: Sequence[Any] = data.absent) -> None:
        get = m.get
        for k in keys:
            get(k)

    return run


def _contains(_: Competitor, data: Data) -> Timed:
    def run(m: Any, keys: Sequence[Any] = data.asked) -> None:
        for k in keys:
            k in m  # noqa: B015

    return run


def _overwrite(_: Competitor, data: Data) -> Timed:
    pairs = list(zip(data.asked, [data.values[-1], *data.values[:-1]], strict=True))

    def run(m: Any) -> None:
        for k, v in pairs:
            m[k] = v

    return run


def _insert(_: Competitor, data: Data) -> Timed:
    pairs = list(zip(data.stored, data.values, strict=True))

    def run(m: Any) -> None:
        for k, v in pairs:
            m[k] = v

    return run


def _delete(_: Competitor, data: Data) -> Timed:
    def run(m: Any, keys: Sequence[Any] = data.asked) -> None:
        for k in keys:
            del m[k]

    return run


def _pop(_: Competitor, data: Data) -> Timed:
    def run(m: Any, keys: Sequence[Any] = data.asked) -> None:
        pop = m.pop
        for k in keys:
            pop(k)

    return run


def _setdefault(_: Competitor, data: Data) -> Timed:
    def run(m: Any, keys: Sequence[Any] = data.asked) -> None:
        setdefault = m.setdefault
        for k in keys:
            setdefault(k, None)

    return run


def _iterate(_: Competitor, data: Data) -> Timed:
    return lambda m: deque(m, 0)


def _items(competitor: Competitor, data: Data) -> Timed:
    items = competitor.items
    if items is None:
        raise NotOffered(f"{competitor.name} cannot iterate its items")

    def run(m: Any) -> None:
        for _key, _value in items(m):
            pass

    return run


def _update(_: Competitor, data: Data) -> Timed:
    other = dict(zip(data.asked, data.values, strict=True))
    return lambda m: m.update(other)


def _copy(number: int) -> Callable[[Competitor, Data], Timed]:
    def timed(competitor: Competitor, data: Data) -> Timed:
        if number >= len(competitor.copies):
            raise NotOffered(f"{competitor.name} has no {'other ' * number}way to copy itself")
        return competitor.copies[number][1]

    return timed


OPERATIONS: dict[str, Operation] = {
    "get_hit": Operation(_get_hit, "__getitem__"),
    "get_miss": Operation(_get_miss, "get"),
    "contains": Operation(_contains, "__contains__"),
    "overwrite": Operation(_overwrite, "__setitem__"),
    "insert_growing": Operation(_insert, "__setitem__", "empty", True),
    "insert_presized": Operation(_insert, "__setitem__", "presized", True),
    "delete": Operation(_delete, "__delitem__", changes=True),
    "pop": Operation(_pop, "pop", changes=True),
    "setdefault": Operation(_setdefault, "setdefault"),
    "iterate": Operation(_iterate, "__iter__"),
    "items": Operation(_items, "__getitem__"),
    "copy": Operation(_copy(0), "__getitem__"),
    "snapshot": Operation(_copy(1), "__getitem__"),
    "update": Operation(_update, "update"),
}


def set_up(operation: Operation, competitor: Competitor, data: Data) -> tuple[Timed, Callable[[], Any]]:
    """What is timed, and what makes the map for it. NotOffered says what the map lacks."""
    if not competitor.has(operation.needs):
        raise NotOffered(f"{competitor.name} has no {operation.needs}")
    timed = operation.timed(competitor, data)
    if operation.start == "filled":
        return timed, lambda: filled(competitor.make, data)
    if operation.start == "empty":
        return timed, competitor.make
    presized = competitor.presized
    if presized is None:
        raise NotOffered(f"{competitor.name} cannot be made with room for entries")
    return timed, lambda: presized(len(data.stored))


def left_behind(name: str, operation: Operation, competitor: Competitor, data: Data) -> dict[Any, Any]:
    """What must be in the map after the operation ran once on each key."""
    if name in ("delete", "pop"):
        return {}
    if name == "overwrite":
        return dict(zip(data.asked, [data.values[-1], *data.values[:-1]], strict=True))
    if name == "update":
        return dict(zip(data.asked, data.values, strict=True))
    return dict(zip(data.stored, data.values, strict=True))
