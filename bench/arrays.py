"""Compares arrays of integers as keys with the same integers in a list: interleaved rounds, medians of ratios.

    python bench/arrays.py [--rounds 9] [--keys 1000000] [--only get,count,set] [--sizes 1000,100000,1000000]

get      get_many of an int64 array, against get_many of a list of ints. The map's keys are a row (0, 1, 2, ...) or
         sparse (multiples of a large number). The keys of the call are in the map's order, or shuffled. The ints of a
         list are made in the list's order ("fresh"), or in the map's ("shared")
count    count of an int64 array, against count of a list, and against the list that tolist() makes
set      set_many of an int64 array, likewise; the keys are in the map, or new

With numpy if it can be imported, otherwise array.array("q").
"""

from __future__ import annotations

import argparse
import array
import importlib
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from bulk import show
from shardmap import ShardMap

SPARSE = 2654435761


def array_of(numbers: Sequence[int]) -> Any:
    try:
        return importlib.import_module("numpy").array(numbers, dtype="int64")
    except ImportError:
        return array.array("q", numbers)


def seconds(work: Callable[[], object]) -> float:
    """Without the time in which the result is freed."""
    began = time.perf_counter()
    result = work()
    taken = time.perf_counter() - began
    del result
    return taken


def filled(size: int, step: int) -> ShardMap[int, float]:
    m: ShardMap[int, float] = ShardMap()
    for number in range(size):
        m[number * step] = float(number)
    return m


def compare(title: str, rounds: int, count: int, work: Callable[[Any], object], keys: Any, given: list[int]) -> None:
    show(
        title,
        rounds,
        count,
        {
            "array": lambda: seconds(lambda: work(keys)),
            "list": lambda: seconds(lambda: work(given)),
            "tolist()": lambda: seconds(lambda: work(keys.tolist())),
        },
        ["array / list", "array / tolist()"],
    )


def bench_get(rounds: int, size: int, count: int) -> None:
    for step in (1, SPARSE):
        m = filled(size, step)
        for order in ("in order", "shuffled, fresh", "shuffled, shared"):
            numbers = [number % size * step for number in range(count)]
            if order != "in order":
                random.Random(1).shuffle(numbers)
            keys = array_of(numbers)
            given = numbers if order.endswith("shared") else keys.tolist()
            assert m.get_many(keys) == m.get_many(given)
            title = f"get_many: {count:,} keys of {size:,}, {'a row' if step == 1 else 'sparse'}, {order}"
            compare(title, rounds, count, m.get_many, keys, given)


def bench_count(rounds: int, size: int, count: int) -> None:
    keys = array_of(random.Random(1).choices(range(size), k=count))
    m: ShardMap[int, int] = ShardMap()
    compare(f"count: {count:,} elements of {size:,}", rounds, count, m.count, keys, keys.tolist())


def bench_set(rounds: int, size: int, count: int) -> None:
    keys = array_of([number % size for number in range(count)])
    values = [1.0] * count
    m = filled(size, 1)

    def overwrite(these: Any) -> None:
        m.set_many(these, values)

    def fill(these: Any) -> ShardMap[int, float]:
        new: ShardMap[int, float] = ShardMap()
        new.set_many(these, values)
        return new

    for title, work in (("all are in the map", overwrite), ("into an empty map", fill)):
        compare(f"set_many: {count:,} keys of {size:,}, {title}", rounds, count, work, keys, keys.tolist())


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--keys", type=int, default=1_000_000, help="of each call")
    parser.add_argument("--sizes", default="1000,100000,1000000", help="entries of the map, with commas")
    parser.add_argument("--only", default="get,count,set", help="with commas")
    options = parser.parse_args()
    gil = "on" if getattr(sys, "_is_gil_enabled", lambda: True)() else "off"
    print(f"Python {sys.version.split()[0]}, GIL {gil}, load {os.getloadavg()[0]:.1f}, {type(array_of([])).__name__}")
    parts = {"get": bench_get, "count": bench_count, "set": bench_set}
    for name in options.only.split(","):
        for size in options.sizes.split(","):
            parts[name](options.rounds, int(size), options.keys)
    return 0


if __name__ == "__main__":
    sys.exit(main())
