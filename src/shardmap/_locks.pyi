from collections.abc import Iterable
from typing import Generic, TypeVar

from shardmap._core import KeyEntry, MapCore

_KT = TypeVar("_KT")
_VT = TypeVar("_VT")

class LockedMany(Generic[_KT, _VT]):
    def __init__(
        self, source: MapCore[_KT, _VT], keys: Iterable[_KT], timeout: float | None
    ) -> None: ...
    def __enter__(self) -> dict[_KT, KeyEntry[_KT, _VT]]: ...
    def __exit__(self, *error: object) -> None: ...
