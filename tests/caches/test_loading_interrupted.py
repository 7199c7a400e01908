"""What runs in the middle of loads and waits for them: handlers of signals, forks."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from harness.loads import Interrupted, Loader
from shardmap import ShardCache, _core


@pytest.fixture
def alarms() -> Iterator[list[Callable[[], None]]]:
    """Functions that a signal's handler calls, twenty times a second."""
    if not hasattr(signal, "setitimer"):
        pytest.skip("this system has no timers that signal")
    todo: list[Callable[[], None]] = []
    before = signal.signal(signal.SIGALRM, lambda *_: [function() for function in todo] and None)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    yield todo
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_handlers_may_load_what_is_waited_for_and_what_is_loaded(alarms: list[Callable[[], None]]) -> None:
    cache: ShardCache[str, str] = ShardCache(10)
    seen: list[str] = []
    inside = threading.Event()

    def slow(key: str) -> str:
        inside.set()
        time.sleep(0.3)
        return key.upper()

    other = threading.Thread(target=lambda: cache.get_or_load("b", slow))

    def load(key: str) -> str:
        other.start()
        assert inside.wait(60)
        alarms.append(lambda: seen.append(cache.get_or_load("a", lambda key: "handler's")))
        return cache.get_or_load("b", str.lower) + key

    assert cache.get_or_load("a", load) == "Ba"
    alarms.clear()
    other.join(60)
    assert seen
    assert set(seen) == {"handler's"}
    assert cache["a"] == "Ba"


def test_a_handler_may_end_a_wait(alarms: list[Callable[[], None]]) -> None:
    loader = Loader(waits=True)
    cache: ShardCache[str, str] = ShardCache(10)
    other = threading.Thread(target=lambda: cache.get_or_load("a", loader))
    other.start()
    assert loader.inside.wait(60)

    def interrupt() -> None:
        raise Interrupted

    alarms.append(interrupt)
    with pytest.raises(Interrupted):
        cache.get_or_load("a", str.upper)
    alarms.clear()
    loader.go_on.set()
    other.join(60)
    assert cache["a"] == "value of a"


def test_a_handler_that_raises_anywhere_leaves_the_thread_in_the_middle_of_no_load() -> None:
    if not hasattr(signal, "setitimer"):
        pytest.skip("this system has no timers that signal")
    cache: ShardCache[int, int] = ShardCache(8)
    end = time.monotonic() + 2
    armed = False
    raised = 0

    def load_many(keys: Iterable[int]) -> dict[int, int]:
        return {key: sum(range(20)) for key in keys}

    def load_some(number: int) -> None:
        key = number % 12
        cache.get_many([key, key + 1, key + 2], load_many=load_many)
        cache.get_or_load(key, lambda key: sum(range(20)))
        cache.invalidate(key)

    def load_beside() -> None:
        for number in itertools.count():
            if time.monotonic() > end:
                return
            load_some(number)

    def interrupt(*_: object) -> None:
        nonlocal armed, raised
        if armed:
            armed = False
            raised += 1
            raise Interrupted

    def load_interrupted() -> None:
        nonlocal armed
        for number in itertools.count():
            if time.monotonic() > end:
                return
            with contextlib.suppress(Interrupted):
                armed = True
                load_some(number)
                armed = False
            assert _core._innermost_load() is None

    others = [threading.Thread(target=load_beside) for _ in range(3)]
    for other in others:
        other.start()
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        load_interrupted()
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        for other in others:
            other.join(60)
    assert raised > 10
    for key in range(14):
        assert cache.get_or_load(key, lambda key: 190) == 190


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_in_a_forked_child_every_key_can_be_loaded() -> None:
    loader = Loader(waits=True)
    cache: ShardCache[str, str] = ShardCache(10)
    other = threading.Thread(target=lambda: cache.get_or_load("a", loader))
    other.start()
    assert loader.inside.wait(60)

    def load(key: str) -> str:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                assert cache.get_or_load("a", str.upper) == "A"
                cache["c"] = "C"
                assert len(cache) == 2
                cache._check()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        return key

    assert cache.get_or_load("b", load) == "b"
    loader.go_on.set()
    other.join(60)
    assert cache["a"] == "value of a"


def test_nothing_is_left_of_a_load() -> None:
    cache: ShardCache[str, object] = ShardCache(10)
    cache.get_or_load("a", lambda key: object())
    with pytest.raises(ZeroDivisionError):
        cache.get_or_load("b", lambda key: 1 // 0)
    cache.invalidate("a")
    gc.collect()
    loads = [each for each in gc.get_objects() if isinstance(each, _core.Load)]
    assert loads == []


def test_code_between_the_loads_of_many_keys_may_ask_for_them() -> None:
    """A key's __hash__, on_remove, a value's __del__ and a lazy mapping all run while loads are under way."""
    asked: list[Any] = []
    cache: ShardCache[Any, Any] = ShardCache(2, on_remove=lambda key, value, cause: ask("a"))

    def ask(key: str) -> None:
        asked.append(cache.get_or_load(key, str.upper))

    class Asking:
        def __hash__(self) -> int:
            ask("a")
            return 1

    class Value:
        def __del__(self) -> None:
            ask("b")

    class Lazy(dict[Any, Any]):
        def get(self, key: Any, default: Any = None) -> Any:
            ask("a")
            return super().get(key, default)

    cache["old"] = Value()
    found = cache.get_many(["a", "b", "c", Asking()], load_many=lambda keys: Lazy.fromkeys(keys, 1))
    assert found[0] in (1, "A")  # the first __hash__ may come before anything is loaded
    assert found[1:] == [1, 1, 1]
    assert set(asked) <= {"A", "B", 1}


def test_a_key_that_raises_leaves_no_load_of_those_before_it() -> None:
    class Raising:
        hashes = 0

        def __hash__(self) -> int:
            Raising.hashes += 1
            if Raising.hashes > 2:
                raise ZeroDivisionError
            return 1

    cache: ShardCache[Any, Any] = ShardCache(10)
    with pytest.raises(ZeroDivisionError):
        cache.get_many(["a", Raising()], load_many=lambda keys: dict.fromkeys(keys, 1))
    assert cache.get_or_load("a", str.upper) == "A"


def test_a_key_that_raises_at_the_end_of_its_load_leaves_nothing_behind() -> None:
    """What compares keys may raise at any step of a load: the next one must find the thread in the middle of none."""

    class Raising:
        def __init__(self, number: int) -> None:
            self.number = number

        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            nonlocal comparisons
            comparisons += 1
            if comparisons % 3 == 0:
                raise ZeroDivisionError
            return isinstance(other, Raising) and self.number == other.number

    comparisons = 0
    cache: ShardCache[Raising, int] = ShardCache(4)

    def load(key: Raising) -> int:
        if key.number % 2:
            return cache.get_or_load(Raising(key.number + 1), load)
        return key.number

    for number in range(300):
        with contextlib.suppress(ZeroDivisionError):
            cache.get_or_load(Raising(number % 7), load)
    gc.collect()
    cache.clear()
    assert cache.get_or_load(Raising(8), load) == 8
