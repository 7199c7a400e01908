from collections.abc import Awaitable, Callable
from typing import TypeVar

from shardmap._core import CacheCore

_KT = TypeVar("_KT")
_VT = TypeVar("_VT")

async def get_or_load_async(
    self: CacheCore[_KT, _VT], key: _KT, loader: Callable[[_KT], Awaitable[_VT]], /
) -> _VT: ...
