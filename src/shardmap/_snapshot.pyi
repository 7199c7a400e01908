from typing import Any, Self, TypeVar

from shardmap._core import SnapshotCore
from shardmap._mapping import MappingSurface

_KT = TypeVar("_KT")
_VT_co = TypeVar("_VT_co", covariant=True)

class Snapshot(MappingSurface[_KT, _VT_co], SnapshotCore[_KT, _VT_co]):
    def __hash__(self) -> int: ...
    def __copy__(self) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
