"""The maps that are compared, each behind the operations that a user of it would write."""

from __future__ import annotations

import threading
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


class Competitor(NamedTuple):
    name: str
    make: Callable[[], Any]
    version: str


def competitors() -> tuple[list[Competitor], list[str]]:
    """All that are installed here, and a sentence about each that is not."""
    found = [
        Competitor("dict", dict, "built in"),
        Competitor("dict + Lock", LockedDict, "built in"),
        Competitor("ShardMap", ShardMap, version("shardmap") if _installed("shardmap") else "source tree"),
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
            found.append(Competitor(f"{package} {name}", made, version(package)))
    return found, missing


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
