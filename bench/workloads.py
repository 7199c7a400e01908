"""The work of the threads on the map, and the check of its contents afterwards.

Each measurement makes a fresh map, fills it in the main thread, times one region (rounds.py) and then checks the map.
The written values are small integers. They are immortal, so that the reference count of a value does not influence the
result. Each thread writes two values in turn, so that no map can skip a write because the value is the same (except
where `unchanged` is set).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from keys import KINDS, PATTERNS, Identity, of_thread, shuffled, zipf
from loops import Lookup, grouped, make_loop, operations
from rounds import Region, region

Draw = Literal["uniform", "zipf", "hot", "ordered"]


class Wrong(Exception):
    """A map does not contain what was stored in it."""


@dataclass(frozen=True)
class Mix:
    """Reads and overwrites of keys that are in the map."""

    reads: int = 100  # per cent
    keys: int = 1_000
    draw: Draw = "uniform"
    disjoint: bool = False  # each thread has keys of its own
    identity: Identity = "equal"
    lookup: Lookup = "global"
    kind: str = "str"
    objects: bool = False  # each value an object of its own, else None
    own: bool = False  # there is one thread, which makes the map, keys and values itself: nothing is shared
    unchanged: bool = False  # writes store what is there

    def __post_init__(self) -> None:
        if self.draw == "hot" and self.keys != 1:
            raise ValueError("one hot key: keys must be 1")

    @property
    def name(self) -> str:
        parts = [f"reads={self.reads}", f"keys={self.keys}", self.kind, self.draw, self.identity, self.lookup]
        flags = ("disjoint", "objects", "own", "unchanged")
        return " ".join(parts + [flag for flag in flags if getattr(self, flag)])

    def measure(self, make: Callable[[], Any], threads: int, repetitions: int) -> Region:
        if self.own and threads != 1:
            raise ValueError("a map of one thread's own is measured with one thread")
        keys = all_keys(self.kind, self.keys)
        loop, place = make_loop(self.reads, self.lookup)
        filled: list[tuple[Any, list[Any]]] = []

        def fill() -> tuple[Any, list[Any]]:
            m = make()
            values: list[Any] = [object() if self.objects else None for _ in keys]
            mine = of_thread(keys, "interned" if self.identity == "interned" else "equal" if self.own else "same")
            for key, value in zip(mine, values, strict=True):
                m[key] = value
            filled.append((m, values))
            return m, mine

        def prepare(number: int) -> Callable[[], int]:
            m, stored = fill() if self.own else shared
            mine = stored[number::threads] if self.disjoint else stored
            order = _order(self.draw, len(mine), number)
            mine = of_thread(mine, self.identity)
            # A list repeats the keys if they are few, so that the outer loop costs nothing.
            groups = grouped([mine[at] for at in order] * max(1, 1_000 // len(order)), self.reads)
            values: tuple[Any, Any] = (None, None) if self.unchanged else (2 * number, 2 * number + 1)
            place(m)

            def part() -> int:
                loop(m, groups, values, repetitions)
                return operations(groups, self.reads) * repetitions

            return part

        if not self.own:
            shared = fill()
        try:
            measured = region(prepare, threads)
        finally:
            place(None)
        self.check(*filled[0], threads)
        return measured

    def check(self, m: Any, values: list[Any], threads: int) -> None:
        written = set(range(2 * threads)) if self.reads < 100 else set()
        for key, value in zip(all_keys(self.kind, self.keys), values, strict=True):
            found = m[key]
            if found is not value and found not in written:
                raise Wrong(f"{self.name}: {type(m).__name__} holds {found!r} for {key!r}")
        check_length(m, self.keys, self.name)


@dataclass(frozen=True)
class Insert:
    """Inserts into an empty map. Each thread inserts its share of the keys, which it made itself."""

    keys: int = 1_000_000
    lookup: Lookup = "global"
    kind: str = "str"

    most = 1  # repetitions: a second pass would be overwriting

    @property
    def name(self) -> str:
        return f"insert keys={self.keys} {self.kind} {self.lookup}"

    def measure(self, make: Callable[[], Any], threads: int, repetitions: int) -> Region:
        keys = all_keys(self.kind, self.keys)
        loop, place = make_loop(0, self.lookup)
        m = make()
        place(m)

        def prepare(number: int) -> Callable[[], int]:
            mine = of_thread(keys[number::threads], "equal")

            def part() -> int:
                loop(m, mine, (2 * number, 2 * number), 1)
                return len(mine)

            return part

        try:
            measured = region(prepare, threads)
        finally:
            place(None)
        for number in range(threads):
            for key in keys[number::threads]:
                if m[key] != 2 * number:
                    raise Wrong(f"{self.name}: {type(m).__name__} holds {m[key]!r} for {key!r}")
        check_length(m, self.keys, self.name)
        return measured


@dataclass(frozen=True)
class Iterate:
    """Iterates over all items. If the map promises insertion order, the order is checked."""

    keys: int = 1_000_000
    in_order: bool = True

    @property
    def name(self) -> str:
        return f"iterate keys={self.keys}"

    def measure(self, make: Callable[[], Any], threads: int, repetitions: int) -> Region:
        keys = all_keys("str", self.keys)

        def prepare(number: int) -> Callable[[], int]:
            m = make()
            for at, key in enumerate(keys):
                m[key] = at
            if self.in_order and [at for _, at in m.items()] != list(range(self.keys)):
                raise Wrong(f"{self.name}: {type(m).__name__} is out of order")

            def part() -> int:
                for _ in range(repetitions):
                    for _key, _value in m.items():
                        pass
                return self.keys * repetitions

            return part

        return region(prepare, threads)


@dataclass(frozen=True)
class FillAndLookUp:
    """One thread puts integers into an empty map, then looks each up."""

    pattern: str

    @property
    def name(self) -> str:
        return f"fill and look up: {self.pattern}"

    def measure(self, make: Callable[[], Any], threads: int, repetitions: int) -> Region:
        keys = PATTERNS[self.pattern]()

        def prepare(number: int) -> Callable[[], int]:
            def part() -> int:
                for _ in range(repetitions):
                    m = make()
                    for key in keys:
                        m[key] = None
                    for key in keys:
                        m[key]
                check_length(m, len(keys), self.name)
                return 2 * len(keys) * repetitions

            return part

        return region(prepare, threads)


@dataclass(frozen=True)
class EmptyLoop:
    """A loop that uses no map. Shows the speed-up that the machine gives to threads that share nothing."""

    keys: int = 1_000

    @property
    def name(self) -> str:
        return f"empty loop keys={self.keys}"

    def measure(self, make: Callable[[], Any], threads: int, repetitions: int) -> Region:
        def prepare(number: int) -> Callable[[], int]:
            mine = of_thread(all_keys("str", self.keys), "equal")

            def part() -> int:
                for _ in range(repetitions):
                    for _key in mine:
                        pass
                return self.keys * repetitions

            return part

        return region(prepare, threads)


def check_length(m: Any, right: int, name: str) -> None:
    if hasattr(m, "__len__") and len(m) != right:
        raise Wrong(f"{name}: {type(m).__name__} has {len(m)} entries, not {right}")


@lru_cache(maxsize=2)
def all_keys(kind: str, size: int) -> list[Any]:
    """Objects that all threads share. See keys.of_thread."""
    return [KINDS[kind](number) for number in range(size)]


@lru_cache(maxsize=8)
def _order(draw: Draw, size: int, seed: int) -> list[int]:
    places = list(range(size))
    if draw == "zipf":
        return zipf(places, seed)
    return places if draw == "ordered" else shuffled(places, seed)
