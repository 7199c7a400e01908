"""Maps that several threads fill at once, from nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from harness.keys import HashKey
from harness.threads import meanwhile, run_alike, run_threads
from shardmap import ShardMap

pytestmark = [pytest.mark.concurrent, pytest.mark.usefixtures("many_switches")]

MakeMap = Callable[..., ShardMap]
ROUNDS = 30


@pytest.mark.parametrize("shared", [0, 100], ids=["different keys", "some keys of both"])
def test_two_threads_that_fill_an_empty_map_lose_nothing(make_map: MakeMap, shared: int) -> None:
    sources: list[dict[Any, Any]] = [
        {(n if n < shared else f"{thread} {n}"): thread for n in range(300)} for thread in range(2)
    ]
    for _ in range(ROUNDS):
        m = make_map()
        run_alike(2, lambda thread: m.update(sources[thread]))
        m._check()
        assert m.keys() == sources[0].keys() | sources[1].keys()
        for thread, source in enumerate(sources):
            own = [key for key in m if key in source and m[key] == thread and not isinstance(key, int)]
            assert own == [key for key in source if not isinstance(key, int)]


def test_filling_from_maps_and_dicts_beside_other_writers(make_map: MakeMap) -> None:
    d = {f"key {n}": n for n in range(300)}
    sources = [d, make_map(d), make_map(d).snapshot(), ShardMap.with_capacity(shards=4).__ior__(d)]
    for _ in range(ROUNDS // 3):
        for source in sources:
            m = make_map()
            run_threads(
                lambda: m.update(source),
                lambda: m.__setitem__("mine", 1),
                lambda: m.add("key 7", 0),
                lambda: m.compute("theirs", lambda key, value: 1),
            )
            m._check()
            assert dict(m.items()) == {**d, "mine": 1, "theirs": 1}
            del m["mine"], m["theirs"], m["key 7"]
            assert list(m.items()) == [item for item in d.items() if item[0] != "key 7"]


def test_clear_beside_filling_leaves_a_whole_map(make_map: MakeMap) -> None:
    d = {n: str(n) for n in range(200)}
    m = make_map()

    def fill() -> None:
        m.update(d)
        assert m.items() <= d.items()

    def look() -> None:
        assert 0 <= len(m) <= len(d)
        for snapshot in (m.snapshot(), m.copy(), copy.deepcopy(m), m | {}):
            assert len(snapshot) == len(list(snapshot)) and snapshot == dict(snapshot.items())
        assert repr(m).startswith("ShardMap(")

    with meanwhile(fill, fill, m.clear):
        for _ in range(ROUNDS):
            look()
    m._check()


def test_comparing_and_uniting_maps_that_change(make_map: MakeMap) -> None:
    d = {f"key {n}": n for n in range(200)}
    hostile = {HashKey(n, n % 7): n for n in range(40)}
    m, other = make_map(d), make_map({**d, **hostile})
    m.update(hostile)

    def look() -> None:
        assert (m == other) in (True, False)
        assert (m == dict(d)) is False
        united = m | other
        assert united.keys() >= d.keys() and len(united) >= len(d)
        # The operands are read one after the other, so "changing" may be seen in both of them, or in neither.
        assert (m.keys() & other.keys()) - {"changing"} == d.keys() | hostile.keys()
        assert (m.keys() | other.keys()) - {"changing"} == d.keys() | hostile.keys()
        assert not m.keys() - m.snapshot().keys() - {"changing"}

    def change() -> None:
        for source in (m, other):
            source["changing"] = 1
            for n in range(0, 200, 9):
                source[f"key {n}"] = n
            del source["changing"]

    with meanwhile(change):
        for _ in range(ROUNDS):
            look()
    m._check()
    other._check()
