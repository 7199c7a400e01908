"""What those who wait for a load are given: not what was invalid before they asked; what the loader raised, whole."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from harness.threads import LONG, run_threads
from shardmap import ShardCache

pytestmark = pytest.mark.concurrent


class Stop:
    """Where a thread stops until it is let go."""

    def __init__(self) -> None:
        self.reached, self.may_go_on = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.may_go_on.wait(LONG)


class Key:
    """All of one hash, so that comparisons are places to stop at."""

    at_comparison: dict[str, Callable[[str], None]]

    def __init__(self, name: str) -> None:
        self.name = name

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Key)
        look = self.at_comparison.get(threading.current_thread().name)
        if look is not None:
            look(other.name if self.name == "a" else self.name)
        return self is other


def at(*stops: tuple[str, Callable[[], None] | None]) -> Callable[[str], None]:
    """Stops at comparisons with these keys, one after the other."""
    left = list(stops)

    def look(name: str) -> None:
        if left and left[0][0] == name and (stop := left.pop(0)[1]) is not None:
            stop()

    return look


@pytest.mark.parametrize("remove", [ShardCache.invalidate, lambda cache, key: cache.pop(key)])
def test_who_asks_after_an_invalidation_is_not_given_what_a_load_found_before(remove: Callable[..., Any]) -> None:
    a, b, d = Key("a"), Key("b"), Key("d")
    cache: ShardCache[Key, str] = ShardCache(100)
    source = "old"
    missed, found, overtook, other = Stop(), Stop(), Stop(), Stop()
    Key.at_comparison = {"first": at(("b", missed), ("d", None), ("b", found)), "remover": at(("d", overtook))}
    got: dict[str, Any] = {}

    def start(name: str, work: Callable[[], Any]) -> threading.Thread:
        thread = threading.Thread(target=lambda: got.update({name: work()}), name=name, daemon=True)
        thread.start()
        return thread

    def ask() -> str:
        return cache.get_or_load(a, lambda key: source)

    cache[d] = "d"
    threads = [start("other", lambda: cache.get_or_load(b, lambda key: other() or "b"))]
    assert other.reached.wait(LONG)  # a load of b is under way
    threads.append(start("first", ask))
    assert missed.reached.wait(LONG)  # it has found nothing
    assert ask() == "old"
    source = "new"
    threads.append(start("remover", lambda: remove(cache, a)))
    assert overtook.reached.wait(LONG)  # it has looked for loads, and found none
    missed.may_go_on.set()
    assert found.reached.wait(LONG)  # the first has found the old value, with its load for all to see
    overtook.may_go_on.set()
    threads[-1].join(LONG)
    assert "remover" in got
    threads.append(start("later", ask))
    threads[-1].join(0.2)
    found.may_go_on.set()
    other.may_go_on.set()
    for thread in threads:
        thread.join(LONG)
    assert got["later"] == "new" and got["first"] in ("old", "new")
    cache._check()


@pytest.mark.parametrize("options", [{"weigh": lambda key, value: 1 // 0}, {"ttl": lambda key, value: 1 // 0}])
def test_what_storing_raises_ends_an_asynchronous_load(options: dict[str, Any]) -> None:
    cache: ShardCache[str, str] = ShardCache(10, **options)
    calls: list[str] = []

    async def load(key: str) -> str:
        calls.append(key)
        await asyncio.sleep(0.01)
        return key

    async def ask() -> list[Any]:
        tasks = [cache.get_or_load_async("a", load) for _ in range(3)]
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), LONG)

    assert [type(each) for each in asyncio.run(ask())] == [ZeroDivisionError] * 3
    assert calls == ["a"]


class Gone(Exception):
    __slots__ = ("reason", "unset")

    reason: Any

    def __init__(self, *reasons: Any) -> None:
        self.reason = reasons[0] if reasons else None


class Other(Exception):
    """Makes objects of another class."""

    def __new__(cls, *args: Any) -> Any:
        return object() if args == ("made",) else super().__new__(cls, *args)


def raised_to_all(make: Callable[[], BaseException]) -> list[BaseException]:
    """What four threads get that ask for one load."""
    cache: ShardCache[str, str] = ShardCache(10)
    stop = Stop()

    def load(key: str) -> str:
        stop()
        raise make()

    def ask(number: int) -> BaseException:
        if number:
            assert stop.reached.wait(LONG)
        if number == 3:
            threading.Timer(0.1, stop.may_go_on.set).start()
        with pytest.raises(Exception) as caught:
            cache.get_or_load("a", load)
        return caught.value

    return run_threads(*[lambda number=number: ask(number) for number in range(4)])


def test_a_slot_that_holds_none_is_not_lost() -> None:
    for error in raised_to_all(Gone):
        assert isinstance(error, Gone) and error.reason is None and not hasattr(error, "unset")
    assert [getattr(error, "reason", ...) for error in raised_to_all(lambda: Gone("why"))] == ["why"] * 4


def test_each_has_notes_of_its_own() -> None:
    def make() -> BaseException:
        error = ValueError("wrong")
        error.add_note("of the loader")
        return error

    errors = raised_to_all(make)
    for number, error in enumerate(errors):
        error.add_note(str(number))
    assert [error.__notes__ for error in errors] == [["of the loader", str(n)] for n in range(4)]


def test_fields_of_exceptions_made_in_c_are_as_they_were() -> None:
    for error in raised_to_all(lambda: FileNotFoundError(2, "No such file", "name")):
        assert str(error) == "[Errno 2] No such file: 'name'" and error.filename2 is None  # type: ignore[attr-defined]


def test_what_cannot_be_copied_is_the_same_for_all() -> None:
    made = Other()
    made.args = ("made",)
    assert all(error is made for error in raised_to_all(lambda: made))
