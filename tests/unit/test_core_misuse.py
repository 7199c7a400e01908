"""The core's own classes and functions, used in ways nobody should: an error or no effect, never a crash."""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from harness.process import run_python
from shardmap import ShardMap, Snapshot, _core
from shardmap._core import MapCore, SnapshotCore, SnapshotIterator

pytestmark = pytest.mark.memory

Make = Callable[..., ShardMap]


def test_core_classes_can_be_made_directly() -> None:
    for core in (MapCore(), MapCore.__new__(MapCore), MapCore.__new__(ShardMap, 1, 2, a=3)):
        assert len(core) == 0
        core["a"] = 1
        assert core["a"] == 1
        _core._check(core)
    with pytest.raises(TypeError):
        MapCore.__new__(dict)  # type: ignore[type-var]
    with pytest.raises(TypeError):
        object.__new__(ShardMap)
    with pytest.raises(TypeError):
        pickle.dumps(MapCore(a=1))


def test_init_with_garbage_is_an_error_and_changes_nothing(make_map: Make) -> None:
    m: Any = make_map(a=1)
    for arguments in ((1,), (None,), ({}, {}), ([1],), (object(),), (m, m), (type,), (lambda: 1,)):
        with pytest.raises((TypeError, ValueError)):
            m.__init__(*arguments)
    assert m == {"a": 1}


def test_an_empty_snapshot_works() -> None:
    for snapshot in (Snapshot(), SnapshotCore(), Snapshot.__new__(Snapshot), Snapshot(ShardMap())):
        assert len(snapshot) == 0
        assert list(snapshot) == list(reversed(snapshot)) == []
        assert 1 not in snapshot
        assert snapshot.get(1, 2) == 2
        with pytest.raises(KeyError):
            snapshot[1]
        with pytest.raises(TypeError, match="unhashable"):
            [] in snapshot  # noqa: B015
    assert Snapshot() == {}
    assert repr(Snapshot()) == "Snapshot()"
    assert hash(Snapshot()) == hash(Snapshot())
    assert pickle.loads(pickle.dumps(Snapshot())) == Snapshot()


@pytest.mark.parametrize("source", [{}, [], 1, "text", Snapshot(), object()])
def test_a_snapshot_of_anything_but_a_map_is_a_type_error(source: Any) -> None:
    with pytest.raises(TypeError):
        Snapshot(source)
    with pytest.raises(TypeError):
        Snapshot(ShardMap(), source)  # type: ignore[call-arg]


def test_a_snapshot_s_init_has_no_effect(make_map: Make) -> None:
    snapshot: Any = make_map(a=1).snapshot()
    with suppress(TypeError):
        snapshot.__init__(ShardMap(b=2))
    assert snapshot == {"a": 1}


def test_iterating_over_what_is_no_kind_is_an_error() -> None:
    run_python(
        """
        from itertools import product
        from shardmap import ShardMap
        m = ShardMap(a=object(), b=object())
        for what, source, backward in product([-1, 3, 7, 2**31 - 1], [m, m.snapshot()], [False, True]):
            try:
                made = list(source._iterate(what, backward))
            except (ValueError, TypeError):
                continue
            raise AssertionError(made)
        """
    )


def test_internal_objects_that_the_collector_shows_can_be_touched(make_map: Make) -> None:
    m = make_map(a=1)
    iterator = iter(m)
    for thing in [*gc.get_referents(m), iterator, *gc.get_referents(iterator)]:
        repr(thing)
        hash(thing)
        kind = type(thing)
        if kind.__module__.startswith("shardmap"):
            made: Any = kind()
            gc.get_referents(made)
            repr(made)
            if kind is not SnapshotIterator:
                with pytest.raises(TypeError):
                    next(made)
    assert list(copy.copy(iterator)) == ["a"]
    assert list(type(iterator)()) == []  # type: ignore[call-arg]
    assert m == {"a": 1}


GARBAGE = [
    "_core._make(dict, None, 0)",
    "_core._make(int, 1, 0)",
    "_core._make(MapCore, 'x', 0)",
    "_core._make(MapCore, 1, -1)",
    "_core._make(MapCore, 1.5, 0)",
    "_core._make(MapCore, 1 << 31, 0)",
    "_core._make(MapCore, 1 << 40, 0)",
    "_core._make(MapCore, 1, 1 << 63)",
    "_core._make(MapCore, 1, (1 << 64) - 1)",
    "_core._copy(dict, ShardMap())",
    "_core._copy(ShardMap, {})",
    "_core._copy(ShardMap, None)",
    "_core._check(None)",
    "_core._check({})",
    "_core._memory(None)",
    "_core._shard_states(None)",
    "MapCore._iterate(None, 0)",
    "MapCore.get(None, 0)",
    "MapCore.update({}, a=1)",
    "MapCore.__len__(None)",
    "SnapshotCore.get(ShardMap(), 1)",
    "SnapshotCore(None).__getitem__(1)",
]


def test_internal_functions_refuse_garbage() -> None:
    """In a process of its own, which says what it did last, should it crash."""
    run_python(
        f"""
        from shardmap import ShardMap, _core
        from shardmap._core import MapCore, SnapshotCore
        for call in {GARBAGE}:
            print(call, flush=True)
            try:
                made = eval(call)
            except (TypeError, ValueError, OverflowError, MemoryError, KeyError):
                pass
            else:
                raise AssertionError(f"accepted: {{made}}")
        """
    )
