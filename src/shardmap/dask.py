"""DaskWorkers: ShardWorkers whose owners are on the machines of a Dask cluster. Needs Dask: pip install
shardmap[dask]."""

from __future__ import annotations

import atexit
import queue
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextvars import Context
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

try:
    from distributed import Client
except ImportError as _missing:
    raise ImportError("shardmap.dask needs Dask: pip install shardmap[dask]", name="distributed") from _missing

from shardmap import _workers
from shardmap._dask_functions import FunctionPickles
from shardmap._dask_remote import OwnerLost, Remote, RemoteTask, send
from shardmap._inbox import Task
from shardmap._public import public_class
from shardmap._stable_hash import owner_of
from shardmap._workers import ShardWorkers

__all__ = ["DaskWorkers", "OwnerLost"]

_KT = TypeVar("_KT")
_VT = TypeVar("_VT")
_T = TypeVar("_T")
_P = ParamSpec("_P")


@public_class()
class DaskWorkers(ShardWorkers[_KT, _VT]):
    """ShardWorkers whose owners are Dask actors in the processes of a cluster. Each owner has a plain dict with the
    entries of its keys. Work on a key goes to the owner of the key, and all work on one key is done in one order. So a
    map can be larger than the memory of a process, and functions use the processors of many machines.

    DaskWorkers(client, n=None, *, queue_size=1024, timeout=None, thread_name_prefix="DaskWorkers", track_keys=True):
    `client` is a distributed.Client. `n` is the number of owners; None means one for each worker that the cluster has
    now. Owner i is on worker i, then from the first worker again. All owners of one worker share a thread, also those
    of other clients, so a task that does not return holds up all of them. `queue_size` and `timeout` are as in
    ShardWorkers: at most `queue_size` tasks of each owner wait in this process. When the queue is full, the caller
    waits for room, and gets queue.Full after `timeout` seconds. No task is dropped.

    Differences from ShardWorkers: functions, arguments and results are pickled, as by Dask (with cloudpickle), so a
    task works on copies. Keys must have a hash that is the same in every process: str, bytes, numbers, None, enum
    members, UUIDs, dates, datetimes, timedeltas, and tuples and frozensets of these. Functions see the context
    variables of the worker, not of the caller. The functions cannot use this object, which cannot be pickled.

    If the worker of an owner ends, the entries of the owner are gone. Then its futures, and all calls that need it,
    raise OwnerLost, which says which keys went. No other worker takes its place, and the other owners continue. For
    that, the client keeps a reference to every key that was submitted; track_keys=False saves the memory.

    Use it as a context manager, or call shutdown() before the client is closed. At interpreter exit, and when the last
    reference to the object is gone, the submitted tasks are finished. The dicts are gone after that.

    >>> import operator
    >>> def count(own, word):
    ...     own[word] = own.get(word, 0) + 1
    >>> with DaskWorkers(client) as workers:
    ...     for word in ["a", "b", "a"]:
    ...         _ = workers.submit(word, count)
    ...     sorted(workers.snapshot().items()), workers.reduce(len, operator.add)
    ([('a', 2), ('b', 1)], 2)
    """

    __slots__ = ("_pickles", "_remotes")
    __module__ = "shardmap.dask"
    _ahead = 64  # a batch costs about 1 ms, however many tasks are in it

    def __init__(
        self,
        client: Client,
        n: int | None = None,
        *,
        queue_size: int = 1024,
        timeout: float | None = None,
        thread_name_prefix: str = "DaskWorkers",
        track_keys: bool = True,
    ) -> None:
        if not isinstance(client, Client):
            raise TypeError(f"client must be a distributed.Client, not {type(client).__name__!r}")
        if client.asynchronous:
            raise TypeError("client is asynchronous: make it without asynchronous=True, and not in its event loop")
        workers = sorted(client.nthreads())
        if not workers:
            raise ValueError("the cluster has no workers")
        self._make_inboxes(len(workers) if n is None else n, queue_size, timeout)
        self._pickles = FunctionPickles()
        self._remotes: list[Remote] = []
        number = len(self._inboxes)
        try:
            for each in range(number):
                self._remotes.append(Remote(client, each, number, workers[each % len(workers)], bool(track_keys)))
            for remote in self._remotes:
                remote.wait_until_made()
            self._start(map(partial, [send] * number, self._inboxes, self._remotes), thread_name_prefix)
        except BaseException:
            for remote in self._remotes:
                remote.release()
            raise

    def owner(self, key: _KT) -> int:
        """Returns the number of the owner of `key`: the same for equal keys, in every process, and on every platform
        with 64-bit numbers. Raises TypeError for a key whose type has no hash that is the same in every process, and
        ValueError for NaN."""
        return owner_of(key, len(self._inboxes))

    def submit(
        self,
        key: _KT,
        fn: Callable[Concatenate[dict[_KT, _VT], _KT, _P], _T],
        /,
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> Future[_T]:
        """Runs fn(own_dict, key, *args, **kwargs) in the owner of `key`; returns the Future of the result or the
        exception. Tasks that one thread submits for one key run in the order of submission, and each runs at most once.

        The function and the arguments are pickled during this call. What cannot be pickled raises here, and later
        changes of the arguments do not matter. A function that refers only to constants, modules, classes and other
        such functions is pickled once. The result is pickled when the function has returned. If it cannot be pickled,
        the future gets the error, although the function ran. An exception of the function arrives with the remote
        traceback as its `__cause__`.

        The tasks travel in batches. That costs tens of microseconds for a task; an answer takes 1 ms or more.
        Future.cancel works until the task is sent. Done callbacks run in the thread of this process that receives the
        results of the owner. While one runs, no other result of the owner arrives. The rest is as in
        ShardWorkers.submit: waiting for room, queue.Full, errors of callbacks, deadlocks, signal handlers.

        Raises OwnerLost if the owner is lost, also through the future.
        """
        future: Future[_T] = self._send(None, key, fn, args, kwargs)
        return future

    def map(
        self,
        fn: Callable[Concatenate[dict[_KT, _VT], _KT, ...], _T],
        keys: Iterable[_KT],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
    ) -> Iterator[_T]:
        """Runs fn(own_dict, key, ...) in the owner of each key, and returns an iterator over the results in the order
        of the keys. As ShardWorkers.map, but it submits about 64 tasks for each owner in advance. Executor.map."""
        return super().map(fn, keys, *iterables, timeout=timeout)

    def broadcast(
        self, fn: Callable[Concatenate[dict[_KT, _VT], _P], _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> list[Future[_T]]:
        """Runs fn(own_dict, *args, **kwargs) once in every owner, after all tasks that were submitted to it before;
        returns a list of the Futures in the order of the owners. The owners do not run it at one point in time. Raises
        OwnerLost if an owner is known to be lost; then tasks that have not been sent are cancelled."""
        for remote in self._remotes:
            remote.check()
        return super().broadcast(fn, *args, **kwargs)

    def snapshot(self) -> dict[_KT, _VT]:
        """Returns a new dict of all entries: those of the first owner first. Every task that the calling thread
        submitted before has taken effect; each owner copies its dict between two tasks, but not all at one point in
        time. The values are copies. The whole map must fit the memory of this process, and the part of an owner twice
        the memory of its process. Raises OwnerLost if an owner is lost, and never returns a part of the map."""
        return super().snapshot()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stops accepting tasks. The owners finish the submitted tasks; then their dicts are freed. With
        `cancel_futures`, they finish only the tasks that were sent to them. With `wait`, returns when that is done;
        owners that are lost are not waited for. May be called again, from any thread; with `wait`, a done callback that
        calls it gets a RuntimeError. The client and the cluster stay open. Executor.shutdown."""
        super().shutdown(wait, cancel_futures=cancel_futures)

    def _send(
        self,
        context: Context | None,
        key: _KT,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Future[Any]:
        number = owner_of(key, len(self._inboxes))
        task = RemoteTask(self._pickles, fn, (key, *args), kwargs)
        keys = self._remotes[number].keys
        if keys is not None:
            keys.add(key)
        self._put(number, task)
        return task.future

    def _task(self, context: Context, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Task:
        return RemoteTask(self._pickles, fn, args, kwargs)

    def _put(self, number: int, task: Task) -> None:
        try:
            super()._put(number, task)
        except (RuntimeError, queue.Full):
            remote = self._remotes[number]
            if remote.lost is not None:
                raise remote.error(remote.lost) from None
            raise

    def __repr__(self) -> str:
        state = ", shut down" if self._inboxes[0].closed and self._remotes[0].lost is None else ""
        lost = sum(remote.lost is not None for remote in self._remotes)
        return f"<{type(self).__name__} of {len(self._inboxes)} owners{f', {lost} lost' * bool(lost)}{state}>"


def _finish_all() -> None:
    for each in list(_workers._live):
        if isinstance(each, DaskWorkers):
            each.shutdown()


# Functions that were registered last run first: before Dask's, which close clients and clusters.
atexit.register(_finish_all)
