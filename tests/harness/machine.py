"""Maps as they are by default on another machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shardmap import _core
from shardmap._cpus import usable_cpus
from shardmap._map import _set_cpus


@contextmanager
def splitting(every: int = 5, shards: int = 64) -> Iterator[None]:
    """Maps that are made here are split into twice as many shards at every so many writes, up to so many shards."""
    _core._set_default_shards((shards - 1).bit_length())
    _core._split_every(every)
    try:
        yield
    finally:
        _core._split_every(0)
        _set_cpus(usable_cpus())


@contextmanager
def machine_of(cpus: int) -> Iterator[None]:
    _set_cpus(cpus)
    try:
        yield
    finally:
        _set_cpus(usable_cpus())
