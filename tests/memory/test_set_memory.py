"""ShardSet: references that are given back, and memory that runs out at every possible place."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from harness.keys import HashKey
from harness.references import assert_counted, assert_counts_stay, counted
from shardmap import SetSnapshot, ShardSet
from test_allocation_failure import fail_each_allocation


class Element(HashKey):
    """Whose references are counted."""


NEW, OLD = Element("new", 1), Element("old", 1)

CHANGES: dict[str, Callable[[ShardSet[Any]], Any]] = {
    "add": lambda s: s.add(NEW),
    "add there": lambda s: s.add(OLD),
    "discard": lambda s: s.discard(OLD),
    "remove": lambda s: s.remove(OLD),
    "pop": lambda s: s.pop(),
    "clear": lambda s: s.clear(),
}
OF_MANY: dict[str, Callable[[ShardSet[Any]], Any]] = {
    "add_many": lambda s: s.add_many([NEW, OLD, NEW, 5]),
    "discard_many": lambda s: s.discard_many([NEW, OLD, OLD]),
    "update": lambda s: s.update([NEW], {OLD, 3}, ShardSet([NEW, OLD])),
    "intersection_update": lambda s: s.intersection_update([NEW, OLD], {OLD}),
    "difference_update": lambda s: s.difference_update([NEW, OLD]),
    "symmetric_difference_update": lambda s: s.symmetric_difference_update([NEW, OLD]),
    "in place": lambda s: [s.__ior__({NEW}), s.__iand__({NEW, OLD}), s.__isub__({NEW}), s.__ixor__({NEW})],
    "init": lambda s: s.__init__([NEW, OLD]),  # type: ignore[misc]
}
READING: dict[str, Callable[[ShardSet[Any]], Any]] = {
    "in": lambda s: (NEW in s, OLD in s),
    "contains_many": lambda s: s.contains_many([NEW, OLD]),
    "iterate": lambda s: list(s),
    "copy": lambda s: [s.copy(), copy.copy(s)],
    "snapshot": lambda s: [s.snapshot(), hash(s.snapshot()), s.snapshot().thaw(), SetSnapshot(s)],
    "algebra": lambda s: [s | {NEW}, s & {OLD}, s - {OLD}, s ^ {NEW, OLD}, {NEW} | s, s.snapshot() - s],
    "methods": lambda s: [s.union([NEW]), s.intersection([OLD]), s.difference([OLD]), s.symmetric_difference([NEW])],
    "compare": lambda s: [s == {OLD}, s < {NEW, OLD}, s.issubset([OLD]), s.issuperset([OLD]), s.isdisjoint([NEW])],
    "repr": lambda s: repr(s),
    "reduce": lambda s: s.__reduce__(),
    "pickle": lambda s: pickle.loads(pickle.dumps(ShardSet(range(5)))),
    "getsizeof": lambda s: sys.getsizeof(s),
}


def filled(shards: int) -> ShardSet[Any]:
    s: ShardSet[Any] = ShardSet.with_capacity(shards=shards)
    s.update(range(90), [OLD])
    return s


@pytest.mark.parametrize("name", [*CHANGES, *OF_MANY, *READING])
def test_every_operation_gives_back_each_reference_it_took(shards: int, name: str) -> None:
    work = (CHANGES | OF_MANY | READING)[name]

    def run() -> None:
        s = filled(shards)
        snapshot = s.snapshot()
        work(s)
        with suppress(TypeError):
            work(s.__class__([[]]))
        s._check()
        assert len(snapshot) == 91

    assert_counts_stay([NEW, OLD], run)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", [*CHANGES, *READING])
@pytest.mark.usefixtures("failing")
def test_an_operation_without_memory_leaves_the_set_as_it_was(shards: int, name: str, shared: bool) -> None:
    start = counted([NEW, OLD])
    work = (CHANGES | READING)[name]
    state: dict[str, Any] = {}

    def prepare() -> None:
        state["s"] = filled(shards)
        state["before"] = list(state["s"])
        state["snapshot"] = state["s"].snapshot() if shared else None

    prepare()
    for raised in fail_each_allocation(lambda: work(state["s"])):
        state["s"]._check()
        if raised or name in READING:
            assert list(state["s"]) == state["before"]
        if shared:
            assert list(state["snapshot"]) == state["before"]
        if not raised:
            prepare()
    state.clear()
    assert_counted([NEW, OLD], start)


@pytest.mark.parametrize("name", OF_MANY)
@pytest.mark.usefixtures("failing")
def test_many_elements_without_memory_leave_a_whole_set(shards: int, name: str) -> None:
    start = counted([NEW, OLD])
    s = filled(shards)
    for _raised in fail_each_allocation(lambda: OF_MANY[name](s)):  # noqa: F821
        s._check()
        assert len(set(s)) == len(s) <= 94
        s = filled(shards)
    del s
    assert_counted([NEW, OLD], start)
