"""Sets and counters that threads share beside the built-in ones, with one thread and with two.

    python bench/sets_and_counters.py [--rounds 7] [--output build/bench]

Of a set: adding new elements (each thread its own, to one set), adding present ones, `in`, discarding. Counting words:
by two threads into one ShardCounter; into one Counter of each thread, merged at the end; into one Counter under a lock,
text by text. Rounds are paired (rounds.py); "loop" is an empty loop, in the same rounds.
"""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from beside import compare_with_threads
from rounds import Calibrated, Region, region
from shardmap import ShardCounter, ShardSet

ELEMENTS = 10_000  # of each thread
MOST_SETS = 40


def elements_of(number: int) -> list[str]:
    return [f"element {number} {each}" for each in range(ELEMENTS)]


MINE = [elements_of(number) for number in range(2)]


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


def of_sets(make: Callable[[], Any], loop: Callable[[Any, list[str]], None], threads: int, fresh: bool) -> Calibrated:
    """`fresh`: each repetition is on a set of its own, empty, or full for what discards."""

    def measure(repetitions: int) -> Region:
        sets = [make() for _ in range(repetitions if fresh else 1)]
        if not fresh or loop is discarding:
            for each in sets:
                for mine in MINE[:threads]:
                    each.update(mine)

        def prepare(number: int) -> Callable[[], int]:
            mine = MINE[number]

            def part() -> int:
                for repetition in range(repetitions):
                    loop(sets[repetition] if fresh else sets[0], mine)
                return repetitions * len(mine)

            return part

        return region(prepare, threads)

    return Calibrated(measure, most=MOST_SETS if fresh else None)


def counting(kind: str, threads: int) -> Calibrated:
    choices = random.Random(3)
    words = [f"word {min(int(choices.paretovariate(0.8)), 20_000)}" for _ in range(200_000)]
    texts = [words[begin : begin + 1000] for begin in range(0, len(words), 1000)]

    def measure(repetitions: int) -> Region:
        shared = ShardCounter[str]() if kind == "ShardCounter" else Counter[str]()
        lock = threading.Lock()

        def prepare(number: int) -> Callable[[], int]:
            def part() -> int:
                own: Counter[str] = Counter()
                for _ in range(repetitions):
                    for text in texts:
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
                return repetitions * len(words)

            return part

        measured = region(prepare, threads)
        if kind != "loop" and sum(shared.values()) != measured.operations:
            raise AssertionError(f"{kind}: {sum(shared.values())} counted, of {measured.operations}")
        return measured

    return Calibrated(measure)


SETS: dict[str, Callable[[], Any]] = {"set": set, "ShardSet": ShardSet}
PARTS: dict[str, tuple[Callable[[Any, list[str]], None], bool]] = {
    "adding new elements": (adding, True),
    "adding elements that are there": (adding, False),
    "in": (looking, False),
    "discarding": (discarding, True),
}
COUNTERS = ["a Counter each, merged", "Counter and a lock", "ShardCounter"]


def main() -> int:
    titles: dict[str, dict[str, Calibrated]] = {}
    for title, (loop, fresh) in PARTS.items():
        titles[title] = {f"loop | {threads}": of_sets(set, nothing, threads, False) for threads in (1, 2)}
        for name, make in SETS.items():
            titles[title] |= {f"{name} | {threads}": of_sets(make, loop, threads, fresh) for threads in (1, 2)}
    compare_with_threads(__doc__, "sets.json", titles, "set")
    counters = {f"{name} | {threads}": counting(name, threads) for name in COUNTERS for threads in (1, 2)}
    return compare_with_threads(__doc__, "counters.json", {"counting words": counters}, COUNTERS[0])


if __name__ == "__main__":
    sys.exit(main())
