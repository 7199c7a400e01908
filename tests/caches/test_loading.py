"""Loading: once, for all who ask; never what is stale; and no wait that never ends."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from harness.loads import OVERTAKE, Interrupted, Loader
from harness.threads import run_alike, run_threads
from shardmap import MISSING, ShardCache

pytestmark = pytest.mark.concurrent


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
    assert {str(error) for error in errors} == {"a"}
    assert "a" not in cache
    assert cache.get_or_load("a", str.upper) == "A"


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


class OfMine(Exception):
    __slots__ = ("slot",)

    def __init__(self, text: str, number: int) -> None:
        super().__init__(f"{text} {number}")
        self.number = number
        self.slot = text


def exceptions() -> list[Exception]:
    noted = KeyError("noted")
    noted.add_note("note")
    caused = ValueError(1, 2)
    caused.__cause__ = noted
    return [
        OfMine("text", 5),
        FileNotFoundError(2, "gone", "file.txt"),
        UnicodeDecodeError("utf-8", b"abc", 1, 2, "reason"),
        ImportError("message", name="name", path="path"),
        ExceptionGroup("group", [ValueError(1)]),
        StopIteration(7),
        noted,
        caused,
    ]


@pytest.mark.parametrize("error", exceptions(), ids=lambda error: type(error).__name__)
def test_each_waiter_gets_an_exception_of_its_own_that_says_the_same(error: Exception) -> None:
    cache: ShardCache[str, str] = ShardCache(10)
    loader = Loader(waits=True)

    def fail(key: str) -> str:
        loader(key)
        raise error

    def ask(number: int) -> Exception:
        try:
            cache.get_or_load("a", fail)
        except Exception as raised:
            return raised
        raise AssertionError

    asking = [threading.Thread(target=lambda n=n: got.append(ask(n))) for n in range(4)]
    got: list[Exception] = []
    for thread in asking:
        thread.start()
    assert loader.inside.wait(60)
    time.sleep(0.1)
    loader.go_on.set()
    for thread in asking:
        thread.join(60)
    assert len(got) == 4 and len(set(map(id, got))) == 4
    for each in got:
        assert type(each) is type(error) and each.args == error.args and str(each) == str(error)
        assert {**vars(each)} == vars(error) and each.__cause__ is error.__cause__
        assert repr(each) == repr(error) and each.__traceback__ is not None
        for name in "slot", "filename", "reason", "name", "path", "exceptions", "value":
            assert getattr(each, name, None) == getattr(error, name, None)
