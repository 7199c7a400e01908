"""ShardCache.get_or_load_async: loads by coroutines, each once across tasks, event loops and threads."""

# Types: _cache.pyi.

import time
from contextvars import copy_context

from shardmap import _core
from shardmap._core import MISSING


async def get_or_load_async(self, key, loader, /):
    """Returns the value of `key`; if there is no entry, stores `await loader(key)` and returns that. get_or_load() for
    coroutine functions.

    If many tasks and threads call it at once, in any event loops, the loader runs once. It runs in a task of its own,
    in the event loop of the first caller. The others wait, and get its value or its exception. A waiting task that is
    cancelled cancels neither the load nor other tasks. If the loader asks for its own key, directly or through other
    loaders, the call that would close the circle runs its loader itself. If the event loop of the load stops or ends
    first, the others ask again, and what it loads later is not stored. If the loader returns MISSING, nothing is
    stored, and the callers get MISSING."""
    value = _core._cache_get_many(self, (key,), MISSING)[0]
    while value is MISSING:
        load, is_mine = _core._start_load(self, key)
        if is_mine is None:
            return load
        if is_mine:
            _begin_task(self, key, load, loader)
        mine = _core._innermost_load()
        if not load.begin_wait(mine):
            return await loader(key)
        try:
            await _end_of(load)
        finally:
            load.end_wait(mine)
        if not load.is_abandoned:
            return load.result()
    return value


_LOOK_EVERY = 0.1  # seconds: how often a waiting task checks whether the event loop of the load has stopped


def _begin_task(cache, key, load, loader):
    import asyncio

    loop = asyncio.get_running_loop()
    load.run_in(loop)
    coroutine = _run(cache, key, load, loader)
    try:
        task = loop.create_task(coroutine, context=copy_context())
    except BaseException:
        coroutine.close()
        _core._fail_load(cache, key, load, None)
        raise
    _core._keep_task(cache, task)
    task.add_done_callback(lambda task: _fail_if_pending(cache, key, load))


def _fail_if_pending(cache, key, load):
    """The task was cancelled before it began."""
    if load.is_pending:
        _core._fail_load(cache, key, load, None)


async def _run(cache, key, load, loader):
    import asyncio

    load.enter_task()  # in a context of its own
    begun = time.monotonic()
    done = False
    try:
        value = await loader(key)
        done = True
        _core._end_load(cache, key, load, value)
    except Exception as error:
        _core._fail_load(cache, key, load, error)
    except asyncio.CancelledError as error:
        if asyncio.current_task().cancelling():  # this task was cancelled, because its event loop ends; others may load
            _core._fail_load(cache, key, load, None)
            raise
        _core._fail_load(cache, key, load, error)  # the loader was cancelled by something that it awaits
    except BaseException:
        _core._fail_load(cache, key, load, None)
        raise
    finally:
        _core._count_load(cache, done, time.monotonic() - begun)


async def _end_of(load):
    """Waits for the end of a load that may run in another event loop, which may stop before."""
    import asyncio

    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def wake():
        if not future.done():
            future.set_result(None)

    if load.call_at_end(lambda: loop.call_soon_threadsafe(wake)):
        while load.may_be_given_up(loop) and load.is_pending:
            load.give_up_if_stopped()
            await asyncio.wait([future], timeout=_LOOK_EVERY)
        if load.is_pending:
            await future
