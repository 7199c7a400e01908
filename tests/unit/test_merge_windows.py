"""Maps of several shards that are large enough to be merged by windows (core/merge_window.pyx)."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.machine import splitting
from shardmap import ShardMap, _core

pytestmark = pytest.mark.concurrent

ENTRIES = 20_000

Fill = Callable[[ShardMap], None]


def one_by_one(m: ShardMap) -> None:
    for n in range(ENTRIES):
        m[n * 17] = n


def at_once(m: ShardMap) -> None:
    m.update((n * 17, n) for n in range(ENTRIES))


def into_one_shard_then_others(m: ShardMap) -> None:
    """Long runs of one shard: a window then ends after few entries of the others."""
    shard = m.shard_index(0)
    keys = sorted(range(ENTRIES), key=lambda n: m.shard_index(n) != shard)
    for n in keys:
        m[n] = n


@pytest.fixture(params=[4, 32, 128])
def large_map(request: pytest.FixtureRequest) -> ShardMap:
    return ShardMap.with_capacity(shards=request.param)


@pytest.mark.parametrize("fill", [one_by_one, at_once, into_one_shard_then_others])
@pytest.mark.parametrize("removed", [0.0, 0.3, 0.99])
def test_order_forward_and_backward(large_map: ShardMap, fill: Fill, removed: float) -> None:
    fill(large_map)
    choose = random.Random(3)
    items = []
    for key, value in large_map.to_dict().items():
        if choose.random() < removed:
            del large_map[key]
        else:
            items.append((key, value))
    keys = [key for key, _ in items]
    assert list(large_map) == list(large_map.snapshot()) == keys
    assert list(large_map.items()) == list(large_map.snapshot().items()) == items
    assert list(reversed(large_map)) == list(reversed(large_map.snapshot())) == keys[::-1]
    assert list(reversed(large_map.items())) == items[::-1]
    assert large_map == dict(items) and large_map == large_map.copy()
    assert list(large_map | {-1: -1}) == [*keys, -1]


def test_stamps_from_before_and_after_a_split_are_in_one_order() -> None:
    """Entries from before the first split have their numbers as stamps, later ones the clock's."""
    m = ShardMap()
    for n in range(ENTRIES // 2):
        m[n] = n
    assert _core._split(m, 3)
    for n in range(ENTRIES // 2, ENTRIES):
        m[n] = n
        if n == ENTRIES * 3 // 4:
            assert _core._split(m, 6)
    assert list(m) == list(range(ENTRIES)) and list(reversed(m)) == list(range(ENTRIES))[::-1]
    m._check()


@pytest.mark.parametrize("backward", [False, True])
def test_what_is_written_meanwhile_is_not_seen(large_map: ShardMap, backward: bool) -> None:
    at_once(large_map)
    wanted = list(large_map.items())
    looking: Iterator[Any] = iter(large_map.items())
    if backward:
        wanted.reverse()
        looking = reversed(large_map.items())
    choose = random.Random(5)
    seen = []
    for item in looking:
        seen.append(item)
        key = wanted[choose.randrange(ENTRIES)][0]
        if choose.random() < 0.5:
            large_map.pop(key, None)
        else:
            large_map[key] = "new"
        if len(seen) == ENTRIES // 2:
            with splitting():
                large_map["one more"] = 1
    assert seen == wanted
    large_map._check()


@pytest.mark.parametrize("taken", [0, 1, 1000, ENTRIES - 1, ENTRIES])
def test_a_copy_of_an_iterator_goes_on_from_there(large_map: ShardMap, taken: int) -> None:
    one_by_one(large_map)
    wanted = list(large_map.items())
    looking = iter(large_map.items())
    for _ in range(taken):
        next(looking)
    if taken < ENTRIES:
        large_map[wanted[taken][0]] = "new"
        del large_map[wanted[-1][0]]
    assert list(copy.copy(looking)) == wanted[taken:]
    assert list(looking) == wanted[taken:]
    assert list(copy.copy(looking)) == []
    large_map._check()
