"""Loaders that can be stopped, and what overtakes a load."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from shardmap import ShardCache


class Loader:
    """Counts its calls, and waits in each until it is let go on."""

    def __init__(self, *, waits: bool = False) -> None:
        self.calls: Counter[Any] = Counter()
        self.inside = threading.Event()
        self.go_on = threading.Event()
        if not waits:
            self.go_on.set()

    def __call__(self, key: Any) -> str:
        self.calls[key] += 1
        self.inside.set()
        assert self.go_on.wait(60)
        return f"value of {key}"


OVERTAKE: dict[str, tuple[Callable[[ShardCache[str, str]], Any], str | None]] = {
    "invalidate": (lambda cache: cache.invalidate("a"), None),
    "invalidate_all": (lambda cache: cache.invalidate_all(), None),
    "clear": (lambda cache: cache.clear(), None),
    "pop": (lambda cache: cache.pop("a", None), None),
    "set": (lambda cache: cache.__setitem__("a", "new"), "new"),
    "setdefault": (lambda cache: cache.setdefault("a", "new"), "new"),
    "update": (lambda cache: cache.update(a="new"), "new"),
    "set and del": (lambda cache: (cache.__setitem__("a", "new"), cache.__delitem__("a")), None),
}


class Interrupted(BaseException):
    pass
