"""A million operations, checked for linearizability (`make stress`)."""

from __future__ import annotations

import os
import random
import time
from typing import Any

import pytest

from harness import history as history_module
from harness.history import ABSENT, Operation, Recorder, by_key, one_key, overlapping, violation, whole_map
from harness.keys import HashKey
from harness.threads import meanwhile, run_alike, switching_often
from shardmap import ShardMap

SECONDS = float(os.environ.get("SHARDMAP_STRESS_SECONDS") or 0)

pytestmark = pytest.mark.skipif(not SECONDS, reason="set SHARDMAP_STRESS_SECONDS, or run `make stress`")

OPERATIONS = 1_000_000
ONE_BY_ONE = "the machine, too busy, ran the threads one after the other: their histories show nothing"
COMPOUND = tuple(name for name in history_module.COMPOUND if not name.startswith("compare_"))
ONE_KEY = ("[]", "get", "in", "set", "del", "pop", "setdefault", "add", *COMPOUND)


def history_of(m: ShardMap, names: tuple[str, ...], keys: Any, threads: int, count: int, seed: int) -> list[Operation]:
    ready: list[int] = []

    def work(number: int) -> list[Operation]:
        choices = random.Random(f"{seed} {number}")
        record = Recorder(m)
        ready.append(number)
        while len(ready) < threads:  # a barrier would let the first be done before the last has woken up
            pass
        for i in range(count):
            name = choices.choice(names)
            if name in ("set", "setdefault", *COMPOUND):
                record(name, choices.choice(keys), i * threads + number)
            elif name == "add":
                record(name, choices.choice(keys), 1_000_000_007)
            elif name in ONE_KEY:
                record(name, choices.choice(keys))
            else:
                record(name)
        return record.operations

    return [o for operations in run_alike(threads, work, timeout=300) for o in operations]


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
            history = history_of(m, names, keys, threads=3, count=5000, seed=seed)
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
            history = history_of(m, names, (1, 2, "three", "four"), threads=3, count=60, seed=seed)
        overlapped += overlapping(history)
        wrong = violation(history, whole_map, ())
        assert wrong is None, f"seed {seed}: {wrong}"
        seed += 1
    if overlapped < seed:
        pytest.skip(ONE_BY_ONE)
