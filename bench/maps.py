"""The maps that are compared, each with the operations in the form that its users would write."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any, NamedTuple

from environment import version_of
from shardmap import ShardMap

DICT, LOCKED, SHARDMAP = "dict", "dict + Lock", "ShardMap"
CEREGGII, FT_UTILS = "cereggii AtomicDict", "ft_utils ConcurrentDict"


class LockedDict:
    """A dict and a lock around each operation, as in many programs today. It iterates over a copy, made under the lock,
    because any other iteration fails as soon as another thread writes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.dict: dict[Any, Any] = {}

    def __len__(self) -> int:
        with self.lock:
            return len(self.dict)

    def __getitem__(self, key: Any) -> Any:
        with self.lock:
            return self.dict[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        with self.lock:
            self.dict[key] = value

    def __delitem__(self, key: Any) -> None:
        with self.lock:
            del self.dict[key]

    def __contains__(self, key: object) -> bool:
        with self.lock:
            return key in self.dict

    def get(self, key: Any, default: Any = None) -> Any:
        with self.lock:
            return self.dict.get(key, default)

    def pop(self, key: Any, *default: Any) -> Any:
        with self.lock:
            return self.dict.pop(key, *default)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        with self.lock:
            return self.dict.setdefault(key, default)

    def update(self, other: Any) -> None:
        with self.lock:
            self.dict.update(other)

    def copy(self) -> dict[Any, Any]:
        with self.lock:
            return self.dict.copy()

    def __iter__(self) -> Iterator[Any]:
        with self.lock:
            return iter(list(self.dict))

    def items(self) -> list[tuple[Any, Any]]:
        with self.lock:
            return list(self.dict.items())


def _items(m: Any) -> Iterable[Any]:
    return m.items()  # type: ignore[no-any-return]


class Competitor(NamedTuple):
    name: str
    make: Callable[[], Any]
    version: str
    presized: Callable[[int], Any] | None = None  # with room for that many entries
    items: Callable[[Any], Iterable[Any]] | None = None  # an iterable of (key, value)
    copies: tuple[tuple[str, Callable[[Any], Any]], ...] = ()  # ways to get a copy or snapshot that does not change

    def has(self, method: str) -> bool:
        return hasattr(self.make(), method)


def _cereggii() -> Competitor:
    made = import_module("cereggii").AtomicDict
    return Competitor(
        CEREGGII,
        made,
        version_of("cereggii") or "?",
        presized=lambda size: made(min_size=size),
        items=lambda m: m.fast_iter(),
    )


def _ft_utils() -> Competitor:
    made = import_module("ft_utils.concurrency").ConcurrentDict
    # Its initial_capacity is the number of its inner dicts, which are empty. It does not make room for entries.
    return Competitor(
        FT_UTILS,
        made,
        version_of("ft_utils") or "?",
        items=_items,
        copies=(("as_dict", lambda m: m.as_dict()),),
    )


def competitors() -> tuple[list[Competitor], list[str]]:
    """All maps that are installed, and a sentence about each that is not."""
    found = [
        Competitor(DICT, dict, "built in", items=_items, copies=(("copy", lambda m: m.copy()),)),
        Competitor(LOCKED, LockedDict, "built in", items=_items, copies=(("copy", lambda m: m.copy()),)),
        Competitor(
            SHARDMAP,
            ShardMap,
            version_of("shardmap") or "source tree",
            presized=lambda size: ShardMap.with_capacity(size),
            items=_items,
            copies=(("copy", lambda m: m.copy()), ("snapshot", lambda m: m.snapshot())),
        ),
    ]
    missing = []
    for package, find in (("cereggii", _cereggii), ("ft_utils", _ft_utils)):
        try:
            found.append(find())
        except ImportError:
            missing.append(f"{package} is not installed for this interpreter: left out")
    return found, missing
