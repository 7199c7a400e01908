from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Any, Self, TypeVar, overload

from shardmap._core import KeyEntry, MapCore, Partition
from shardmap._locks import LockedMany
from shardmap._mapping import MappingSurface
from shardmap._partitions import Shards
from shardmap._snapshot import Snapshot
from shardmap._stats import Stats

_KT = TypeVar("_KT")
_T = TypeVar("_T")
_VT = TypeVar("_VT")
_K2 = TypeVar("_K2")
_V2 = TypeVar("_V2")

class ShardMap(MappingSurface[_KT, _VT], MapCore[_KT, _VT]):
    __hash__: None  # type: ignore[assignment]
    @classmethod
    def with_capacity(cls, capacity: int = 0, *, shards: int | None = None) -> Self: ...
    @overload
    @classmethod
    def fromkeys(cls, iterable: Iterable[_K2], value: None = None, /) -> ShardMap[_K2, Any | None]: ...
    @overload
    @classmethod
    def fromkeys(cls, iterable: Iterable[_K2], value: _V2, /) -> ShardMap[_K2, _V2]: ...
    def snapshot(self) -> Snapshot[_KT, _VT]: ...
    def copy(self) -> ShardMap[_KT, _VT]: ...
    def __copy__(self) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __sizeof__(self) -> int: ...
    @overload
    def __or__(
        self, other: dict[_KT, _VT] | MapCore[_KT, _VT] | Snapshot[_KT, _VT]
    ) -> ShardMap[_KT, _VT]: ...
    @overload
    def __or__(
        self, other: dict[_K2, _V2] | MapCore[_K2, _V2] | Snapshot[_K2, _V2]
    ) -> ShardMap[_KT | _K2, _VT | _V2]: ...
    @overload
    def __ror__(
        self, other: dict[_KT, _VT] | MapCore[_KT, _VT] | Snapshot[_KT, _VT]
    ) -> ShardMap[_KT, _VT]: ...
    @overload
    def __ror__(
        self, other: dict[_K2, _V2] | MapCore[_K2, _V2] | Snapshot[_K2, _V2]
    ) -> ShardMap[_KT | _K2, _VT | _V2]: ...
    @overload  # type: ignore[misc]
    def __ior__(self, other: MapCore[_KT, _VT] | dict[_KT, _VT] | Snapshot[_KT, _VT]) -> Self: ...
    @overload
    def __ior__(self, other: Iterable[tuple[_KT, _VT]]) -> Self: ...
    @overload
    def map_reduce(
        self,
        map_function: Callable[[_KT, _VT], _T],
        reduce_function: Callable[[_T, _T], _T],
        *,
        executor: Executor | None = None,
    ) -> _T: ...
    @overload
    def map_reduce(
        self,
        map_function: Callable[[_KT, _VT], _T],
        reduce_function: Callable[[_T, _T], _T],
        *,
        executor: Executor | None = None,
        initial: _T,
    ) -> _T: ...
    def lock(self, key: _KT, timeout: float | None = None) -> KeyEntry[_KT, _VT]: ...
    def lock_many(self, keys: Iterable[_KT], timeout: float | None = None) -> LockedMany[_KT, _VT]: ...
    def shard_index(self, key: _KT) -> int: ...
    @property
    def shards(self) -> Shards[_KT, _VT]: ...
    def partitions(self, n: int, /) -> list[Partition[_KT, _VT]]: ...
    def stats(self) -> Stats: ...
    def _check(self) -> None: ...
