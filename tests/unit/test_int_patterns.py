"""Integers that have something in common: how many cache lines of the index a look-up reads, beside a dict's probes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from shardmap import ShardMap, _core

KEYS = 40_000
GROUP = 16  # slots in a cache line, visited one after the other (core/probe.pyx)
SIDE = 200
WORD = 0xFFFFFFFF


def interleaved(x: int, y: int) -> int:
    return sum((x >> b & 1) << 2 * b | (y >> b & 1) << 2 * b + 1 for b in range(16))


def turned(low: int, secret: int) -> int:
    return low ^ (low >> 15) * secret >> 49 & 0x7FFF


def made_for_one_secret() -> Iterable[int]:
    """They would share all 31 bits under a secret that all the world knows (core/hashing.h)."""
    secret = 0x9E3779B97F4A7C15
    for high in range(1, KEYS // 2):
        yield high << 32 | turned(0x1234567 ^ high * secret >> 33 & WORD >> 1, secret)


def of_one_place_without_the_upper_half() -> Iterable[int]:
    for above in range(KEYS // 2):
        yield turned(above << 16 & WORD | 77, 0x9E3779B97F4A7C15)


PATTERNS: dict[str, Callable[[], Iterable[int]]] = {
    "in a row": lambda: range(KEYS),
    "in a row, negative": lambda: range(-KEYS, 0),
    "in a row above 2^40": lambda: range(1 << 40, (1 << 40) + KEYS),
    "x << 16 | y": lambda: [x << 16 | y for x in range(SIDE) for y in range(SIDE)],
    "x << 32 | y": lambda: [x << 32 | y for x in range(SIDE) for y in range(SIDE)],
    "bits interleaved": lambda: [interleaved(x, y) for x in range(SIDE) for y in range(SIDE)],
    "random": lambda: random.Random(1).sample(range(1 << 60), KEYS),
    "addresses": lambda: range(0x7F0012340000, 0x7F0012340000 + KEYS * 48, 48),
    **{f"multiples of 2^{n}": lambda n=n: range(0, KEYS << n, 1 << n) for n in (3, 8, 13, 16, 20, 28, 32, 40)},
    "multiples of 1000": lambda: range(0, KEYS * 1000, 1000),
    "squares": lambda: [n * n for n in range(KEYS)],
    "made for one secret": made_for_one_secret,
    "of one place": of_one_place_without_the_upper_half,
}


def probes_of_dict(keys: Iterable[int]) -> float:
    """The mean, of a dict that was filled with them (CPython's Objects/dictobject.c)."""
    keys = list(keys)
    size = 8
    while size * 2 // 3 < len(keys):
        size *= 2
    slots: list[Any] = [None] * size
    probes = 0
    for key in keys:
        hashed = hash(key) & (1 << 64) - 1
        perturb, slot = hashed, hashed & size - 1
        probes += 1
        while slots[slot] is not None:
            perturb >>= 5
            slot = slot * 5 + perturb + 1 & size - 1
            probes += 1
        slots[slot] = key
    return probes / len(keys)


@pytest.mark.parametrize("shards", [1, 8, 64])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_look_up_reads_no_more_lines_than_a_dict_probes(pattern: str, shards: int) -> None:
    keys = list(dict.fromkeys(PATTERNS[pattern]()))
    m = ShardMap.with_capacity(shards=shards)
    m.update(dict.fromkeys(keys))
    lengths = _core._probe_lengths(m)
    lines = sum((length - 1) // GROUP + 1 for length in lengths) / len(lengths)
    assert len(lengths) == len(keys)
    assert lines <= max(2.25, 1.5 * probes_of_dict(keys))
    assert max(lengths) < 1000
