"""Keys: which objects the threads look up, and in which order.

Whether two threads use the *same* key objects matters more than most maps do. Taking an object out of a list, or
keeping it in a variable, counts a reference on it; on a free-threaded Python that is a plain store for the thread
that made the object and an atomic operation for any other, on a cache line that then moves between the cores.

    INTERNED  all threads use the same objects, which are immortal, as names and literals in a program's source
              are (free-threaded Pythons make every interned str immortal): no reference is counted, neither by
              the loop nor by a map. What is left is the map.
    SAME      all threads use the same objects, made by the main thread and not immortal: the loop itself counts
              atomically on lines that all threads share, so that part of the time is the loop's, on all maps alike.
    EQUAL     each thread has objects of its own, equal to those in the map, as keys are that were read, received
              or computed: the loop counts in its own lines; a map has to compare, and dict for instance counts
              a reference on the stored key while it does.
"""

from __future__ import annotations

import itertools
import random
import sys
from bisect import bisect_left
from collections.abc import Callable, Sequence
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


KINDS: dict[str, Callable[[int], Any]] = {"str": str_key, "int": int_key, "bytes": bytes_key, "tuple": tuple_key}


def another(key: Any) -> Any:
    """An object that is equal to a key but, where Python allows that, not the same."""
    if type(key) is str:
        return key.encode().decode()
    if type(key) is bytes:
        return bytes(bytearray(key))
    if type(key) is int:
        return key + 1 - 1
    if type(key) is tuple:
        return tuple([another(part) for part in key])
    raise TypeError(f"no way to make another {type(key).__name__}")


def of_thread(keys: Sequence[Any], identity: Identity) -> list[Any]:
    """The key objects that one thread uses; to be called in that thread."""
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
