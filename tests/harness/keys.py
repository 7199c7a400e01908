"""Keys that give a map a hard time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class HashKey:
    """A key with a chosen hash, equal to others of the same name. Never compared in C. `on_eq` and `on_hash` are
    called first in __eq__ and __hash__, and may do or raise anything."""

    def __init__(
        self,
        name: Any,
        hashed: int = 0,
        on_eq: Callable[[], Any] | None = None,
        on_hash: Callable[[], Any] | None = None,
    ) -> None:
        self.name = name
        self.hashed = hashed
        self.on_eq = on_eq
        self.on_hash = on_hash

    def __hash__(self) -> int:
        if self.on_hash is not None:
            self.on_hash()
        return self.hashed

    def __eq__(self, other: object) -> bool:
        on_eq = self.on_eq  # once: another thread may take it away
        if on_eq is not None:
            on_eq()
        if not isinstance(other, HashKey):
            return NotImplemented
        return bool(self.name == other.name)

    def __repr__(self) -> str:
        return f"<{self.name} #{self.hashed}>"


class Finalized:
    """A value (or, hashed by identity, a key) whose __del__ calls `on_del`."""

    def __init__(self, on_del: Callable[[], Any]) -> None:
        self.on_del = on_del

    def __del__(self) -> None:
        self.on_del()
