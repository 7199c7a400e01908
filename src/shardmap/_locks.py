"""Waiting for keys' locks in an event loop: the coroutines behind `async with m.lock(key)` and m.lock_many(keys)."""

from __future__ import annotations

import time
from typing import Any

from shardmap import _core
from shardmap._core import KeyEntry, LockedMany


async def _enter(entry: KeyEntry[Any, Any], seconds: float | None, asked: float | None) -> KeyEntry[Any, Any]:
    """Takes the entry's lock for the running task: TimeoutError after `seconds`."""
    import asyncio  # Not at the top: who has no event loop need not wait for it.

    loop = asyncio.get_running_loop()
    future = loop.create_future()
    request = _core._request(entry, loop, future, seconds is None)
    if request is None:
        return entry
    timer = None
    try:
        if seconds is not None:
            timer = loop.call_later(seconds, _core._set_done, future)
        await future
        if not request.claim(entry):
            raise TimeoutError(f"no lock of {entry.key!r} within {asked} s")
        return entry
    finally:
        request.withdraw()  # Does nothing if it was claimed.
        if timer is not None:
            timer.cancel()


async def _enter_many(
    many: LockedMany[Any, Any], entries: list[KeyEntry[Any, Any]], seconds: float | None, asked: float | None
) -> dict[Any, KeyEntry[Any, Any]]:
    given = many._begin()
    end = None if seconds is None else time.monotonic() + seconds
    try:
        for entry in entries:
            await _enter(entry, None if end is None else end - time.monotonic(), asked)
    except BaseException:
        many._end()
        raise
    return given


async def _exit(held: KeyEntry[Any, Any] | LockedMany[Any, Any]) -> None:
    held.__exit__(None, None, None)


_core._set_async(_enter, _enter_many, _exit)
