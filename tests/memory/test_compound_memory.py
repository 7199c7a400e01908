"""Compound operations leak nothing, and without memory change nothing."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest

from harness.keys import HashKey
from harness.threads import run_threads
from shardmap import MISSING, ShardMap
from test_compound import FUNCTIONS, Boom, never

pytestmark = pytest.mark.memory


class Thing:
    """Whose references are counted."""

    def __add__(self, other: object) -> Thing:
        return other if isinstance(other, Thing) else self

    def __lt__(self, other: object) -> bool:
        return True


def raising(m: ShardMap, key: Any, value: Any, name: str) -> None:
    held = [key, value]

    def function(*_: Any) -> Any:
        raise Boom(held)

    with contextlib.suppress(Boom):
        FUNCTIONS[name](m, key, function)


USES: dict[str, Callable[[ShardMap, Any, Any, Any], Any]] = {
    "compute": lambda m, k, v, e: [
        m.compute(k, lambda *_: v),
        m.compute(e, lambda *_: k),
        m.compute(k, lambda *_: MISSING),
    ],
    "compute_if_absent": lambda m, k, v, e: [m.compute_if_absent(x, lambda *_: v) for x in (k, e, k)],
    "compute_if_present": lambda m, k, v, e: [
        m.compute_if_present(k, never),
        m.update({k: v}),
        m.compute_if_present(e, lambda *_: e),
        m.compute_if_present(e, lambda *_: MISSING),
    ],
    "merge": lambda m, k, v, e: [m.merge(x, v, lambda old, new: k) for x in (k, e, k)],
    "exchange": lambda m, k, v, e: [m.exchange(k, v), m.exchange(e, k), m.exchange(e, k)],
    "exchange numbers": lambda m, k, v, e: [m.add(k, 5000), m.exchange(e, v), m.pop(k), m.add(e, 5000), m.pop(k)],
    "replace": lambda m, k, v, e: [m.replace(k, v), m.update({k: v}), m.replace(e, k)],
    "compare_and_set": lambda m, k, v, e: [
        m.compare_and_set(k, MISSING, v),
        m.compare_and_set(k, k, v),
        m.compare_and_set(e, v, e),
        m.compare_and_set(e, e, MISSING),
    ],
    "compare_and_delete": lambda m, k, v, e: [m.update({k: v}), m.compare_and_delete(e, 1), m.compare_and_delete(e, v)],
    "add": lambda m, k, v, e: [m.add(k, v, v), m.add(e, v), m.add(k, v), m.pop(e), m.add(k, 1.5), m.add(e, 2.5)],
    "update_max": lambda m, k, v, e: [m.update_max(k, v), m.update_max(e, v), m.update_min(k, Thing())],
    "retain": lambda m, k, v, e: [m.update({k: v}), m.retain(lambda *_: True), m.retain(lambda *_: False)],
    "lock": lambda m, k, v, e: [
        m.lock(k).__enter__().set(v),
        m.lock(e).__enter__().get(k),
        m.lock(k).__enter__().delete(),
    ],
    "lock_many": lambda m, k, v, e: m.lock_many([k, e, v]).__enter__(),
    **{f"{n} raising": (lambda m, k, v, e, n=n: [m.update({e: v}), raising(m, k, v, n)]) for n in FUNCTIONS},
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("numbered", [False, True], ids=["by identity", "by eq"])
def test_nothing_leaks(use: Callable[..., Any], numbered: bool) -> None:
    key: Any = HashKey("k") if numbered else Thing()
    equal: Any = HashKey("k") if numbered else key
    value = Thing()

    def counts() -> list[int]:
        gc.collect()
        return [sys.getrefcount(each) for each in (key, equal, value, never)]

    def once() -> None:
        m = ShardMap.with_capacity(shards=1)
        for shared in (False, True):
            snapshot = m.snapshot() if shared else None
            use(m, key, value, equal)
            del snapshot
            m.clear()

    once()
    before = counts()
    for _ in range(10):
        once()
    assert counts() == before


FAILING: dict[str, Callable[[ShardMap, Any], Any]] = {
    "compute": lambda m, k: m.compute(k, lambda *_: 5),
    "compute away": lambda m, k: m.compute(k, lambda *_: MISSING),
    "compute_if_absent": lambda m, k: m.compute_if_absent(k, lambda *_: 5),
    "compute_if_present": lambda m, k: m.compute_if_present(k, lambda *_: 5),
    "merge": lambda m, k: m.merge(k, 5, lambda *_: 5),
    "exchange": lambda m, k: m.exchange(k, 5),
    "replace": lambda m, k: m.replace(k, 5),
    "compare_and_set": lambda m, k: m.compare_and_set(k, m.get(k, MISSING), 5),
    "compare_and_delete": lambda m, k: m.compare_and_delete(k, m.get(k, MISSING)),
    "add": lambda m, k: m.add(k, 1),
    "add a float": lambda m, k: m.add(k, 0.5),
    "add by Python": lambda m, k: m.add(k, 1j),
    "update_max": lambda m, k: m.update_max(k, 100),
    "update_min": lambda m, k: m.update_min(k, -100),
    "lock": lambda m, k: m.lock(k).__enter__().__exit__(),
    "lock_many": lambda m, k: m.lock_many([k, "a", "b"]).__enter__(),
}


@pytest.mark.parametrize("use", FAILING.values(), ids=FAILING)
@pytest.mark.parametrize("key", ["k", "new", HashKey("k"), HashKey("new")], ids=repr)
@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
def test_without_memory_nothing_is_changed(
    use: Callable[..., Any], key: Any, shared: bool, failing: Callable[[int], None]
) -> None:
    succeeded = False
    for nth in range(1, 30):
        m = ShardMap.with_capacity(shards=1)
        m.add("k", 7)
        m[HashKey("k")] = 8
        while m.stats().size < m.stats().capacity:  # full: the next one makes it grow
            m[len(m)] = len(m)
        snapshot = m.snapshot() if shared else None
        before = list(m.items())
        failing(nth)
        try:
            use(m, key)
            succeeded = True
        except MemoryError:
            failing(0)
            assert list(m.items()) == before
        failing(0)
        m._check()
        assert snapshot is None or list(snapshot.items()) == before
        run_threads(lambda: m.lock_many(["k", "new", key, "a", "b"], timeout=0).__enter__())
        if succeeded:
            break
    assert succeeded
