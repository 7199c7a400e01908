"""Keys: which objects the threads look up, and in which order.

It often matters more whether two threads use the *same* key objects than which map they use. To take an object out of
a list, or to keep it in a variable, counts a reference to it. On a free-threaded Python, that is a plain store for the
thread that made the object. For any other thread it is an atomic operation on a cache line that moves between cores.

    INTERNED  all threads use the same objects, which are immortal, as names and literals in a program's source are
              (free-threaded Pythons make every interned str immortal). Neither the loop nor a map counts references,
              so only the map is measured.
    SAME      all threads use the same objects, made by the main thread and not immortal. The loop itself counts
              atomically on cache lines that all threads share. This part of the time is the same for all maps.
    EQUAL     each thread has objects of its own, equal to those in the map, as keys that were read, received or
              computed. The loop counts on cache lines of its own thread. A map has to compare. dict, for example,
              counts a reference to the stored key while it compares.
"""

from __future__ import annotations

import datetime
import itertools
import random
import sys
import uuid
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Literal

Identity = Literal["interned", "same", "equal"]

ZIPF_EXPONENT = 0.99  # as in YCSB (Cooper et al. 2010)
ZIPF_DRAWS = 10_000  # at least; of each thread


def str_key(number: int) -> str:
    return f"key {number}"


def int_key(number: int) -> int:
    return number


def bytes_key(number: int) -> bytes:
    return b"key %d" % number


def tuple_key(number: int) -> tuple[int, str]:
    return (number, "key")


@dataclass(frozen=True)
class Record:
    number: int
    name: str


KINDS: dict[str, Callable[[int], Any]] = {
    "str": str_key,
    "int": int_key,
    "bytes": bytes_key,
    "tuple": tuple_key,
    "float": lambda number: number + 0.5,
    "date": lambda number: datetime.date.fromordinal(700_000 + number),
    "UUID": lambda number: uuid.UUID(int=number * 77_777 + 1 << 64),
    "frozenset": lambda number: frozenset((number, number + 1)),
    "frozen dataclass": lambda number: Record(number, "key"),
    "Path": lambda number: PurePosixPath(f"/keys/{number}"),
}

COPIES: dict[type, Callable[[Any], Any]] = {
    float: lambda key: key + 0.25 - 0.25,
    datetime.date: lambda key: datetime.date.fromordinal(key.toordinal()),
    uuid.UUID: lambda key: uuid.UUID(int=key.int),
    frozenset: lambda key: frozenset(list(key)),
    Record: replace,
    PurePosixPath: lambda key: PurePosixPath(str(key)),
}

PATTERN_KEYS = 40_000


def interleaved(x: int, y: int) -> int:
    """The bits of two coordinates in turn (a Morton code)."""
    return sum((x >> bit & 1) << 2 * bit | (y >> bit & 1) << 2 * bit + 1 for bit in range(16))


def meeting_in_a_map_without_a_secret() -> list[int]:
    """Integers under 2^61. Before shardmap mixed hashes with a secret, all of them had the same shard and place."""

    def unfolded(number: int) -> int:
        once = number ^ (number >> 15)
        return number ^ ((number ^ (once >> 15)) >> 15)

    found = []
    for high in range(1, PATTERN_KEYS // 2):
        mixed = high * 0x9E3779B1 & 0xFFFFFFFF
        low = 0x1234567 ^ mixed ^ mixed >> 15
        found.append(high << 32 | unfolded(low) & 0xFFFFFFFF)
    return found


PATTERNS: dict[str, Callable[[], list[int]]] = {
    "in a row": lambda: list(range(PATTERN_KEYS)),
    "x << 16 | y": lambda: [x << 16 | y for x in range(200) for y in range(200)],
    "bits of x and y interleaved": lambda: [interleaved(x, y) for x in range(200) for y in range(200)],
    "multiples of 2^20": lambda: [number << 20 for number in range(PATTERN_KEYS)],
    "crafted": meeting_in_a_map_without_a_secret,
}


def another(key: Any) -> Any:
    """An object that is equal to a key but is another object, if Python allows that."""
    if type(key) is str:
        return key.encode().decode()
    if type(key) is bytes:
        return bytes(bytearray(key))
    if type(key) is int:
        return key + 1 - 1
    if type(key) is tuple:
        return tuple([another(part) for part in key])
    if type(key) in COPIES:
        return COPIES[type(key)](key)
    raise TypeError(f"no way to make another {type(key).__name__}")


def of_thread(keys: Sequence[Any], identity: Identity) -> list[Any]:
    """The key objects that one thread uses. Call it in that thread."""
    if identity == "equal":
        return [another(key) for key in keys]
    return [sys.intern(key) for key in keys] if identity == "interned" else list(keys)


def shuffled(keys: list[Any], seed: int) -> list[Any]:
    """Every key once, in an order of the thread's own."""
    random.Random(seed).shuffle(keys)
    return keys


def zipf(keys: list[Any], seed: int, draws: int = ZIPF_DRAWS) -> list[Any]:
    """Keys drawn so that the n-th most frequent is n ** 0.99 times rarer than the first."""
    sums = list(itertools.accumulate((rank + 1) ** -ZIPF_EXPONENT for rank in range(len(keys))))
    choose = random.Random(seed).random
    return [keys[min(bisect_left(sums, choose() * sums[-1]), len(keys) - 1)] for _ in range(max(draws, len(keys)))]
