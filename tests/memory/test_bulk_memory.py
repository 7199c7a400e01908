"""Operations on many keys give back each reference, and survive that memory runs out anywhere."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from harness.keys import HashKey
from harness.references import assert_counted, counted
from shardmap import ShardMap, _core

pytestmark = pytest.mark.memory


class Thing:
    """Whose references are counted."""


class Key(HashKey):
    """The same, compared in Python."""


def stop() -> None:
    raise ArithmeticError


KEYS: list[Any] = [Thing(), Key("a", 3), Key("b", 3), "text that is long", 10**20, Key("a", 3), *range(1000, 1060)]
DIFFERENT = [key for key in KEYS if not (isinstance(key, HashKey) and key.name == "a")]
VALUES: list[Any] = [Thing() for _ in KEYS]
BROKEN: list[Any] = [*KEYS[:20], [], *KEYS[20:]]

WORKS: dict[str, Callable[[ShardMap], Any]] = {
    "get_many": lambda m: m.get_many(KEYS),
    "get_many, few": lambda m: m.get_many(tuple(KEYS[:3]), VALUES[0]),
    "get_many, many": lambda m: m.get_many(iter(KEYS * 20), VALUES[0]),
    "contains_many": lambda m: m.contains_many(KEYS * 10),
    "set_many": lambda m: m.set_many(KEYS, VALUES[::-1]),
    "set_many, iterators": lambda m: m.set_many(iter(KEYS), iter(VALUES)),
    "update": lambda m: m.update(zip(KEYS, VALUES, strict=True)),
    "update from a dict": lambda m: m.update(dict(zip(KEYS, VALUES, strict=True))),
    "update from a list": lambda m: m.update(list(zip(KEYS, VALUES, strict=True))),
    "update from a map": lambda m: m.update(ShardMap(zip(KEYS, VALUES, strict=True))),
    "delete_many": lambda m: m.delete_many(KEYS[::2]),
    "pop_many": lambda m: m.pop_many(KEYS[::2], VALUES[0]),
}
BREAKING: dict[str, Callable[[ShardMap], Any]] = {
    "get_many": lambda m: m.get_many(BROKEN),
    "set_many": lambda m: m.set_many(BROKEN, [*VALUES, None]),
    "set_many, iterators": lambda m: m.set_many(iter(KEYS), iter(VALUES[:30])),
    "set_many, values left": lambda m: m.set_many(iter(KEYS), iter([*VALUES, VALUES[0]])),
    "update from a list": lambda m: m.update([*zip(KEYS, VALUES, strict=True), (1, 2, 3)]),
    "update from pairs": lambda m: m.update([*zip(KEYS, VALUES, strict=True), ([], VALUES[0])] * 2),
    "delete_many": lambda m: m.delete_many(BROKEN),
    "pop_many": lambda m: m.pop_many(BROKEN),
    "add_many": lambda m: m.add_many(KEYS),
    "add_many, objects": lambda m: m.add_many(KEYS, VALUES[0]),
}


COUNTED = [*KEYS[:6], *VALUES]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", [*WORKS, *(f"{name} that breaks off" for name in BREAKING)])
def test_each_reference_is_given_back(shards: int, name: str, shared: bool) -> None:
    work = WORKS.get(name) or BREAKING[name.removesuffix(" that breaks off")]

    def run() -> None:
        m = ShardMap.with_capacity(shards=shards)
        for start in (KEYS[::3], [*KEYS, *range(200)], []):
            m.set_many(start, [VALUES[n % len(VALUES)] for n in range(len(start))])
            snapshot = m.snapshot() if shared else None
            if name in WORKS:
                work(m)
            else:
                with pytest.raises((TypeError, ValueError)):
                    work(m)
            del snapshot
            m._check()
        m.clear()

    run()
    before = counted(COUNTED)
    for _ in range(3):
        run()
    assert_counted(COUNTED, before)


# What each operation makes of a value (None: there is none); those not here change nothing.
AFTER: dict[str, Callable[[int, Any], Any]] = {
    "set_many": lambda n, old: VALUES[-1 - n],
    "set_many, iterators": lambda n, old: VALUES[n],
    "update": lambda n, old: VALUES[n],
    "update from a dict": lambda n, old: VALUES[n],
    "update from a list": lambda n, old: VALUES[n],
    "update from a map": lambda n, old: VALUES[n],
    "delete_many": lambda n, old: old if n % 2 else None,
    "pop_many": lambda n, old: old if n % 2 else None,
    "add_many": lambda n, old: (old or 0) + 1,
    "count": lambda n, old: (old or 0) + 1,
}


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", [*WORKS, "add_many", "count"])
@pytest.mark.usefixtures("failing")
def test_without_memory_each_key_is_done_or_as_it_was(shards: int, name: str, shared: bool) -> None:
    gc.collect()  # what a failed test left behind in its traceback
    before = counted(COUNTED)
    fail_each_allocation(shards, name, shared)
    gc.collect()
    assert counted(COUNTED) == before


def fail_each_allocation(shards: int, name: str, shared: bool) -> None:
    work = WORKS.get(name) or (lambda m: getattr(m, name)(DIFFERENT))
    old = 7 if name in ("add_many", "count") else VALUES[0]
    start = {key: old for n, key in enumerate(KEYS) if n % 3}
    after = AFTER.get(name, lambda n, old: old)
    for nth in itertools.count(1):
        m = ShardMap.with_capacity(shards=shards)
        m.update(start)
        snapshot = m.snapshot() if shared else None
        _core._fail_allocation(nth)
        try:
            work(m)
        except MemoryError:
            failed = True
        else:
            failed = False
        finally:
            _core._fail_allocation(0)
        m._check()
        assert snapshot is None or snapshot == start
        for n, key in enumerate(KEYS):
            if key in DIFFERENT:
                assert m.get(key) == after(n, start.get(key)) or (failed and m.get(key) == start.get(key))
        if not failed:
            assert nth > 1
            return
