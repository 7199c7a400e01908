"""Whether references are given back."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any


def counted(things: list[Any]) -> list[int]:
    return [sys.getrefcount(thing) for thing in things]


def assert_counted(things: list[Any], wanted: list[int]) -> None:
    """So many references to each of them, once the collector has run if need be."""
    if counted(things) != wanted:
        gc.collect()
    assert counted(things) == wanted


def assert_counts_stay(things: list[Any], work: Callable[[], Any]) -> None:
    work()
    before = counted(things)
    for _ in range(5):
        work()
    assert_counted(things, before)
