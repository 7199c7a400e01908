"""The maps that are compared, each behind the operations that a user of it would write."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from shardmap import ShardMap


class LockedDict(dict[Any, Any]):
    """A dict with a lock around each operation: what people write today."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __getitem__(self, key: Any) -> Any:
        with self._lock:
            return super().__getitem__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        with self._lock:
            super().__setitem__(key, value)

    def __delitem__(self, key: Any) -> None:
        with self._lock:
            super().__delitem__(key)


class LockedCounter:
    """A Counter and a lock around each count."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: Counter[Any] = Counter()

    def __getitem__(self, key: Any) -> int:
        return self.counts[key]


def count_into_locked_dict(m: LockedDict, keys: list[Any]) -> None:
    lock = m._lock
    get, put = super(LockedDict, m).get, super(LockedDict, m).__setitem__
    for key in keys:
        with lock:
            put(key, get(key, 0) + 1)


def count_into_locked_counter(m: LockedCounter, keys: list[Any]) -> None:
    lock, counts = m.lock, m.counts
    for key in keys:
        with lock:
            counts[key] += 1


def count_by_add(m: ShardMap[Any, int], keys: list[Any]) -> None:
    for key in keys:
        m.add(key)


def count_all(m: ShardMap[Any, int], keys: list[Any]) -> None:
    m.count(keys)


def count_by_reduce(m: Any, keys: list[Any]) -> None:
    m.reduce_count(keys)


class Competitor(NamedTuple):
    name: str
    make: Callable[[], Any]
    version: str
    store: bool = True  # does m[key] and m[key] = value
    tally: Callable[[Any, list[Any]], None] | None = None  # counts keys; several threads at once


def competitors() -> tuple[list[Competitor], list[str]]:
    """All that are installed here, and a sentence about each that is not."""
    found = [
        Competitor("dict", dict, "built in"),
        Competitor("dict + Lock", LockedDict, "built in", tally=count_into_locked_dict),
        Competitor("Counter + Lock", LockedCounter, "built in", store=False, tally=count_into_locked_counter),
        Competitor(
            "ShardMap",
            ShardMap,
            version("shardmap") if _installed("shardmap") else "source tree",
            tally=count_by_add,
        ),
        Competitor("ShardMap.count", ShardMap, "", store=False, tally=count_all),
    ]
    missing = []
    for package, module, name in (
        ("cereggii", "cereggii", "AtomicDict"),
        ("ft_utils", "ft_utils.concurrency", "ConcurrentDict"),
    ):
        try:
            made = getattr(__import__(module, fromlist=[name]), name)
        except ImportError:
            missing.append(f"{package} is not installed for this interpreter, left out")
        else:
            tally = count_by_reduce if hasattr(made, "reduce_count") else None
            found.append(Competitor(f"{package} {name}", made, version(package), tally=tally))
    return found, missing


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
