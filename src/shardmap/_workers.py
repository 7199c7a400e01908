"""ShardWorkers: threads that each own a dict. Work on a key is sent to the owner of the key."""

from __future__ import annotations

import atexit
import functools
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextvars import Context, copy_context
from functools import partial
from itertools import count
from operator import index
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload
from weakref import WeakSet, finalize

from shardmap import _core
from shardmap._cpus import usable_cpus
from shardmap._inbox import Inbox, Task, cancel_all, close_all, here, work
from shardmap._public import public_class

_KT = TypeVar("_KT")
_VT = TypeVar("_VT")
_T = TypeVar("_T")
_R = TypeVar("_R")
_P = ParamSpec("_P")

_numbers = count()
_LONGEST_POLL = 0.01  # seconds: between a waiting worker's looks for room in another queue
_ENDED = "cannot submit a task: the workers were shut down, or they belong to the process that forked this one"


class _Wait:
    """The wait of a worker for room in another worker's queue."""

    __slots__ = ("attempts", "number")

    def __init__(self, number: int) -> None:
        self.number = number  # of the other worker
        self.attempts = 1  # odd: it is looking for room, and may have found it


@public_class()
class ShardWorkers(Generic[_KT, _VT]):
    """`n` threads, each with a plain dict that no other thread uses. Work on a key goes to the thread that owns the
    key. So it needs no lock, and all work on one key is done in one order. "Do not communicate by sharing memory; share
    memory by communicating."

    ShardWorkers(n=None, *, queue_size=1024, timeout=None, thread_name_prefix="ShardWorkers"): `n` is the number of
    threads; None means the number of CPUs. At most `queue_size` tasks wait for each thread. When the queue is full,
    the caller waits for room, at most `timeout` seconds (None: no limit), and then gets queue.Full. No task is dropped.

    Use it as a context manager, or call shutdown(). At interpreter exit, and when the last reference to the object is
    gone, the threads finish the submitted tasks. The dicts are gone when the threads have ended; before that, get
    results out of them with reduce().

    >>> import operator
    >>> def count(own, word):
    ...     own[word] = own.get(word, 0) + 1
    >>> with ShardWorkers(2) as workers:
    ...     for word in ["a", "b", "a"]:
    ...         _ = workers.submit(word, count)
    ...     sorted(workers.reduce(dict.copy, operator.or_).items())
    [('a', 2), ('b', 1)]
    """

    __slots__ = ("__weakref__", "_finalizer", "_inboxes", "_threads", "_timeout", "_waits")
    __module__ = "shardmap"
    _ahead = 2  # tasks for each thread that map() submits in advance

    def __init__(
        self,
        n: int | None = None,
        *,
        queue_size: int = 1024,
        timeout: float | None = None,
        thread_name_prefix: str = "ShardWorkers",
    ) -> None:
        self._make_inboxes(usable_cpus() if n is None else n, queue_size, timeout)
        self._start([partial(work, inbox) for inbox in self._inboxes], thread_name_prefix)

    def _make_inboxes(self, n: int, queue_size: int, timeout: float | None) -> None:
        number = index(n)
        if number < 1:
            raise ValueError(f"n must be at least 1, not {number}")
        if index(queue_size) < 1:
            raise ValueError(f"queue_size must be at least 1, not {queue_size}")
        if timeout is not None and not 0 <= timeout <= threading.TIMEOUT_MAX:
            raise ValueError(f"timeout must be None or from 0 to threading.TIMEOUT_MAX seconds, not {timeout}")
        self._timeout = timeout
        self._inboxes = [Inbox(each, queue_size) for each in range(number)]
        self._waits: dict[int, _Wait] = {}  # by the number of the worker that waits
        self._threads: list[threading.Thread] = []

    def _start(self, works: Iterable[Callable[[], None]], thread_name_prefix: str) -> None:
        """Starts a thread for each of the works, which hold no reference to this object."""
        self._finalizer = finalize(self, close_all, list(self._inboxes))
        self._finalizer.atexit = False
        name = f"{thread_name_prefix}-{next(_numbers)}"
        try:
            for each, target in enumerate(works):
                # Daemons: _finish_all() waits for them at exit.
                thread = threading.Thread(target=target, name=f"{name}-{each}", daemon=True)
                thread.start()
                self._threads.append(thread)
        except BaseException:
            close_all(self._inboxes)
            raise
        _live.add(self)

    @property
    def _workers(self) -> dict[int | None, int]:
        """The threads' idents, for debugging. After the threads have ended, the system may give the idents to other
        threads."""
        return {thread.ident: number for number, thread in enumerate(self._threads)}

    def __len__(self) -> int:
        """Returns the number of threads."""
        return len(self._inboxes)

    def owner(self, key: _KT) -> int:
        """Returns the number of the thread that owns `key`: the same for equal keys, as long as this process runs. Keys
        are distributed as by ShardMap.shard_index. If n is a power of two, the number equals shard_index of a map with
        n shards."""
        return _core._owner(key, len(self._inboxes))

    # --- Sending work ---

    def submit(
        self,
        key: _KT,
        fn: Callable[Concatenate[dict[_KT, _VT], _KT, _P], _T],
        /,
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> Future[_T]:
        """Runs fn(own_dict, key, *args, **kwargs) in the owner of `key`; returns the Future of the result or the
        exception. Tasks that one thread submits for one key run in the order of submission. The function runs in a copy
        of the caller's context (context variables, decimal's context).

        If the owner's queue is full, waits for room, and may raise queue.Full (see the class). A worker that would wait
        without end, because the queue is its own or that of a worker that waits for it, gets a RuntimeError. After
        shutdown(), every call raises RuntimeError. A worker that waits for the *result* of a task of its own thread
        waits without end, as with any Executor. If submit raises, even KeyboardInterrupt, the function does not run,
        unless it was already running.

        Done callbacks of the Future run in the worker. If one raises, even SystemExit or KeyboardInterrupt, the
        exception is logged as in concurrent.futures, and the worker continues.

        Signal handlers and finalizers may submit, even if they interrupt a wait for room in their own thread. They wait
        like other code, and the interrupted wait then continues. If that would be a deadlock, they get the
        RuntimeError: a `__del__` that the garbage collector runs in a worker cannot wait for room in that worker's
        queue. Executor.submit.
        """
        future: Future[_T] = self._send(copy_context(), key, fn, args, kwargs)
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
        of the keys. `iterables` provide the further arguments. It submits about two tasks for each thread in advance,
        and takes further keys from their iterable as results are taken. The first exception is raised in place of its
        result. If the next result is not there `timeout` seconds after the call, raises TimeoutError. In both cases,
        tasks that have not started are cancelled. All tasks run in copies of the context in which map() was called.
        Executor.map.
        """
        end = None if timeout is None else time.monotonic() + timeout
        calls = zip(keys, *iterables, strict=False)
        ahead: deque[Future[_T]] = deque()
        context = copy_context()

        def send() -> bool:
            for key, *rest in calls:
                ahead.append(self._send(context.copy(), key, fn, tuple(rest), {}))
                return True
            return False

        def results() -> Iterator[_T]:
            try:
                while ahead:
                    send()
                    yield ahead[0].result(None if end is None else max(0.0, end - time.monotonic()))
                    ahead.popleft()
            finally:
                for future in ahead:
                    future.cancel()

        try:
            for _ in range(self._ahead * len(self._inboxes)):
                if not send():
                    break
        except BaseException:
            for future in ahead:
                future.cancel()
            raise
        return results()

    def broadcast(
        self, fn: Callable[Concatenate[dict[_KT, _VT], _P], _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> list[Future[_T]]:
        """Runs fn(own_dict, *args, **kwargs) once in every thread, after all tasks that were submitted to it before;
        returns a list of the Futures in the order of the threads. The threads do not run it at one point in time. Each
        call runs in a copy of the caller's context. If a queue stays full, tasks that have not started are
        cancelled."""
        tasks: list[Task] = []
        try:
            for number in range(len(self._inboxes)):
                tasks.append(self._task(copy_context(), fn, args, kwargs))
                self._put(number, tasks[-1])
        except BaseException:
            for task in tasks:
                task.future.cancel()
            raise
        return [task.future for task in tasks]

    @overload
    def reduce(self, fn: Callable[[dict[_KT, _VT]], _T], combine: Callable[[_T, _T], _T], /) -> _T: ...
    @overload
    def reduce(self, fn: Callable[[dict[_KT, _VT]], _T], combine: Callable[[_R, _T], _R], initial: _R, /) -> _R: ...
    def reduce(self, fn: Callable[[dict[_KT, _VT]], Any], combine: Callable[[Any, Any], Any], /, *initial: Any) -> Any:
        """Runs fn(own_dict) in every thread and combines the results, from the first thread to the last, with
        functools.reduce: workers.reduce(len, operator.add). Waits for the results, and raises the first exception. `fn`
        runs in copies of the caller's context, and `combine` runs in the caller."""
        futures = self.broadcast(fn)
        return functools.reduce(combine, [future.result() for future in futures], *initial)

    def snapshot(self) -> dict[_KT, _VT]:
        """Returns a new dict of all entries: those of the first thread first. Every task that the calling thread
        submitted before has taken effect; each thread copies its dict between two tasks, but not all at one point in
        time. The values are not copied, as in dict.copy. Costs O(entries)."""
        found: dict[_KT, _VT] = {}
        for future in self.broadcast(dict.copy):
            found.update(future.result())
        return found

    def _send(
        self, context: Context, key: _KT, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[Any]:
        task = self._task(context, fn, (key, *args), kwargs)
        self._put(_core._owner(key, len(self._inboxes)), task)
        return task.future

    def _task(self, context: Context, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Task:
        return Task(context, fn, args, kwargs)

    def _put(self, number: int, task: Task) -> None:
        inbox = self._inboxes[number]
        if inbox.closed:
            raise RuntimeError(_ENDED)
        try:
            if not inbox.put(task):
                self._wait_and_put(number, task)
            # If the queue is not closed yet, the worker finds the task. Otherwise it may have stopped looking.
            if inbox.closed and task.future.cancel():
                raise RuntimeError(_ENDED)
        except BaseException:
            task.future.cancel()  # it may already be in the queue
            raise
        finally:
            if inbox.closed:
                inbox.wake()  # the next submitter that waits

    def _wait_and_put(self, number: int, task: Task) -> None:
        me = self._me()
        if me == number:
            raise RuntimeError("deadlock: a worker cannot wait for room in its own queue")
        if me is not None and self._timeout is None:
            self._wait_as_worker(me, number, task)
        elif not self._inboxes[number].wait_and_put(task, self._timeout):
            raise queue.Full(f"the queue of worker {number} had no room within {self._timeout} s")

    def _me(self) -> int | None:
        """The number of the worker that calls, or None."""
        inbox = here.inbox
        return inbox.number if inbox is not None and inbox in self._inboxes else None

    # A waiting worker takes nothing from its queue. So workers that wait for each other in a circle would wait for ever
    # if each queue in the circle is full. No lock is held meanwhile. A worker that looks for a circle reads the waits,
    # then whether the queues are full, then the waits again. If the waits are the same, and none of them made another
    # attempt to get room, then all waited at the same time, on full queues. The worker with the least number in the
    # circle gets the error.
    #
    # A finalizer that submits while its thread waits has a wait of its own, which replaces the interrupted one. At its
    # end, the interrupted wait is put back unchanged. The worker took nothing meanwhile, so both may count as one wait.

    def _wait_as_worker(self, me: int, number: int, task: Task) -> None:
        """Waits for room in another worker's queue. Raises RuntimeError if that worker waits, directly or through
        others, for room in this worker's queue."""
        inbox, wait, pause = self._inboxes[number], _Wait(number), 0.0
        interrupted = self._waits.get(me)
        try:
            self._waits[me] = wait
            while not inbox.put(task):
                wait.attempts += 1
                if self._is_first_of_circle(me):
                    raise RuntimeError("deadlock: workers wait for room in each other's full queues")
                time.sleep(pause)
                pause = min(2 * pause + 0.0001, _LONGEST_POLL)
                wait.attempts += 1
        finally:
            if interrupted is None:
                self._waits.pop(me, None)
            else:
                self._waits[me] = interrupted

    def _is_first_of_circle(self, me: int) -> bool:
        circle: list[tuple[int, _Wait, int]] = []
        at = me
        while not circle or at != me:
            wait = self._waits.get(at)
            # The third condition: there may be a circle further on that does not contain this worker.
            if wait is None or at < me or len(circle) == len(self._inboxes):
                return False
            circle.append((at, wait, wait.attempts))
            at = wait.number
        return all(attempts % 2 == 0 and self._inboxes[wait.number].is_full() for _, wait, attempts in circle) and all(
            self._waits.get(at) is wait and wait.attempts == attempts for at, wait, attempts in circle
        )

    # --- The end ---

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stops accepting tasks. The threads finish the submitted tasks and end; with `cancel_futures`, they finish
        only the tasks that they have started. With `wait`, returns when the threads have ended. May be called again,
        from any thread; with `wait`, a worker that calls it gets a RuntimeError. Executor.shutdown."""
        if wait and self._me() is not None:
            raise RuntimeError("a worker cannot wait for its own end: call shutdown(wait=False)")
        try:
            for inbox in self._inboxes:
                inbox.closed = True
            if cancel_futures:
                cancel_all(self._inboxes)
        finally:
            close_all(self._inboxes)
        if wait:
            for inbox, thread in zip(self._inboxes, self._threads, strict=False):
                inbox.wait_until_over()
                # Before 3.13, join() holds a lock during some Python code. A signal handler that calls shutdown()
                # within that code would wait for its own thread. It need not join: the worker has finished its tasks.
                if not here.joining:
                    try:
                        here.joining = True
                        thread.join()
                    finally:
                        here.joining = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()

    def __repr__(self) -> str:
        state = ", shut down" if self._inboxes[0].closed else ""
        return f"<{type(self).__name__} of {len(self._inboxes)} threads{state}>"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def _after_fork(self) -> None:
        # The threads do not survive a fork, and may have held locks of the inboxes.
        self._finalizer.detach()
        self._inboxes = [Inbox(each, 1) for each in range(len(self._inboxes))]
        close_all(self._inboxes)
        self._threads, self._waits = [], {}


_live: WeakSet[ShardWorkers[Any, Any]] = WeakSet()


def _finish_all() -> None:
    for each in list(_live):
        each.shutdown()


def _after_fork() -> None:
    for each in list(_live):
        each._after_fork()


atexit.register(_finish_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
