"""Maps as they are by default on another machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shardmap import _core
from shardmap._cpus import usable_cpus


def _bits(cpus: int) -> int:
    """Of the number of shards that the map derives from so many CPUs: 4 for each, at most 256."""
    return min(8, (4 * cpus - 1).bit_length())


@contextmanager
def splitting(every: int = 5, shards: int = 64) -> Iterator[None]:
    """Maps that are made here are split into twice as many shards at every so many writes, up to so many shards."""
    _core._set_default_shards((shards - 1).bit_length())
    _core._split_every(every)
    try:
        yield
    finally:
        _core._split_every(0)
        _core._set_default_shards(_bits(usable_cpus()))


@contextmanager
def machine_of(cpus: int) -> Iterator[None]:
    _core._set_default_shards(_bits(cpus))
    try:
        yield
    finally:
        _core._set_default_shards(_bits(usable_cpus()))
