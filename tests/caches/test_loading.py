"""Loading: once, for all who ask; never what is stale; and no wait that never ends."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from harness.threads import run_alike, run_threads
from shardmap import MISSING, ShardCache, _core


class Loader:
    """Counts its calls, and waits in each until it is let go on."""

    def __init__(self, *, waits: bool = False) -> None:
        self.calls: Counter[Any] = Counter()
        self.inside = threading.Event()
        self.go_on = threading.Event()
        if not waits:
            self.go_on.set()

    def __call__(self, key: Any) -> str:
        self.calls[key] += 1
        self.inside.set()
        assert self.go_on.wait(60)
        return f"value of {key}"


def test_many_threads_load_each_key_once() -> None:
    loader = Loader()
    cache: ShardCache[int, str] = ShardCache(1000, loader=loader)

    def work(number: int) -> None:
        for i in range(200):
            assert cache[i] == cache.get_or_load(i) == f"value of {i}"

    run_alike(8, work)
    assert set(loader.calls.values()) == {1}
    assert cache.stats().loads == 200
    cache._check()


def test_loads_of_other_keys_are_not_delayed() -> None:
    loader = Loader(waits=True)
    cache: ShardCache[str, str] = ShardCache(10)

    def other() -> None:
        assert loader.inside.wait(60)
        assert cache.get_or_load("b", str.upper) == "B"
        assert cache.get("a") is None
        loader.go_on.set()

    assert run_threads(lambda: cache.get_or_load("a", loader), other)[0] == "value of a"


def test_those_who_wait_get_the_exception_and_nothing_is_stored() -> None:
    loader = Loader(waits=True)
    cache: ShardCache[str, str] = ShardCache(10)
    errors: list[BaseException] = []

    def fail(key: str) -> str:
        loader(key)
        raise ValueError(key)

    def first() -> None:
        with pytest.raises(ValueError, match="a") as info:
            cache.get_or_load("a", fail)
        errors.append(info.value)

    def second() -> None:
        assert loader.inside.wait(60)
        threading.Timer(0.05, loader.go_on.set).start()
        with pytest.raises(ValueError, match="a") as info:
            cache.get_or_load("a", str.upper)
        errors.append(info.value)

    run_threads(first, second, second)
    assert len({id(error) for error in errors}) == 1
    assert "a" not in cache
    assert cache.get_or_load("a", str.upper) == "A"


class Interrupted(BaseException):
    pass


def test_what_interrupts_a_loader_interrupts_nobody_else() -> None:
    loader = Loader(waits=True)
    cache: ShardCache[str, str] = ShardCache(10)

    def interrupt(key: str) -> str:
        loader(key)
        raise Interrupted

    def first() -> None:
        with pytest.raises(Interrupted):
            cache.get_or_load("a", interrupt)

    def second() -> None:
        assert loader.inside.wait(60)
        threading.Timer(0.05, loader.go_on.set).start()
        assert cache.get_or_load("a", str.upper) == "A"

    run_threads(first, second)


OVERTAKE: dict[str, tuple[Callable[[ShardCache[str, str]], Any], str | None]] = {
    "invalidate": (lambda cache: cache.invalidate("a"), None),
    "invalidate_all": (lambda cache: cache.invalidate_all(), None),
    "clear": (lambda cache: cache.clear(), None),
    "pop": (lambda cache: cache.pop("a", None), None),
    "set": (lambda cache: cache.__setitem__("a", "new"), "new"),
    "setdefault": (lambda cache: cache.setdefault("a", "new"), "new"),
    "update": (lambda cache: cache.update(a="new"), "new"),
    "set and del": (lambda cache: (cache.__setitem__("a", "new"), cache.__delitem__("a")), None),
}


@pytest.mark.parametrize("how", OVERTAKE)
def test_what_is_being_loaded_is_not_stored_once_it_is_overtaken(how: str) -> None:
    loader = Loader(waits=True)
    cache: ShardCache[str, str] = ShardCache(10)
    overtake, left = OVERTAKE[how]

    def other() -> None:
        assert loader.inside.wait(60)
        overtake(cache)
        assert cache.get("a") == left
        if left is None:  # who asks from now on has it loaded anew
            assert cache.get_or_load("a", str.upper) == "A"
            cache.invalidate("a")
        loader.go_on.set()

    assert run_threads(lambda: cache.get_or_load("a", loader), other)[0] == "value of a"
    assert cache.get("a") == left
    cache._check()


def test_a_loader_that_asks_for_its_own_key_runs_on() -> None:
    cache: ShardCache[str, str] = ShardCache(10)
    depth = 0

    def again(key: str) -> str:
        nonlocal depth
        depth += 1
        return cache.get_or_load(key, again) + "!" if depth < 4 else "end"

    assert cache.get_or_load("a", again) == "end!!!"
    assert cache["a"] == "end!!!"


@pytest.mark.parametrize("number", [2, 3, 5])
def test_loaders_that_ask_for_each_other_s_keys_in_a_ring_run_on(number: int) -> None:
    cache: ShardCache[int, int] = ShardCache(10)
    inside = threading.Barrier(number)
    started = threading.local()

    def load(key: int) -> int:
        if not getattr(started, "yes", False):
            started.yes = True
            inside.wait(60)
            return cache.get_or_load((key + 1) % number, load) + 1
        return 0

    results = run_alike(number, lambda key: cache.get_or_load(key, load))
    assert all(result > 0 for result in results)
    for key in range(number):
        assert key in cache
    cache._check()


def test_a_value_that_is_none_is_one_and_missing_is_not() -> None:
    calls = []
    cache: ShardCache[str, Any] = ShardCache(10)
    for _ in range(3):
        assert cache.get_or_load("a", calls.append) is None
    assert calls == ["a"]
    assert cache.get_or_load("b", lambda key: MISSING) is MISSING
    assert "b" not in cache


# --- Refreshing ---


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_thread_refreshes_while_others_get_the_old_value() -> None:
    clock = Clock()
    loader = Loader(waits=True)
    cache: ShardCache[str, str] = ShardCache(10, refresh_after=10, ttl=100, timer=clock, loader=loader)
    cache["a"] = "old"
    assert cache["a"] == "old"
    clock.now = 10

    def other() -> None:
        assert loader.inside.wait(60)
        for _ in range(3):
            assert cache["a"] == cache.get_or_load("a") == cache.get("a") == "old"
        clock.now = 60  # it takes longer than its interval
        assert cache["a"] == "old"
        loader.go_on.set()

    assert run_threads(lambda: cache["a"], other)[0] == "value of a"
    assert loader.calls["a"] == 1
    assert cache["a"] == "value of a"
    clock.now = 70
    assert cache["a"] == "value of a"
    assert loader.calls["a"] == 2


def test_a_refresh_does_not_keep_an_expired_entry_alive() -> None:
    clock = Clock()
    loader = Loader(waits=True)
    cache: ShardCache[str, str] = ShardCache(10, refresh_after=10, ttl=20, timer=clock, loader=loader)
    cache["a"] = "old"
    clock.now = 10

    def other() -> str:
        assert loader.inside.wait(60)
        clock.now = 20
        assert "a" not in cache
        threading.Timer(0.05, loader.go_on.set).start()
        return cache["a"]  # waits for the refresh

    assert run_threads(lambda: cache["a"], other) == ["value of a"] * 2
    assert loader.calls["a"] == 1


@pytest.mark.parametrize("how", OVERTAKE)
def test_a_refresh_that_is_overtaken_stores_nothing(how: str) -> None:
    clock = Clock()
    loader = Loader(waits=True)
    cache: ShardCache[str, str] = ShardCache(10, refresh_after=10, timer=clock, loader=loader)
    cache["a"] = "old"
    clock.now = 10
    overtake, left = OVERTAKE[how]
    if how == "setdefault":
        left = "old"

    def other() -> None:
        assert loader.inside.wait(60)
        overtake(cache)
        loader.go_on.set()

    run_threads(lambda: cache["a"], other)
    assert cache.get("a") == left


def test_a_refresh_that_fails_is_told_and_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    clock = Clock()
    calls = []

    def fail(key: str) -> str:
        calls.append(clock.now)
        raise ValueError(key)

    cache: ShardCache[str, str] = ShardCache(10, refresh_after=10, timer=clock, loader=fail)
    cache["a"] = "old"
    for clock.now in (10, 11, 19, 20, 21):
        assert cache["a"] == "old"
    assert calls == [10, 20]
    assert [type(each.exc_value) for each in told] == [ValueError] * 2
    assert cache.stats().load_failures == 2


def test_an_executor_refreshes() -> None:
    clock = Clock()
    loader = Loader(waits=True)
    with ThreadPoolExecutor(1) as executor:
        cache: ShardCache[str, str] = ShardCache(10, refresh_after=10, timer=clock, loader=loader, executor=executor)
        cache["a"] = "old"
        clock.now = 10
        for _ in range(5):
            assert cache["a"] == "old"
        loader.go_on.set()
    assert cache["a"] == "value of a"
    assert loader.calls["a"] == 1


class Refusing(Executor):
    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        raise RuntimeError("shut down")


def test_an_executor_that_refuses_leaves_nothing_behind() -> None:
    clock = Clock()
    cache: ShardCache[str, str] = ShardCache(10, refresh_after=10, timer=clock, loader=str.upper, executor=Refusing())
    cache["a"] = "old"
    clock.now = 10
    for _ in range(2):
        with pytest.raises(RuntimeError, match="shut down"):
            cache["a"]
    assert cache.get("a") == "old"
    assert cache.pop("a") == "old"
    assert cache["a"] == "A"


# --- Many keys ---


def test_many_keys_are_loaded_together_each_once() -> None:
    asked: list[list[int]] = []
    cache: ShardCache[int, int] = ShardCache(100)
    cache[1] = -1

    def load(keys: list[int]) -> dict[int, int]:
        asked.append(keys)
        return {key: 10 * key for key in keys if key != 4}

    assert cache.get_many([3, 1, 2, 3, 4], load_many=load) == [30, -1, 20, 30, None]
    assert asked == [[3, 2, 4]]
    assert cache.get_many([2, 3, 5], 0) == [20, 30, 0]
    assert 4 not in cache
    with pytest.raises(TypeError, match="mapping"):
        cache.get_many([7], load_many=lambda keys: keys)  # type: ignore[arg-type, return-value]
    with pytest.raises(ZeroDivisionError):
        cache.get_many([7], load_many=lambda keys: {7: 1 // 0})
    assert cache.get_or_load(7, lambda key: 7) == 7
    with pytest.raises(TypeError, match="unhashable"):
        cache.get_many([8, []], load_many=load)  # type: ignore[list-item]
    assert cache.get_or_load(8, lambda key: 8) == 8


def test_threads_that_load_many_keys_load_each_once() -> None:
    calls: Counter[int] = Counter()
    cache: ShardCache[int, int] = ShardCache(1000)

    def load(keys: list[int]) -> dict[int, int]:
        time.sleep(0.001)
        calls.update(keys)
        return {key: -key for key in keys}

    def work(number: int) -> None:
        for i in range(0, 200, 10):
            keys = list(range(i, i + 20)) if number % 2 else list(range(i + 19, i - 1, -1))
            assert cache.get_many(keys, load_many=load) == [-key for key in keys]

    run_alike(6, work)
    assert set(calls.values()) == {1}


def test_loading_many_may_ask_for_any_of_them() -> None:
    cache: ShardCache[int, int] = ShardCache(10)

    def load(keys: list[int]) -> dict[int, int]:
        return {key: cache.get_or_load(3 - key, lambda key: 7) for key in keys}

    assert cache.get_many([1, 2], load_many=load) == [7, 7]


# --- Coroutines ---


def test_tasks_threads_and_loops_load_once() -> None:
    calls: list[str] = []
    cache: ShardCache[str, str] = ShardCache(10)
    begun = threading.Event()

    async def load(key: str) -> str:
        calls.append(key)
        begun.set()
        await asyncio.sleep(0.1)
        return key.upper()

    async def ask() -> list[str]:
        return await asyncio.gather(*[cache.get_or_load_async("a", load) for _ in range(5)])

    def thread() -> str:
        assert begun.wait(60)
        return cache.get_or_load("a", lambda key: "of a thread")

    results = run_threads(lambda: asyncio.run(ask()), lambda: asyncio.run(ask()), thread)
    assert len(calls) == 1
    assert results == [["A"] * 5, ["A"] * 5, "A"]


def test_who_is_cancelled_cancels_nobody_else() -> None:
    cache: ShardCache[str, str] = ShardCache(10)
    go_on = None

    async def load(key: str) -> str:
        assert go_on is not None
        await go_on.wait()
        return key.upper()

    async def main() -> None:
        nonlocal go_on
        go_on = asyncio.Event()
        tasks = [asyncio.create_task(cache.get_or_load_async("a", load)) for _ in range(3)]
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        tasks[1].cancel()
        await asyncio.sleep(0.01)
        go_on.set()
        assert await tasks[2] == "A"
        assert [task.cancelled() for task in tasks] == [True, True, False]

    asyncio.run(main())
    assert cache["a"] == "A"


def test_coroutines_that_ask_for_each_other_s_keys_run_on_also_over_tasks_they_make() -> None:
    cache: ShardCache[str, str] = ShardCache(10)
    depth = 0

    async def load(key: str) -> str:
        nonlocal depth
        depth += 1
        if depth > 6:
            return "end"
        await asyncio.sleep(0.01)
        other = "b" if key == "a" else "a"
        inner = await asyncio.gather(cache.get_or_load_async(other, load), asyncio.sleep(0))
        return key + inner[0]

    async def main() -> list[str]:
        return await asyncio.wait_for(
            asyncio.gather(cache.get_or_load_async("a", load), cache.get_or_load_async("b", load)), 60
        )

    assert all(asyncio.run(main()))

    async def own(key: str) -> str:
        nonlocal depth
        depth += 1
        return "end" if depth > 10 else await asyncio.create_task(cache.get_or_load_async(key, own)) + "!"

    assert asyncio.run(cache.get_or_load_async("c", own)).endswith("!")


def test_a_coroutine_that_fails_fails_for_all() -> None:
    cache: ShardCache[str, str] = ShardCache(10)

    async def fail(key: str) -> str:
        await asyncio.sleep(0.01)
        raise ValueError(key)

    async def main() -> list[Any]:
        return await asyncio.gather(
            *[cache.get_or_load_async("a", fail) for _ in range(3)], return_exceptions=True
        )

    assert [type(each) for each in asyncio.run(main())] == [ValueError] * 3
    assert "a" not in cache


# --- What runs inside a wait ---


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
