"""The program of seed_program.py with a dict and locks. It needs nothing but the standard library.

python examples/seed_program_locks.py
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

THREADS = 10
MAKING = 0.05  # seconds
WORKING = 1.0


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


def with_lock_per_entry(threads: int = THREADS, making: float = MAKING, working: float = WORKING) -> dict[int, int]:
    """The best that a dict and locks do without much code: each value comes with a lock of its own."""
    data: dict[int, tuple[threading.Lock, list[int]]] = {}
    lock = threading.Lock()

    def work(number: int) -> None:
        with lock:
            if number not in data:
                time.sleep(making)
                data[number] = (threading.Lock(), [0])
            entry_lock, value = data[number]
        with entry_lock:
            value[0] += 1
            time.sleep(working)

    run(threads, work)
    return {number: value[0] for number, (_, value) in data.items()}


def run(count: int, work: Callable[[int], None]) -> None:
    # daemon: Ctrl-C ends the program at once
    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    programs = {"a dict, and a lock per entry": with_lock_per_entry, "a dict and one lock": with_one_lock}
    print(f"{THREADS} threads make an entry each ({MAKING:.2f} s) and work on it alone ({WORKING:.2f} s).", flush=True)
    for label, program in programs.items():
        began = time.perf_counter()
        program()
        print(f"    {label:<30} {time.perf_counter() - began:8.3f} s", flush=True)
    print(f"    {'the least possible':<30} {MAKING + WORKING:8.3f} s", flush=True)


if __name__ == "__main__":
    main()
