from collections.abc import Callable
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar, overload

from shardmap._core import BoundCachedCall, CachedCall, RemovalCause

_P = ParamSpec("_P")
_R = TypeVar("_R")

@overload
def cached(maxsize: Callable[_P, _R], /) -> CachedCall[_P, _R]: ...
@overload
def cached(
    maxsize: int | None = 128,
    typed: bool = False,
    *,
    ttl: float | timedelta | Callable[[Any, Any], float | timedelta | None] | None = None,
    idle: float | timedelta | None = None,
    key: Callable[..., Any] | None = None,
    once: bool = True,
    on_remove: Callable[[Any, Any, RemovalCause], object] | None = None,
    timer: Callable[[], float] | None = None,
) -> Callable[[Callable[_P, _R]], CachedCall[_P, _R]]: ...

class CachedCoroutineFunction:
    def __init__(self, keyed: CachedCall[..., Any], function: Callable[..., Any]) -> None: ...
    async def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __set_name__(self, owner: type, name: str) -> None: ...
    @overload
    def __get__(self, instance: None, owner: Any = None) -> CachedCoroutineFunction: ...
    @overload
    def __get__(self, instance: object, owner: Any = None) -> BoundCachedCall[..., Any]: ...
    def __reduce__(self) -> str: ...
    def __copy__(self) -> CachedCoroutineFunction: ...
    def __deepcopy__(self, memo: Any) -> CachedCoroutineFunction: ...
