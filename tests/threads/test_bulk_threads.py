"""Operations on many keys from many threads, beside everything else."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable
from typing import Any

import pytest

from harness.keys import HashKey
from harness.threads import meanwhile, run_alike
from shardmap import ShardMap

pytestmark = [pytest.mark.concurrent, pytest.mark.usefixtures("many_switches")]

MakeMap = Callable[..., ShardMap]


@pytest.mark.parametrize("size", [40, 2000], ids=["attached", "detached"])
def test_get_many_while_others_grow_clear_and_snapshot(make_map: MakeMap, size: int) -> None:
    stable = {f"stable {n}": [n] for n in range(size // 2)}
    moving = {(n if n % 2 else f"moving {n}"): str(n) for n in range(size // 2)}
    m, cleared = make_map(stable), make_map(moving)
    fresh = itertools.count()

    def grow_and_shrink() -> None:
        keys = [f"ballast {next(fresh)}" for _ in range(500)]
        m.set_many(keys, keys)
        assert m.delete_many(keys) == 500

    def overwrite() -> None:
        for key, value in stable.items():
            m[key] = list(value)
        m.update(stable)

    def clear() -> None:
        cleared.clear()
        cleared.update(moving)

    keys: list[Any] = [key for pair in zip(stable, moving, strict=True) for key in pair]

    def look(number: int) -> None:
        for _ in range(15):
            found = m.get_many(keys, "absent")
            assert found[::2] == list(stable.values()) and set(found[1::2]) == {"absent"}
            assert m.contains_many(keys) == [True, False] * (size // 2)
            for key, value in zip(moving, cleared.get_many(moving, None), strict=True):
                assert value is None or value == moving[key]

    with meanwhile(grow_and_shrink, overwrite, clear, lambda: list(m.snapshot()), lambda: cleared.snapshot()):
        run_alike(2, look)


def test_each_entry_is_popped_once(make_map: MakeMap) -> None:
    m = make_map()
    keys: list[Any] = [*range(300), *map(str, range(300)), *(HashKey(n, n % 5) for n in range(20))]
    for _ in range(5):
        m.set_many(keys, range(len(keys)))
        popped = run_alike(3, lambda number: m.pop_many(keys[number * 100 :] + keys[: number * 100]))
        assert sorted(n for values in popped for n in values if n is not None) == list(range(len(keys)))
        m.set_many(keys, range(len(keys)))
        assert sum(run_alike(3, lambda number: m.delete_many(keys))) == len(keys)


def test_threads_that_store_the_same_keys_leave_one_of_their_values(make_map: MakeMap) -> None:
    m = make_map()
    keys = [n if n % 3 else f"key {n}" for n in range(1500)]

    def store(number: int) -> None:
        for turn in range(4):
            if turn % 2:
                m.update(dict.fromkeys(keys, number))
            else:
                m.set_many(keys, [number] * len(keys))

    with meanwhile(m.snapshot):
        run_alike(3, store)
    assert m.keys() == set(keys) and set(m.values()) <= {0, 1, 2}


def test_keys_come_in_their_threads_order(make_map: MakeMap) -> None:
    m = make_map()

    def store(number: int) -> None:
        for begin in range(0, 1200, 300):
            m.set_many([(number, n) for n in range(begin, begin + 10)], range(10))
            m.update({f"{number} {n}": n for n in range(begin, begin + 150)})
            m.count([f"{number} {n}" for n in range(begin + 150, begin + 300)])
            m[number] = begin

    run_alike(3, store)
    for number in range(3):
        mine = [int(key.split()[1]) for key in m if isinstance(key, str) and key.startswith(f"{number} ")]
        assert mine == list(range(1200))


def test_additions_and_removals_add_up(make_map: MakeMap) -> None:
    m = make_map()
    keys: list[Any] = ["a", 1, b"b", 2.5, *range(10, 60)]

    def work(number: int) -> int:
        taken = 0
        for n in range(40):
            m.add_many(keys, 2)
            m.count(keys)
            if n % 4 == number:
                taken += sum(m.pop_many(keys, 0))
        return taken

    taken = sum(run_alike(3, work))
    assert taken + sum(m.values()) == 3 * 40 * 3 * len(keys)


def test_others_that_hold_a_key_keep_bulk_writes_of_it_waiting(make_map: MakeMap) -> None:
    m = make_map(n=0)
    others = {f"k{n}": 0 for n in range(30)}

    def add_in_steps() -> None:
        with m.lock("n") as entry:
            before = entry.value
            m.get_many(["n", *others])
            entry.value = before + 1

    def work(number: int) -> None:
        for _ in range(60):
            if number:
                m.add_many(["n", *others])
                m.update(others)
            else:
                add_in_steps()

    run_alike(3, work)
    assert m["n"] == 180


def test_a_large_table_grows_while_others_change_it() -> None:
    m = ShardMap.with_capacity(shards=1)
    m.update(dict.fromkeys(range(70_000), 0))
    turns = itertools.count(1)

    def change() -> None:
        turn = next(turns)
        m[7] = m[60_000] = turn
        m[f"new {turn % 50}"] = turn
        m.pop(f"new {turn % 50 - 25}", None)
        m.get_many(range(1000))

    with meanwhile(change):
        m.set_many(range(70_000, 200_000), itertools.chain(range(130_000)))
        m[-1] = None
    assert m[7] == m[60_000] == next(turns) - 1
    assert m.get_many(range(70_000, 200_000)) == list(range(130_000))
    m._check()


@pytest.mark.parametrize("of", [list, lambda keys: array("q", keys)], ids=["list", "array"])
@pytest.mark.parametrize("every", [1, 100])
def test_equal_keys_are_looked_up_in_their_order(of: Callable[[list[int]], Any], every: int) -> None:
    m: ShardMap[int, int] = ShardMap.with_capacity(0, shards=1)
    m.update((n, n) for n in range(2, 200_000 if every > 1 else 3))
    values = itertools.count(1)
    keys = of([1 if place % every == 0 else place * 7919 % 200_000 + 2 for place in range(32_768)])

    def come_and_go() -> None:
        for _ in range(50):
            m[1] = next(values)
            del m[1]

    with meanwhile(come_and_go):
        for _ in range(50):
            last, gone = 0, False
            for value in m.get_many(keys)[::every]:
                if value is not None:
                    assert value > last or (value == last and not gone)
                    last = value
                gone = value is None
