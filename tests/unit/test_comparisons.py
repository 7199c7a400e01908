"""A stored key is compared as often as by dict; and what compare_and_set takes for equal."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest

from shardmap import MISSING, ShardMap

pytestmark = pytest.mark.memory

MakeMap = Callable[..., ShardMap]


class Key:
    """Counts the calls of __eq__ of all its kind."""

    compared = 0

    def __init__(self, name: str) -> None:
        self.name = name

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        Key.compared += 1
        return isinstance(other, Key) and self.name == other.name


def entry_value(m: ShardMap, key: Key) -> None:
    with m.lock(key) as entry:
        entry.value = 2


ONCE: dict[str, Callable[[ShardMap, Key], Any]] = {
    "get": lambda m, key: m.get(key),
    "in": lambda m, key: key in m,
    "set": lambda m, key: m.__setitem__(key, 2),
    "set the same": lambda m, key: m.__setitem__(key, 1.5),
    "del": operator.delitem,
    "pop": lambda m, key: m.pop(key),
    "setdefault": lambda m, key: m.setdefault(key, 2),
    "exchange": lambda m, key: m.exchange(key, 2),
    "replace": lambda m, key: m.replace(key, 2),
    "compute": lambda m, key: m.compute(key, lambda key, value: value + 1),
    "compute to remove": lambda m, key: m.compute(key, lambda key, value: MISSING),
    "merge": lambda m, key: m.merge(key, 2, max),
    "compute_if_absent": lambda m, key: m.compute_if_absent(key, lambda key: 2),
    "compare_and_set": lambda m, key: m.compare_and_set(key, m.get("value"), 2),
    "compare_and_delete": lambda m, key: m.compare_and_delete(key, m.get("value")),
    "add a float": lambda m, key: m.add(key, 0.5),
    "add a complex": lambda m, key: m.add(key, 1j),
    "update_max": lambda m, key: m.update_max(key, 9),
    "update_min": lambda m, key: m.update_min(key, 0),
    "entry.value": entry_value,
    "update": lambda m, key: m.update({key: 2}),
    "set_many": lambda m, key: m.set_many([key], [2]),
    "get_many": lambda m, key: m.get_many([key]),
    "delete_many": lambda m, key: m.delete_many([key]),
}


@pytest.mark.parametrize("use", ONCE.values(), ids=ONCE)
@pytest.mark.parametrize("value", [1.5, 2], ids=["object", "number"])
@pytest.mark.parametrize("shared", [False, True], ids=["", "while a snapshot lives"])
def test_a_stored_key_is_compared_once(
    make_map: MakeMap, use: Callable[[ShardMap, Key], Any], value: Any, shared: bool
) -> None:
    m = make_map(value=value)
    if value == 2:
        m.add(Key("k"), 2)
    else:
        m[Key("k")] = value
    snapshot = m.snapshot() if shared else None
    Key.compared = 0
    use(m, Key("k"))
    assert Key.compared == 1
    if snapshot is not None:
        assert snapshot["value"] == value


def test_the_very_same_key_is_not_compared_at_all(make_map: MakeMap) -> None:
    key = Key("k")
    for use in ONCE.values():
        m = make_map({key: 1.5, "value": 1.5})
        Key.compared = 0
        use(m, key)
        assert Key.compared == 0


# --- compare_and_set ---


class Answer:
    """Compares to whatever it is told."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __eq__(self, other: object) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    __hash__ = object.__hash__


class NoTruth:
    """What numpy and pandas give: neither true nor false."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __bool__(self) -> bool:
        raise self.error("ambiguous")


@pytest.mark.parametrize("error", [ValueError, TypeError])
def test_values_whose_comparison_has_no_truth_are_equal_only_if_they_are_the_same(
    make_map: MakeMap, error: type[Exception]
) -> None:
    value = Answer(NoTruth(error))
    m = make_map(k=value)
    assert not m.compare_and_set("k", Answer(True), 1) and not m.compare_and_delete("k", 5) and m["k"] is value
    assert m.compare_and_set("k", value, value) and m.compare_and_delete("k", value) and not m


def test_a_comparison_that_raises_reaches_the_caller(make_map: MakeMap) -> None:
    value = Answer(ZeroDivisionError())
    m = make_map(k=value)
    for use in (lambda: m.compare_and_set("k", 1, 2), lambda: m.compare_and_delete("k", 1)):
        with pytest.raises(ZeroDivisionError):
            use()
    assert m["k"] is value


def test_arrays(make_map: MakeMap) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(3)
    m = make_map(k=array)
    assert not m.compare_and_set("k", numpy.arange(3), 1)
    assert m.compare_and_set("k", array, 1) and m["k"] == 1
