from collections.abc import Callable, Iterable
from typing import Self, TypeVar, overload

from _typeshed import SupportsKeysAndGetItem

from shardmap._core import MapCore
from shardmap._map import ShardMap
from shardmap._snapshot import Snapshot

_KT = TypeVar("_KT")
_VT = TypeVar("_VT")
_K2 = TypeVar("_K2")
_V2 = TypeVar("_V2")

class ShardDefaultDict(ShardMap[_KT, _VT]):
    default_factory: Callable[[], _VT] | None
    @overload
    def __init__(self) -> None: ...
    @overload
    def __init__(self: ShardDefaultDict[str, _VT], **kwargs: _VT) -> None: ...
    @overload
    def __init__(self, default_factory: Callable[[], _VT] | None, /) -> None: ...
    @overload
    def __init__(
        self: ShardDefaultDict[str, _VT], default_factory: Callable[[], _VT] | None, /, **kwargs: _VT
    ) -> None: ...
    @overload
    def __init__(
        self, default_factory: Callable[[], _VT] | None, other: SupportsKeysAndGetItem[_KT, _VT], /
    ) -> None: ...
    @overload
    def __init__(
        self: ShardDefaultDict[str, _VT],
        default_factory: Callable[[], _VT] | None,
        other: SupportsKeysAndGetItem[str, _VT],
        /,
        **kwargs: _VT,
    ) -> None: ...
    @overload
    def __init__(self, default_factory: Callable[[], _VT] | None, other: Iterable[tuple[_KT, _VT]], /) -> None: ...
    @overload
    def __init__(
        self: ShardDefaultDict[str, _VT],
        default_factory: Callable[[], _VT] | None,
        other: Iterable[tuple[str, _VT]],
        /,
        **kwargs: _VT,
    ) -> None: ...
    def __missing__(self, key: _KT, /) -> _VT: ...
    def copy(self) -> Self: ...
    @overload
    def __or__(self, other: dict[_KT, _VT] | MapCore[_KT, _VT] | Snapshot[_KT, _VT]) -> Self: ...
    @overload
    def __or__(
        self, other: dict[_K2, _V2] | MapCore[_K2, _V2] | Snapshot[_K2, _V2]
    ) -> ShardDefaultDict[_KT | _K2, _VT | _V2]: ...
    @overload
    def __ror__(self, other: dict[_KT, _VT] | MapCore[_KT, _VT] | Snapshot[_KT, _VT]) -> Self: ...
    @overload
    def __ror__(
        self, other: dict[_K2, _V2] | MapCore[_K2, _V2] | Snapshot[_K2, _V2]
    ) -> ShardDefaultDict[_KT | _K2, _VT | _V2]: ...
