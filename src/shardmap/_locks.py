"""Several keys locked at once."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import groupby
from typing import Any

from shardmap import _core
from shardmap._core import KeyEntry, MapCore


class LockedMany:
    """What ShardMap.lock_many returns: a context manager."""

    __slots__ = ("_keys", "_source", "_stack", "_timeout")

    def __init__(self, source: MapCore[Any, Any], keys: Iterable[Any], timeout: float | None) -> None:
        self._source = source
        self._keys = list(dict.fromkeys(keys))
        self._timeout = timeout
        self._stack: ExitStack | None = None

    def __enter__(self) -> dict[Any, KeyEntry]:
        if self._stack is not None:
            raise RuntimeError("these locks are held already")
        end = None if self._timeout is None else time.monotonic() + self._timeout

        def left() -> float | None:
            return None if end is None else max(0.0, end - time.monotonic())

        ordered = sorted((_core._order(self._source, key), number) for number, key in enumerate(self._keys))
        entries: dict[Any, KeyEntry] = {}
        with ExitStack() as stack:
            for _, group in groupby(ordered, key=lambda each: each[0]):
                same_place = [self._keys[number] for _, number in group]
                if len(same_place) > 1:
                    # Keys of one hash have no order of their own: whoever wants several of them takes turns.
                    stack.enter_context(_core._guard(self._source, same_place[0], left()))
                for key in same_place:
                    entries[key] = stack.enter_context(self._source._lock(key, left()))
            self._stack = stack.pop_all()
        return {key: entries[key] for key in self._keys}

    def __exit__(self, *error: Any) -> None:
        stack, self._stack = self._stack, None
        if stack is None:
            raise RuntimeError("these locks are not held")
        stack.close()
