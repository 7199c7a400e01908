"""References are counted right in every operation, what is out of the map dies, cycles through it are collected."""

from __future__ import annotations

import copy
import ctypes
import gc
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from harness.keys import HashKey
from harness.process import resident, run_python
from harness.references import assert_counts_stay
from shardmap import ShardMap, _core
from test_hostile_keys import MINE_ONLY, OPERATIONS, boom, operation

Make = Callable[[], ShardMap]


class Thing:
    """Weakly referable, compared by identity."""

    def __add__(self, other: object) -> Thing:
        return self


class Key(Thing, HashKey):
    """The same with a chosen hash, compared in Python."""


def plain_map(shards: int) -> ShardMap:
    return ShardMap.with_capacity(shards=shards)


# With a map, a key and a value that are counted, and another key equal to the key.
USES: dict[str, Callable[[ShardMap, Any, Any, Any], Any]] = {
    "insert": lambda m, k, v, e: m.__setitem__(k, v),
    "overwrite": lambda m, k, v, e: [m.__setitem__(k, v), m.__setitem__(e, v), m.__setitem__(k, None)],
    "overwrite with the same": lambda m, k, v, e: [m.__setitem__(k, v), m.__setitem__(k, v)],
    "get": lambda m, k, v, e: [m.update({k: v}), m[k], m.get(e), m.get(1, v), k in m, e in m],
    "del": lambda m, k, v, e: [m.update({k: v}), m.__delitem__(e)],
    "pop": lambda m, k, v, e: [m.update({k: v}), m.pop(e), m.pop(k, v), m.pop(e, k)],
    "popitem": lambda m, k, v, e: [m.update({k: v}), m.popitem()],
    "setdefault": lambda m, k, v, e: [m.setdefault(k, v), m.setdefault(e, k), m.setdefault(v)],
    "update from a dict": lambda m, k, v, e: [m.update({k: v}), m.update({e: k, v: k})],
    "update from pairs": lambda m, k, v, e: [m.update([(k, v)]), m.update([[e, k], (v, k)])],
    "update from a map": lambda m, k, v, e: [m.update(ShardMap({k: v})), m.update(ShardMap({e: v}).snapshot())],
    "clear": lambda m, k, v, e: [m.update({k: v, v: k}), m.clear()],
    "grow and shrink": lambda m, k, v, e: [
        m.update({k: v}),
        m.update(dict.fromkeys(range(9000), v)),
        [m.pop(n) for n in range(9000)],
    ],
    "copy": lambda m, k, v, e: [m.update({k: v}), m.copy(), copy.copy(m), m.copy().update({e: k})],
    "copy on write": lambda m, k, v, e: [m.update({k: v, v: k}), m.snapshot(), m.snapshot(), m.clear()],
    "write while shared": lambda m, k, v, e: [
        m.update({k: v, v: k}),
        m.snapshot(),
        m.__setitem__(e, k),
        m.snapshot(),
        m.pop(v),
    ],
    "popitem while shared": lambda m, k, v, e: [m.update({k: v}), m.snapshot(), m.popitem(), m.setdefault(e, v)],
    "iterate": lambda m, k, v, e: [m.update({k: v}), list(m), list(m.items()), list(reversed(m.values()))],
    "iterate half": lambda m, k, v, e: [m.update({k: v, v: k}), next(iter(m.items())), iter(m), next(iter(m))],
    "reduce an iterator": lambda m, k, v, e: [m.update({k: v}), iter(m.items()).__reduce__()],
    "to_dict": lambda m, k, v, e: [m.update({k: v, v: k}), m.to_dict(), m.snapshot().to_dict()],
    "views": lambda m, k, v, e: [m.update({k: v}), m.keys() & {e}, m.items() | {(e, v)}, (e, v) in m.items()],
    "compare": lambda m, k, v, e: [m.update({k: v}), m == {e: v}, m == m.copy(), m == {1: k}, {e: v} == m],
    "or": lambda m, k, v, e: [m.update({k: v}), m | {e: k}, {e: v} | m, m.__ior__({v: k})],
    "fromkeys": lambda m, k, v, e: [ShardMap.fromkeys([k, e, v], v)],
    "add": lambda m, k, v, e: [m.add(k, 1, v), m.add(e, 1), m.add(k, v)],
    "snapshot reads": lambda m, k, v, e: [m.update({k: v}), m.snapshot()[e], m.snapshot().get(1, v), e in m.snapshot()],
    "deepcopy": lambda m, k, v, e: [m.update({1: v}), copy.deepcopy(m)],
    "deepcopy of atoms": lambda m, k, v, e: [m.update({1: 1}), copy.deepcopy(m)],
    "fill": lambda m, k, v, e: [
        m.clear(),
        m.update({**dict.fromkeys(range(100), v), k: v, v: k}),
        ShardMap(m),
        ShardMap.with_capacity(shards=4).update(m),
    ],
    "fill in vain": lambda m, k, v, e: [
        m.clear(),
        m.update({**dict.fromkeys(range(100), v), k: v, HashKey("x", on_hash=lambda: m.update(a=1)): k}),
        m.clear(),
    ],
    "fromkeys of many": lambda m, k, v, e: [
        ShardMap.fromkeys({*range(100), k, v}, v),
        ShardMap.fromkeys({**dict.fromkeys(range(100)), k: v}, e),
        ShardMap.fromkeys([*range(100), k, k, e], v),
        ShardMap.fromkeys(ShardMap.fromkeys([*range(100), k]), v),
    ],
    "union": lambda m, k, v, e: [
        m.update({k: v, "a": k}),
        m | {e: k},
        m | dict.fromkeys(["a", *range(300)], v),
        m | ShardMap(dict.fromkeys(["a", "b"], v)),
        m | ShardMap.with_capacity(shards=2).__ior__({k: e, "a": v}),
        m | m,
        {e: v} | m,
    ],
    "compare maps": lambda m, k, v, e: [
        m.update({k: v, 1: k}),
        m == ShardMap({e: v, 1: k}),
        m == {e: v, 1: k},
        m.snapshot() == ShardMap({e: v, 1: 1}),
        repr(m),
    ],
    "sets of keys": lambda m, k, v, e: [
        m.update({k: v, 1: k}),
        m.keys() & {e: 1}.keys(),
        m.keys() & ShardMap({e: 1}).keys(),
        m.keys() - ShardMap({e: 1}).keys(),
        m.keys() == ShardMap({e: 1, 1: 1}).keys(),
        m.items() & {(e, v)},
        [(e, v)] - m.items(),
        m.items().isdisjoint([(e, v)]),
    ],
    "init again": lambda m, k, v, e: [m.__init__({k: v}), m.__init__({e: k})],  # type: ignore[misc]
}


