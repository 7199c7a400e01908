"""The program this project began with: ten threads, an entry each.

Each thread makes its entry, which takes 50 ms, and then works on it for one second, alone. In the Rust
original, RwLock<HashMap<K, Mutex<V>>>, threads make their entries one after the other, because making one
holds the lock of the whole map, and whoever has an entry to work on keeps the others from making theirs:
2.7 s. With one lock around a dict everything waits for everything: 10 * (0.05 + 1) = 10.5 s. No program
can take less than one thread takes alone: 1.05 s.

    python examples/seed_program.py          # the map
    python examples/seed_program.py --all    # and beside it a dict with one lock
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable

from shardmap import ShardMap

THREADS = 10
MAKING = 0.05  # seconds
WORKING = 1.0


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


def with_one_lock(threads: int = THREADS, making: float = MAKING, working: float = WORKING) -> dict[int, int]:
    """The same with a dict and a lock."""
    data: dict[int, int] = {}
    lock = threading.Lock()

    def work(number: int) -> None:
        with lock:
            if number not in data:
                time.sleep(making)
                data[number] = 0
        with lock:
            data[number] += 1
            time.sleep(working)

    run(threads, work)
    return data


def run(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def report(name: str, program: Callable[[], dict[int, int]]) -> None:
    began = time.perf_counter()
    result = program()
    took = time.perf_counter() - began
    assert result == dict.fromkeys(range(THREADS), 1), result
    print(f"{name:<22} {took:6.3f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="also a dict with one lock, which takes 10.5 s")
    arguments = parser.parse_args()
    report("ShardMap", with_shardmap)
    if arguments.all:
        report("dict and one lock", with_one_lock)
    print(f"{'the least possible':<22} {MAKING + WORKING:6.3f} s")


if __name__ == "__main__":
    main()
