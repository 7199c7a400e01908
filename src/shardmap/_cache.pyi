from collections.abc import Awaitable, Callable, ItemsView, Iterable, KeysView, Mapping, ValuesView
from concurrent.futures import Executor
from datetime import timedelta
from typing import Any, NamedTuple, Never, overload

from _typeshed import SupportsKeysAndGetItem
from typing_extensions import TypeVar

from shardmap._core import CacheCore, MissingType, RemovalCause
from shardmap._snapshot import Snapshot

_KT = TypeVar("_KT")
_VT = TypeVar("_VT")
_N = TypeVar("_N", bound=MissingType, default=Never)
_T = TypeVar("_T")

class CacheStats(NamedTuple):
    hits: int
    misses: int
    loads: int
    load_failures: int
    load_seconds: float
    evicted: int
    expired: int
    replaced: int
    removed: int
    size: int
    weight: int
    @property
    def hit_ratio(self) -> float: ...

class ShardCache(CacheCore[_KT, _VT]):
    __hash__: None  # type: ignore[assignment]
    def __init__(
        self,
        maxsize: int | None,
        *,
        ttl: float | timedelta | Callable[[_KT, _VT], float | timedelta | None] | None = None,
        idle: float | timedelta | None = None,
        refresh_after: float | timedelta | None = None,
        weigh: Callable[[_KT, _VT], int] | None = None,
        on_remove: Callable[[_KT, _VT, RemovalCause], object] | None = None,
        loader: Callable[[_KT], _VT] | None = None,
        executor: Executor | None = None,
        timer: Callable[[], float] | None = None,
    ) -> None: ...
    @property
    def maxsize(self) -> int | None: ...
    async def get_or_load_async(self, key: _KT, loader: Callable[[_KT], Awaitable[_VT | _N]], /) -> _VT | _N: ...
    @overload
    def get_many(
        self,
        keys: Iterable[_KT],
        default: None = None,
        *,
        load_many: Callable[[list[_KT]], Mapping[_KT, _VT]] | None = None,
    ) -> list[_VT | None]: ...
    @overload
    def get_many(
        self,
        keys: Iterable[_KT],
        default: _T,
        *,
        load_many: Callable[[list[_KT]], Mapping[_KT, _VT]] | None = None,
    ) -> list[_VT | _T]: ...
    def set_many(self, pairs: SupportsKeysAndGetItem[_KT, _VT] | Iterable[tuple[_KT, _VT]]) -> None: ...
    def keys(self) -> KeysView[_KT]: ...
    def values(self) -> ValuesView[_VT]: ...
    def items(self) -> ItemsView[_KT, _VT]: ...
    def snapshot(self) -> Snapshot[_KT, _VT]: ...
    def stats(self) -> CacheStats: ...
    def reset_stats(self) -> None: ...
    def __eq__(self, other: object) -> bool: ...
    def __sizeof__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __setstate__(self, state: tuple[list[tuple[_KT, _VT, float | None]], dict[str, Any] | None]) -> None: ...
    def _check(self) -> None: ...