@pytest.mark.parametrize("name", USES)
@pytest.mark.parametrize("hashed", [None, 3], ids=["by identity", "in Python"])
def test_every_operation_gives_back_each_reference_it_took(shards: int, name: str, hashed: int | None) -> None:
    key: Any = Thing() if hashed is None else Key("k", hashed)
    equal: Any = key if hashed is None else Key("k", hashed)
    value = Thing()

    def work() -> None:
        m = plain_map(shards)
        if hashed is not None:
            m[Key("other", hashed)] = None
        USES[name](m, key, value, equal)
        m._check()

    assert_counts_stay([key, equal, value], work)


@pytest.mark.parametrize("name", [*OPERATIONS, *MINE_ONLY])
def test_operations_that_raise_give_back_each_reference(shards: int, name: str) -> None:
    stored, raising_hash, equal = Key("k", 3), Key("k", 3, on_hash=boom), Key("k", 3)
    value = Thing()
    absent = Key("absent", 3)

    def raising(work: Callable[[], Any]) -> None:
        with suppress(Exception):
            work()

    def work() -> None:
        m = plain_map(shards)
        m[stored] = value
        snapshot = m.snapshot()
        raising(lambda: operation(name)(m, raising_hash))
        raising(lambda: operation(name)(m, []))
        stored.on_eq = boom
        raising(lambda: operation(name)(m, equal))
        raising(lambda: operation(name)(m, absent))
        stored.on_eq = None
        raising(lambda: operation(name)(m, absent))
        assert m[stored] is value
        assert snapshot[stored] is value

    assert_counts_stay([stored, raising_hash, equal, absent, value], work)


