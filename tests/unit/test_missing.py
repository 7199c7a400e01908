"""MISSING stands for no value: nothing stores it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shardmap import MISSING, ShardMap

pytestmark = pytest.mark.memory

MakeMap = Callable[..., ShardMap]


def entry_set(m: ShardMap) -> None:
    with m.lock("k") as entry:
        entry.set(MISSING)


def entry_value(m: ShardMap) -> None:
    with m.lock("new") as entry:
        entry.value = MISSING


class Sums:
    def __add__(self, other: Any) -> Any:
        return MISSING


STORES: dict[str, Callable[[ShardMap], Any]] = {
    "set": lambda m: m.__setitem__("k", MISSING),
    "insert": lambda m: m.__setitem__("new", MISSING),
    "setdefault": lambda m: m.setdefault("new", MISSING),
    "setdefault, present": lambda m: m.setdefault("k", MISSING),
    "exchange": lambda m: m.exchange("k", MISSING),
    "replace": lambda m: m.replace("k", MISSING),
    "merge": lambda m: m.merge("new", MISSING, max),
    "merge, present": lambda m: m.merge("k", MISSING, max),
    "update_max": lambda m: m.update_max("new", MISSING),
    "update_min": lambda m: m.update_min("k", MISSING),
    "add": lambda m: m.add("new", 1, Sums()),
    "entry.set": entry_set,
    "entry.value": entry_value,
    "set_many": lambda m: m.set_many(["a", "b"], [1, MISSING]),
    "set_many, tuples": lambda m: m.set_many(("a", "b"), (1, MISSING)),
    "update, keyword": lambda m: m.update(new=MISSING),
    "update from a small dict": lambda m: m.update({"new": MISSING}),
    "update from a dict": lambda m: m.update({**dict.fromkeys(range(100)), "new": MISSING}),
    "|=": lambda m: m.__ior__({"new": MISSING}),
    "fromkeys": lambda m: ShardMap.fromkeys("ab", MISSING),
    "constructor": lambda m: ShardMap(new=MISSING),
}


@pytest.mark.parametrize("store", STORES.values(), ids=STORES)
def test_it_is_a_value_error_and_nothing_is_changed(make_map: MakeMap, store: Callable[[ShardMap], Any]) -> None:
    m = make_map(k=1)
    with pytest.raises(ValueError, match="MISSING"):
        store(m)
    assert m == {"k": 1}


@pytest.mark.parametrize("size", [5, 3000])
@pytest.mark.parametrize("many", ["set_many", "update"])
def test_of_many_that_are_not_known_before_those_before_are_stored(make_map: MakeMap, size: int, many: str) -> None:
    """As where an element raises."""
    m = make_map()

    def values() -> Iterator[Any]:
        yield from range(size - 2)
        yield MISSING
        yield 1

    with pytest.raises(ValueError, match="MISSING"):
        if many == "set_many":
            m.set_many(range(size), values())
        else:
            m.update(list(zip(range(size), values(), strict=True)))
    assert m == {n: n for n in range(size - 2)}


def test_it_may_be_a_key_and_a_default(make_map: MakeMap) -> None:
    m = make_map()
    m[MISSING] = 1
    assert m[MISSING] == 1 and m.get("x", MISSING) is MISSING and m.pop("x", MISSING) is MISSING
    assert m.get_many(["x"], MISSING) == [MISSING] and m.pop_many([MISSING], MISSING) == [1]
