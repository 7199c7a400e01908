"""A million operations, checked for linearizability (`make stress`)."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from harness.history import (
    ABSENT,
    COMPOUND,
    ONE_BY_ONE,
    READS,
    WRITES,
    by_key,
    one_key,
    overlapping,
    recorded,
    violation,
    whole_map,
)
from harness.keys import HashKey
from harness.threads import meanwhile, switching_often
from shardmap import ShardMap

SECONDS = float(os.environ.get("SHARDMAP_STRESS_SECONDS") or 0)

pytestmark = pytest.mark.skipif(not SECONDS, reason="set SHARDMAP_STRESS_SECONDS, or run `make stress`")

OPERATIONS = 1_000_000
ONE_KEY = (*READS, *WRITES, *COMPOUND)


@pytest.mark.parametrize("shards", [1, 64])
@pytest.mark.parametrize("kind", ["plain", "hostile", "with whole-map operations", "with snapshots"])
def test_a_million_operations_are_linearizable_for_each_key(shards: int, kind: str, capsys: Any) -> None:
    began, checked, overlapped = time.monotonic(), 0, 0
    names = ONE_KEY + (("popitem", "clear", "snapshot", "iterate", "copy") if kind.startswith("with whole") else ())
    keys: list[Any] = [HashKey(i, hashed=i % 2) for i in range(4)] if kind == "hostile" else [1, 2, "three", "four", 5]
    for seed in range(1000):
        m = ShardMap.with_capacity(shards=shards)
        background = [m.snapshot] if kind == "with snapshots" else []
        with switching_often(), meanwhile(*background):
            history = recorded(m, names, keys, threads=3, count=5000, seed=seed, timeout=300)
        for key, operations in by_key(history, keys).items():
            wrong = violation(operations, one_key, ABSENT)
            assert wrong is None, f"seed {seed}, key {key!r}: {wrong}"
        m._check()
        checked += len(history)
        overlapped += overlapping(history)
        if checked >= OPERATIONS // 8 or time.monotonic() > began + SECONDS:
            break
    with capsys.disabled():
        seconds = time.monotonic() - began
        print(f" {checked} operations, {overlapped} at once with another, in {seconds:.0f} s", flush=True)
    if overlapped < checked // 100:
        pytest.skip(ONE_BY_ONE)


@pytest.mark.parametrize("shards", [1, 2, 64])
def test_small_histories_of_whole_map_operations(shards: int) -> None:
    names = ("set", "set", "setdefault", "add", "del", "get", "len", "len", "snapshot", "popitem", "iterate", "clear")
    until = time.monotonic() + SECONDS / 6
    seed = overlapped = 0
    while time.monotonic() < until:
        with switching_often():
            m = ShardMap.with_capacity(shards=shards)
            history = recorded(m, names, (1, 2, "three", "four"), threads=3, count=60, seed=seed)
        overlapped += overlapping(history)
        wrong = violation(history, whole_map, ())
        assert wrong is None, f"seed {seed}: {wrong}"
        seed += 1
    if overlapped < seed:
        pytest.skip(ONE_BY_ONE)
