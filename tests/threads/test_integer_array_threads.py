"""Arrays of integers as keys beside writers of the map, of the array, and forks."""

from __future__ import annotations

import array
import os
from collections.abc import Callable
from typing import Any

import pytest

from harness.process import fork_and_wait
from harness.threads import meanwhile, run_alike
from shardmap import ShardMap

pytestmark = pytest.mark.usefixtures("many_switches")

MakeMap = Callable[..., ShardMap]


@pytest.mark.parametrize("size", [100, 6000], ids=["attached", "detached"])
def test_keys_are_found_while_others_grow_clear_and_snapshot(make_map: MakeMap, size: int) -> None:
    stable = {n: [n] for n in range(0, size, 2)}
    moving = {n: str(n) for n in range(1, size, 2)}
    m, cleared = make_map(stable), make_map(moving)
    keys = array.array("q", range(size))

    def grow_and_shrink() -> None:
        ballast = array.array("q", range(10**6, 10**6 + 500))
        m.set_many(ballast, ballast)
        m.delete_many(ballast)

    def overwrite() -> None:
        for key, value in stable.items():
            m[key] = list(value)

    def clear() -> None:
        cleared.clear()
        cleared.update(moving)

    def look(number: int) -> None:
        for _ in range(15):
            found = m.get_many(keys, "absent")
            assert found[::2] == list(stable.values())
            assert set(found[1::2]) == {"absent"}
            assert m.contains_many(keys) == [True, False] * (size // 2)
            for key, value in zip(keys, cleared.get_many(keys), strict=True):
                assert value is None or value == moving[key]

    with meanwhile(grow_and_shrink, overwrite, clear, lambda: list(m.snapshot()), cleared.snapshot):
        run_alike(2, look)


@pytest.mark.parametrize("size", [100, 6000], ids=["attached", "detached"])
def test_each_answer_is_right_for_a_number_that_the_array_had(make_map: MakeMap, size: int) -> None:
    first, second = range(size), range(2**40, 2**40 + size)
    m = make_map({n: n for numbers in (first, second) for n in numbers})
    keys = array.array("q", first)
    view = memoryview(keys)
    both = [memoryview(array.array("q", numbers)) for numbers in (first, second)]
    turns = iter(range(10**9))

    def change() -> None:
        view[:] = both[next(turns) % 2]

    def look(number: int) -> None:
        for _ in range(20):
            for n, found in enumerate(m.get_many(keys)):
                assert found in (n, 2**40 + n)
            assert all(m.contains_many(keys))

    with meanwhile(change):
        run_alike(2, look)


def test_no_count_of_an_array_is_lost(make_map: MakeMap) -> None:
    keys = array.array("I", [n % 700 for n in range(7000)])
    m = make_map()
    run_alike(4, lambda number: m.count(keys))
    assert m == dict.fromkeys(range(700), 40)
    assert {type(key) for key in m} == {int}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_forked_beside_look_ups_finds_everything(make_map: MakeMap) -> None:
    m = make_map({n: n for n in range(6000)})
    keys = array.array("q", range(6000))

    def child() -> None:
        assert m.get_many(keys) == list(keys)
        m.count(keys)
        m._check()

    def look() -> Any:
        assert m.get_many(keys) == list(keys)

    with meanwhile(look, lambda: m.set_many(keys, keys)):
        for _ in range(5):
            fork_and_wait(child)