@pytest.mark.parametrize(
    "source",
    [
        lambda k, v: [(k, v), 5],
        lambda k, v: [(k, v), (k, v, v)],
        lambda k, v: [(k, v), ([], v)],
        lambda k, v: {k: v, Key("x", on_hash=None): v}.items(),
        lambda k, v: iter([(k, v), [k]]),
    ],
)
def test_updates_that_break_off_give_back_each_reference(shards: int, source: Callable[..., Any]) -> None:
    key, value = Key("k", 3), Thing()

    def work() -> None:
        m = plain_map(shards)
        try:
            m.update(source(key, value))
        except (TypeError, ValueError):
            assert m[key] is value

    assert_counts_stay([key, value], work)


REMOVALS: dict[str, Callable[[ShardMap], Any]] = {
    "del": lambda m: m.__delitem__("k"),
    "pop": lambda m: m.pop("k") and None,
    "popitem": lambda m: m.popitem() and None,
    "overwrite": lambda m: m.__setitem__("k", None),
    "update": lambda m: m.update(k=None),
    "clear": lambda m: m.clear(),
    "add": lambda m: m.add("k", "") and None,
}


@pytest.mark.parametrize("name", REMOVALS)
def test_a_value_dies_at_once_when_it_is_out_of_the_map(shards: int, name: str) -> None:
    class Text(str):
        pass

    m = plain_map(shards)
    m["k"] = Text("text")
    value = weakref.ref(m["k"])
    REMOVALS[name](m)
    assert value() is None


def test_keys_and_values_die_with_their_map_and_not_before(shards: int) -> None:
    m = plain_map(shards)
    things = [Thing() for _ in range(200)]
    references = [weakref.ref(thing) for thing in things]
    m.update(zip(things[::2], things[1::2], strict=True))
    del things
    other, snapshot, iterator = m.copy(), m.snapshot(), iter(m.values())
    m.clear()
    del m
    assert all(reference() for reference in references)
    del other, snapshot
    assert all(reference() for reference in references)
    next(iterator)
    del iterator
    assert not any(reference() for reference in references)


def test_keys_die_when_they_are_removed(shards: int) -> None:
    m = plain_map(shards)
    for work in (lambda: m.clear(), lambda: m.popitem() and None, lambda: m.pop(next(iter(m)))):
        key = Thing()
        reference = weakref.ref(key)
        m[key] = 1
        del key
        assert reference() is not None
        work()
        assert reference() is None


class Holder(ShardMap):
    """A subclass with attributes."""


CYCLES: dict[str, Callable[[ShardMap], Any]] = {
    "map in itself": lambda m: m.__setitem__("self", m),
    "map as its own value twice": lambda m: m.update(a=m, b=[m]),
    "value refers to map": lambda m: m.__setitem__("k", [m]),
    "key refers to map": lambda m: m.__setitem__(HashKey(m), 1),
    "two maps": lambda m: m.__setitem__("other", ShardMap(back=m)),
    "view": lambda m: m.__setitem__("view", m.items()),
    "snapshot": lambda m: [m.__setitem__("self", m), m.__setitem__("snapshot", m.snapshot())],
    "iterator": lambda m: [m.__setitem__("self", m), m.__setitem__("iterator", iter(m.items()))],
    "iterator that began": lambda m: [m.update(self=m, b=1), m.update(i=iter(m)), next(m["i"])],
    "copy": lambda m: [m.__setitem__("self", m), m.__setitem__("copy", m.copy())],
    "shared tables": lambda m: [m.__setitem__("self", m), m.update(a=m.copy(), b=m.snapshot()), m.update(c=1)],
    "method": lambda m: m.__setitem__("method", m.update),
    "proxy": lambda m: m.__setitem__("proxy", m.keys().mapping),
    "attribute": lambda m: setattr(m, "me", m),
    "generator": lambda m: [m.__setitem__("g", (k for k in m)), next(m["g"]), m.__setitem__("m", m)],
    "finalized value": lambda m: m.update(f=Finalizing(m), self=m),
}


