"""EventualMap and what runs between two steps of a write: signal handlers, finalizers, exceptions of theirs."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import shardmap
from harness.keys import Finalized
from harness.locks import LONG, thread
from harness.steps import Kind, Step, each_step
from harness.threads import run_threads
from shardmap import EventualMap

PACKAGE = str(Path(shardmap.__file__).parent)

Model = dict[str, list[int]]

# Each as it is for the map, and for a model of what it holds.
WRITES: dict[str, tuple[Callable[[EventualMap[str, int]], Any], Callable[[Model], Any]]] = {
    "insert": (lambda m: m.insert("a", 5), lambda d: d.setdefault("a", []).append(5)),
    "update": (lambda m: m.update("a", 6), lambda d: d.update(a=[6])),
    "remove": (lambda m: m.remove("a"), lambda d: bool(d.pop("a", []))),
    "remove_value": (lambda m: m.remove_value("a", 1), lambda d: 1 in d.get("a", []) and d["a"].remove(1) is None),
    "clear": (lambda m: m.clear(), lambda d: d.clear()),
}
STARTS: dict[str, list[tuple[str, int]]] = {"empty": [], "one": [("a", 1)], "some": [("a", 1), ("a", 2), ("b", 3)]}


def started(pairs: list[tuple[str, int]], published: bool) -> EventualMap[str, int]:
    m: EventualMap[str, int] = EventualMap()
    m.extend(pairs)
    if published:
        m.refresh()
    return m


def content(m: EventualMap[str, int]) -> dict[str, tuple[int, ...]]:
    m.refresh()
    return dict(m.reader().items())


def outcome(pairs: list[tuple[str, int]], *writes: str) -> tuple[list[Any], dict[str, tuple[int, ...]]]:
    """Results and content after some writes, one after the other."""
    model: Model = {}
    for key, value in pairs:
        model.setdefault(key, []).append(value)
    results = [WRITES[write][1](model) for write in writes]
    return results, {key: tuple(bag) for key, bag in model.items() if bag}


@pytest.mark.parametrize("published", [False, True], ids=["pending", "published"])
@pytest.mark.parametrize("within", WRITES)
@pytest.mark.parametrize("write", WRITES)
def test_a_write_at_any_instruction_of_a_write_comes_before_or_after_it(
    write: str, within: str, published: bool
) -> None:
    for pairs in STARTS.values():
        before, after = outcome(pairs, within, write), outcome(pairs, write, within)
        allowed = [(before[0][::-1], before[1]), after]

        def nested() -> None:
            results.append(WRITES[within][0](m))
            with suppress(RuntimeError):
                m.refresh()

        for step in each_step(nested, PACKAGE, "instruction"):
            m, results = started(pairs, published), list[Any]()
            results.insert(0, step.during(lambda: WRITES[write][0](m)))
            if step.reached:
                assert (results, content(m)) in allowed
                m._working._check()


@pytest.mark.parametrize("within", WRITES)
def test_a_write_at_any_line_of_a_refresh_is_in_it_or_in_the_next(within: str) -> None:
    for pairs in STARTS.values():
        first, then = outcome(pairs)[1], outcome(pairs, within)

        def nested() -> None:
            results.append(WRITES[within][0](m))

        for step in each_step(nested, PACKAGE):
            m, results = started(pairs, published=False), list[Any]()
            step.during(m.refresh)
            if step.reached:
                assert dict(m.reader().items()) in (first, then[1])
                assert (results, content(m)) == then and len(m._layers) == 1


@pytest.mark.parametrize("write", [*WRITES, "refresh", "extend"])
def test_an_interrupt_at_any_point_leaves_a_map_that_can_be_written_and_refreshed(write: str) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    pairs = STARTS["some"]
    writes: dict[str, Callable[[EventualMap[str, int]], Any]] = {
        **{name: each[0] for name, each in WRITES.items()},
        "refresh": lambda m: m.refresh(),
        "extend": lambda m: m.extend([("a", 7), ("c", 8)]),
    }
    before = outcome(pairs)[1]
    afters = {
        **{name: [outcome(pairs, name)[1]] for name in WRITES},
        "refresh": [before],
        "extend": [{**before, "a": (1, 2, 7)}, {**before, "a": (1, 2, 7), "c": (8,)}],
    }
    for step in each_step(interrupt, PACKAGE, "check"):
        m = started(pairs, published=False)
        with suppress(KeyboardInterrupt):
            step.during(lambda: writes[write](m))
        assert m._depth == 0 and m._writing.acquire(blocking=False)
        m._writing.release()
        assert not m._writing._is_owned()  # type: ignore[attr-defined]
        found = content(m)
        assert found == before or found in afters[write]
        m.insert("later", 1)
        assert content(m) == {**found, "later": (1,)} and len(m._layers) == 1


def test_a_refresh_at_any_line_of_a_write_is_an_error_or_comes_before_or_after_it() -> None:
    errors: list[str] = []

    def nested() -> None:
        try:
            m.refresh()
        except RuntimeError as error:
            errors.append(str(error))

    for write in WRITES:
        for step in each_step(nested, PACKAGE):
            m = started(STARTS["some"], published=False)
            step.during(lambda: WRITES[write][0](m))
            assert content(m) == outcome(STARTS["some"], write)[1]
    assert errors and all("within a write" in error for error in errors)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer")
def test_a_signal_handler_writes_and_refreshes_while_the_main_thread_waits_to_write() -> None:
    m: EventualMap[str, int] = EventualMap()
    in_handler, in_batch, versions = threading.Event(), threading.Event(), list[int]()

    def handle(number: int, frame: Any) -> None:
        in_handler.set()
        m.insert("a", 1)
        versions.append(m.refresh())

    def hold() -> None:
        with m.batch():
            in_batch.set()
            assert in_handler.wait(LONG)
            m.insert("a", 0)

    before = signal.signal(signal.SIGALRM, handle)
    try:
        with thread(hold):
            assert in_batch.wait(LONG)
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            m.insert("a", 2)
        assert in_handler.wait(LONG) and len(versions) == 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert content(m) == {"a": (0, 1, 2)}


def test_finalizers_that_write_while_a_key_is_hashed() -> None:
    m: EventualMap[Any, Any] = EventualMap()
    said: list[str] = []

    def write() -> None:
        m.insert("from the finalizer", 1)
        assert m.remove_value("from the finalizer", 1)
        m.insert("from the finalizer", 2)
        try:
            m.refresh()
        except RuntimeError as error:
            said.append(str(error))

    class Collects(int):
        def __hash__(self) -> int:
            last = Finalized(write)
            last.itself = last  # type: ignore[attr-defined]
            del last
            gc.collect()
            return int(self)

    def work() -> None:
        m.insert(Collects(1), 1)
        m.update(Collects(2), 2)
        assert m.remove(Collects(2)) and not m.remove_value(Collects(3), 1)
        m.refresh()

    run_threads(work)
    m.refresh()
    reader = m.reader()
    assert reader[1] == (1,) and 2 not in reader
    assert set(reader["from the finalizer"]) == {2} and len(reader["from the finalizer"]) == len(said)
    assert all("within a write" in each for each in said)


def test_there_are_steps() -> None:
    """Of the harness: else the tests above would pass for nothing."""
    m = started(STARTS["some"], published=True)
    for write, _ in WRITES.values():
        numbers = []
        kinds: list[Kind] = ["instruction", "line", "check"]
        for kind in kinds:
            step = Step(0, lambda: None, PACKAGE, kind)
            step.during(lambda: write(m))
            numbers.append(step.passed)
        assert numbers[0] > numbers[1] > 0 and numbers[0] > numbers[2] > 0
