"""Compares sets and counters that threads share with the built-in ones, with one thread and with two.

    python bench/sets_and_counters.py [--rounds 7] [--output build/bench]

Sets: adding new elements (the threads add different elements to one set), adding elements that are there, `in`,
discarding. Counting words: two threads count into one ShardCounter; or each into a Counter of its own, merged at the
end; or into one Counter under a lock, text by text. Rounds are paired (rounds.py). "loop" is an empty loop, in the same
rounds.
"""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from beside import compare_with_threads
from rounds import SHORTEST, Calibrated, Region, region
from shardmap import ShardCounter, ShardSet

SMALL, LARGE = 10_000, 500_000  # elements of each thread
WORDS = 200_000


def elements_of(number: int, count: int) -> list[str]:
    return [f"element {number} {each}" for each in range(count)]


Work = tuple[Callable[[Any, list[str]], None], bool, int]  # a loop; whether it changes the set; elements of each thread


def nothing(s: Any, elements: list[str]) -> None:
    for _ in elements:
        pass


def adding(s: Any, elements: list[str]) -> None:
    add = s.add
    for element in elements:
        add(element)


def looking(s: Any, elements: list[str]) -> None:
    for element in elements:
        element in s  # noqa: B015


def discarding(s: Any, elements: list[str]) -> None:
    discard = s.discard
    for element in elements:
        discard(element)


def of_sets(make: Callable[[], Any], work: Work, threads: int) -> Calibrated:
    """Each thread has elements of its own, which it made. If the work changes the set, each repetition uses a new set:
    a full one for discarding, otherwise an empty one."""
    loop, changes, count = work

    def measure(repetitions: int) -> Region:
        sets = [make() for _ in range(repetitions if changes else 1)]
        if loop is discarding or not changes:
            for each in sets:
                for number in range(threads):
                    each.update(elements_of(number, count))

        def prepare(number: int) -> Callable[[], int]:
            mine = elements_of(number, count)

            def part() -> int:
                for repetition in range(repetitions):
                    loop(sets[repetition] if changes else sets[0], mine)
                return repetitions * count

            return part

        return region(prepare, threads)

    return Calibrated(measure, most=2 * LARGE // count if changes else None)


@lru_cache(maxsize=1)
def texts() -> list[list[str]]:
    choices = random.Random(3)
    words = [f"word {min(int(choices.paretovariate(0.8)), 20_000)}" for _ in range(WORDS)]
    return [words[begin : begin + 1000] for begin in range(0, len(words), 1000)]


def counting(kind: str, threads: int, shortest: float = SHORTEST) -> Calibrated:
    given = texts()

    def measure(repetitions: int) -> Region:
        shared = ShardCounter[str]() if kind == "ShardCounter" else Counter[str]()
        lock = threading.Lock()

        def prepare(number: int) -> Callable[[], int]:
            def part() -> int:
                own: Counter[str] = Counter()
                for _ in range(repetitions):
                    for text in given:
                        if kind == "ShardCounter":
                            shared.update(text)
                        elif kind == "a Counter each, merged":
                            own.update(text)
                        elif kind == "Counter and a lock":
                            with lock:
                                shared.update(text)
                    with lock:  # each job has a result
                        shared.update(own)
                        own = Counter()
                return repetitions * WORDS

            return part

        measured = region(prepare, threads)
        if sum(shared.values()) != measured.operations:
            raise AssertionError(f"{kind}: {sum(shared.values())} counted, of {measured.operations}")
        return measured

    return Calibrated(measure, shortest=shortest)


SETS: dict[str, Callable[[], Any]] = {"set": set, "ShardSet": ShardSet}
PARTS: dict[str, Work] = {
    f"adding new elements to an empty set, {LARGE:,} from each thread": (adding, True, LARGE),
    f"adding new elements to an empty set, {SMALL:,} from each thread": (adding, True, SMALL),
    "adding elements that are there": (adding, False, SMALL),
    "in": (looking, False, SMALL),
    f"discarding all elements, {LARGE:,} by each thread": (discarding, True, LARGE),
}
COUNTERS = ["a Counter each, merged", "Counter and a lock", "ShardCounter"]


def main() -> int:
    titles: dict[str, dict[str, Calibrated]] = {}
    for title, work in PARTS.items():
        titles[title] = {f"loop | {threads}": of_sets(set, (nothing, False, SMALL), threads) for threads in (1, 2)}
        for name, make in SETS.items():
            titles[title] |= {f"{name} | {threads}": of_sets(make, work, threads) for threads in (1, 2)}
    compare_with_threads(__doc__, "sets.json", titles, "set")
    counters = {f"{name} | {threads}": counting(name, threads) for name in COUNTERS for threads in (1, 2)}
    return compare_with_threads(__doc__, "counters.json", {"counting words": counters}, COUNTERS[0])


if __name__ == "__main__":
    sys.exit(main())
