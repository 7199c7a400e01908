"""The question this project began with: can threads share a map without locking all of it? Its program, in Python.

Ten threads have an entry each. A thread makes its entry, which takes 50 ms, and then works on it, alone, for one
second. With one lock around a dict every thread waits for every other: 10 * (0.05 + 1) = 10.5 s. With a lock for each
entry, and one for the dict in which they are found, only the making is done one after the other: 10 * 0.05 + 1 = 1.5
s. (The answer in the Rust forum, RwLock<HashMap<K, Mutex<V>>>, took 2.7 s on its author's machine.) No program can
take less than one thread takes alone: 1.05 s. compute_if_absent makes an entry while others are made, and lock(key)
holds it, in two lines.

    python examples/seed_program.py          # the map
    python examples/seed_program.py --all    # and beside it a dict with one lock, and with a lock for each entry

"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import seed_program_locks
from seed_program_locks import MAKING, THREADS, WORKING, run
from shardmap import ShardMap


def with_shardmap(threads: int = THREADS, making: float = MAKING, working: float = WORKING) -> dict[int, int]:
    """compute_if_absent makes an entry while other keys go on; lock(key) holds it while it is worked on."""
    data: ShardMap[int, int] = ShardMap()

    def make(key: int) -> int:
        time.sleep(making)
        return 0

    def work(number: int) -> None:
        data.compute_if_absent(number, make)
        with data.lock(number) as entry:
            entry.value += 1
            time.sleep(working)

    run(threads, work)
    return data.to_dict()


WAYS: dict[str, tuple[str, Callable[[], dict[int, int]]]] = {
    "lock": ("dict and one lock", seed_program_locks.with_one_lock),
    "locks": ("dict, and a lock per entry", seed_program_locks.with_lock_per_entry),
    "shardmap": ("ShardMap", with_shardmap),
}


def measured(way: str) -> dict[str, Any]:
    """What the chart needs of one way. Raises RuntimeError where an entry is wrong."""
    label, program = WAYS[way]
    began = time.perf_counter()
    result = program()
    took = time.perf_counter() - began
    if result != dict.fromkeys(range(THREADS), 1):
        raise RuntimeError(f"{label}: wrong entries: {result}")
    return {"way": way, "label": label, "seconds": took}


def line(row: dict[str, Any]) -> str:
    return f"    {row['label']:<28} {row['seconds']:8.3f} s"


def least() -> dict[str, Any]:
    return {"way": "least", "label": "the least possible", "seconds": MAKING + WORKING}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="also with dicts and locks, which takes 12 s more")
    arguments = parser.parse_args()
    for way in WAYS if arguments.all else ["shardmap"]:
        print(line(measured(way)), flush=True)
    print(line(least()))


if __name__ == "__main__":
    main()
