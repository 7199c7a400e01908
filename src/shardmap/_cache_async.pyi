from collections.abc import Awaitable, Callable
from typing import Never

from typing_extensions import TypeVar

from shardmap._core import CacheCore, MissingType

_KT = TypeVar("_KT")
_VT = TypeVar("_VT")
_N = TypeVar("_N", bound=MissingType, default=Never)

async def get_or_load_async(
    self: CacheCore[_KT, _VT], key: _KT, loader: Callable[[_KT], Awaitable[_VT | _N]], /
) -> _VT | _N: ...