class Finalizing:
    def __init__(self, m: ShardMap) -> None:
        self.m = m

    def __del__(self) -> None:
        self.m["finalized"] = len(self.m)


@pytest.mark.parametrize("name", CYCLES)
def test_cycles_through_a_map_are_collected(shards: int, name: str) -> None:
    m = Holder.with_capacity(shards=shards)
    thing = Thing()
    m.update({n: n for n in range(20)}, thing=thing)
    CYCLES[name](m)
    died = weakref.ref(thing), weakref.ref(m)
    del thing, m
    for _ in range(3):  # a finalizer may give it one more round
        gc.collect()
        if died[0]() is died[1]() is None:
            break
    assert [reference() for reference in died] == [None, None]


def test_a_map_without_cycles_needs_no_collector(shards: int) -> None:
    gc.collect()
    gc.disable()
    try:
        m: Any = Holder.with_capacity(shards=shards)
        m.attribute, m["k"] = Thing(), Thing()
        references = [weakref.ref(m), weakref.ref(m.attribute), weakref.ref(m["k"])]
        list(m.items()), m.snapshot(), repr(m), m.copy(), m == m.copy()
        del m
        assert [reference() for reference in references] == [None] * 3
    finally:
        gc.enable()


def test_the_collector_sees_every_key_and_value_once(shards: int) -> None:
    things = [Thing() for _ in range(100)]
    m = plain_map(shards)
    m.update(zip(things[:50], things[50:], strict=True))
    tables = [table for table in gc.get_referents(m) if type(table).__name__ == "Table"]
    seen = [thing for table in tables for thing in gc.get_referents(table)]
    assert sorted(map(id, seen)) == sorted(map(id, things))
    assert gc.is_tracked(m)


@pytest.mark.parametrize("kind", ["m", "m.snapshot()", "iter(m)", "[m]"])
@pytest.mark.parametrize("collected", [False, True], ids=["by count", "by the collector"])
def test_deeply_nested_maps_die_without_running_out_of_stack(kind: str, collected: bool) -> None:
    run_python(
        f"""
        import gc
        from shardmap import ShardMap, _core
        m = first = ShardMap.with_capacity(shards=1)
        for n in range(50_000):
            outer = ShardMap.with_capacity(shards=1)
            outer["inner"] = {kind}
            m = outer
        if {collected}:
            first["cycle"] = m
        del m, outer, first
        gc.collect()
        """
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_table_that_the_collector_empties_again_and_again_is_freed_whole() -> None:
    """As when what dies in a collection brings the map back to life and fills it."""
    slot_of = ctypes.pythonapi.PyType_GetSlot
    slot_of.restype, slot_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_int]
    tp_clear = 51
    keys = dict.fromkeys(range(20_000))

    def once() -> None:
        m = ShardMap.with_capacity(shards=1)
        for _ in range(4):
            m.update(keys)
            (table,) = [o for o in gc.get_referents(m) if isinstance(o, _core.Table)]
            ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object)(slot_of(type(table), tp_clear))(table)
            assert not list(m)

    once()
    before = resident()
    for _ in range(30):  # of about 2 MB each
        once()
        gc.collect()
    assert resident() - before < 20 * 2**20


def test_a_snapshot_that_finalizers_read_often_is_collected() -> None:
    """What the collector has among its garbage must not begin to defer its reference count there."""
    reads = 5000  # more than it takes for a snapshot that another thread uses

    class Reader:
        snapshot: Any = None
        done = 0

        def __del__(self) -> None:
            for key in range(reads):
                self.snapshot.get(key)
            Reader.done += 1

    def cycle() -> None:
        m = ShardMap.with_capacity(shards=1)
        m["reader"] = reader = Reader()
        reader.snapshot = m.snapshot()

    def tables() -> int:
        gc.collect()
        return sum(type(o) is _core.Table for o in gc.get_objects())

    before = tables()
    for _ in range(3):
        cycle()
    assert tables() <= before
    assert Reader.done == 3
