"""ShardWorkers: threads that each own a dict, and work sent to the owner of its key."""

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
from itertools import count
from operator import index
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload
from weakref import WeakSet, finalize

from shardmap import _core
from shardmap._cpus import usable_cpus

_KT = TypeVar("_KT")
_VT = TypeVar("_VT")
_T = TypeVar("_T")
_R = TypeVar("_R")
_P = ParamSpec("_P")

_numbers = count()
_LONGEST_POLL = 0.01  # seconds: of a worker that waits for room in another's queue
_ENDED = "cannot submit: the workers were shut down, or are threads of the process that this one was forked from"


class _Task:
    """One call, and the future that gets what comes of it."""

    __slots__ = ("arguments", "function", "future", "keywords")

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self.future: Future[Any] = Future()
        self.function = function
        self.arguments = arguments
        self.keywords = keywords

    def run(self, own: dict[Any, Any]) -> None:
        future = self.future
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = self.function(own, *self.arguments, **self.keywords)
        except BaseException as error:
            future.set_exception(error)
            del future, self  # the exception's traceback refers to this frame
        else:
            future.set_result(result)


class _Inbox:
    """A worker's queue. Room is counted apart from the queue, whose put() even a finalizer may call."""

    __slots__ = ("closed", "ended", "room", "tasks")

    def __init__(self, size: int) -> None:
        self.tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self.room = threading.Semaphore(size)
        self.closed = False  # takes no more
        self.ended = False  # its worker takes what is there, then stops

    def close(self) -> None:
        self.closed = True
        self.tasks.put(None)

    def left(self) -> Iterator[_Task]:
        """Takes out what is there, and gives its room back."""
        while True:
            try:
                task = self.tasks.get_nowait()
            except queue.Empty:
                return
            if task is not None:
                self.room.release()
                yield task
                del task


def _close_all(inboxes: Iterable[_Inbox]) -> None:
    for inbox in inboxes:
        inbox.close()


def _work(inbox: _Inbox) -> None:
    """A worker's life. It holds no reference to the ShardWorkers, which may so die before it."""
    own: dict[Any, Any] = {}
    while (task := inbox.tasks.get()) is not None:
        inbox.room.release()
        task.run(own)
        del task
    inbox.ended = True
    for task in inbox.left():  # put after the end was
        task.run(own)
        del task


class ShardWorkers(Generic[_KT, _VT]):
    """`n` threads, each with a plain dict that nobody else touches. Work on a key goes to the thread that owns it: it
    needs no lock, and all work on one key happens in one order. "Do not communicate by sharing memory; share memory by
    communicating."

    ShardWorkers(n=None, *, queue_size=1024, timeout=None, thread_name_prefix="ShardWorkers"): as many threads as there
    are CPUs unless `n` says otherwise. At most `queue_size` tasks wait for each thread. When its queue is full,
    whoever submits waits for room, at most `timeout` seconds, and then gets a queue.Full; nothing is dropped.

    Use it as a context manager, or call shutdown(). At interpreter exit, and when the last reference to it goes, the
    threads finish what was submitted. The dicts go with the threads; reduce() gets out of them what should stay.

    >>> import operator
    >>> def count(own, word):
    ...     own[word] = own.get(word, 0) + 1
    >>> with ShardWorkers(2) as workers:
    ...     for word in ["a", "b", "a"]:
    ...         _ = workers.submit(word, count)
    ...     sorted(workers.reduce(dict.copy, operator.or_).items())
    [('a', 2), ('b', 1)]
    """

    __slots__ = ("__weakref__", "_finalizer", "_inboxes", "_threads", "_timeout", "_waiting", "_waits", "_workers")
    __module__ = "shardmap"

    def __init__(
        self,
        n: int | None = None,
        *,
        queue_size: int = 1024,
        timeout: float | None = None,
        thread_name_prefix: str = "ShardWorkers",
    ) -> None:
        number = usable_cpus() if n is None else index(n)
        if number < 1:
            raise ValueError("there must be at least one worker")
        if index(queue_size) < 1:
            raise ValueError("queue_size must be at least 1")
        if timeout is not None and not 0 <= timeout <= threading.TIMEOUT_MAX:
            raise ValueError("timeout must be from 0 to threading.TIMEOUT_MAX seconds, or None")
        self._timeout = timeout
        self._inboxes = [_Inbox(queue_size) for _ in range(number)]
        self._workers: dict[int, int] = {}  # thread's ident to its number
        self._waiting = threading.Lock()
        self._waits: dict[int, int] = {}  # workers that wait for room in another's queue
        self._threads: list[threading.Thread] = []
        self._finalizer = finalize(self, _close_all, list(self._inboxes))
        self._finalizer.atexit = False
        name = f"{thread_name_prefix}-{next(_numbers)}"
        try:
            for each, inbox in enumerate(self._inboxes):
                # Daemons: _finish_all() waits for them at exit.
                thread = threading.Thread(target=_work, args=(inbox,), name=f"{name}-{each}", daemon=True)
                thread.start()
                self._threads.append(thread)
                assert thread.ident is not None
                self._workers[thread.ident] = each
        except BaseException:
            _close_all(self._inboxes)
            raise
        _live.add(self)

    def __len__(self) -> int:
        """The number of threads."""
        return len(self._inboxes)

    def owner(self, key: _KT) -> int:
        """The number of the thread that owns `key`: the same for equal keys, for as long as this process runs. Spread
        as ShardMap.shard_index does it, and equal to that of a map with n shards if n is a power of two."""
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
        """Runs fn(own_dict, key, *args, **kwargs) on the owner of `key`; returns the Future of what it returns or
        raises. Tasks that one thread submits for one key run in that order.

        If the owner's queue is full: waits (see the class), queue.Full. A worker that would wait for ever, because the
        queue is its own or that of a worker that waits for it, gets a RuntimeError instead, as does everybody after
        shutdown(). A worker that waits for the *result* of a task of its own thread waits for ever, as with any
        Executor; nor should `__del__` submit. Executor.submit.
        """
        task = _Task(fn, (key, *args), kwargs)
        self._put(_core._owner(key, len(self._inboxes)), task)
        return task.future

    def map(
        self,
        fn: Callable[Concatenate[dict[_KT, _VT], _KT, ...], _T],
        keys: Iterable[_KT],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
    ) -> Iterator[_T]:
        """fn(own_dict, key, ...) on the owner of each key, the results in the order of the keys; `iterables` give the
        further arguments. Keys are taken from their iterable as results are taken from this one, about as many ahead as
        there is room in the queues. The first exception is raised where its result would come, TimeoutError if the
        next result is not there `timeout` seconds after the call; what has not begun is then cancelled. Executor.map.
        """
        end = None if timeout is None else time.monotonic() + timeout
        calls = zip(keys, *iterables, strict=False)
        ahead: deque[Future[_T]] = deque()

        def send() -> bool:
            for key, *rest in calls:
                ahead.append(self.submit(key, fn, *rest))
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
            for _ in range(2 * len(self._inboxes)):
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
        """Runs fn(own_dict, *args, **kwargs) once on every thread, after all that was submitted to it before; returns
        their Futures in the threads' order. The threads do not do it at one point in time. If a queue stays full, what
        has not begun is cancelled."""
        tasks: list[_Task] = []
        try:
            for number in range(len(self._inboxes)):
                tasks.append(_Task(fn, args, kwargs))
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
        """fn(own_dict) of every thread, combined from the first thread's to the last's as functools.reduce does it:
        workers.reduce(len, operator.add). Waits for the results; the first exception is raised."""
        futures = self.broadcast(fn)
        return functools.reduce(combine, [future.result() for future in futures], *initial)

    def _put(self, number: int, task: _Task) -> None:
        inbox = self._inboxes[number]
        if inbox.closed:
            raise RuntimeError(_ENDED)
        if not inbox.room.acquire(blocking=False):
            me = self._workers.get(threading.get_ident())
            if me == number:
                raise RuntimeError("deadlock: a worker cannot wait for room in its own queue")
            if me is not None and self._timeout is None:
                self._wait_as_worker(me, number)
            elif not inbox.room.acquire(timeout=self._timeout):
                raise queue.Full
            if inbox.closed:
                inbox.room.release()
                raise RuntimeError(_ENDED)
        inbox.tasks.put(task)
        # The worker says that it ends, then looks for tasks; we put one, then look whether it ends. One of the two sees
        # the other: if not the worker, the task is still to be cancelled.
        if inbox.ended and task.future.cancel():
            inbox.room.release()  # nobody else will: those who wait for room would wait for ever
            raise RuntimeError(_ENDED)

    def _wait_as_worker(self, me: int, number: int) -> None:
        """Waits for room in another worker's queue, unless that one waits in turn, over any number of others, for room
        in this one's: workers that wait take nothing from their queues."""
        room = self._inboxes[number].room
        pause = 0.0
        while True:
            # Room is taken, and the note of it, under one lock: so a wait that is noted is still one.
            with self._waiting:
                self._waits.pop(me, None)
                if room.acquire(blocking=False):
                    return
                self._waits[me] = number
                if self._is_circle(me):
                    del self._waits[me]
                    raise RuntimeError("deadlock: workers with full queues wait for room in each other's")
            time.sleep(pause)
            pause = min(2 * pause + 0.0001, _LONGEST_POLL)

    def _is_circle(self, me: int) -> bool:
        at: int | None = me
        for _ in self._inboxes:
            at = self._waits.get(at) if at is not None else None
            if at is None:
                return False
            room = self._inboxes[at].room
            if room.acquire(blocking=False):
                room.release()
                return False
            if at == me:
                return True
        return False

    # --- The end ---

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more work. The threads do what was submitted, or with `cancel_futures` only what they have begun,
        and end; with `wait` this returns when they have. May be called again. Executor.shutdown."""
        if wait and threading.get_ident() in self._workers:
            raise RuntimeError("a worker cannot wait for its own end: shutdown(wait=False)")
        for inbox in self._inboxes:
            inbox.closed = True
        if cancel_futures:
            for inbox in self._inboxes:
                for task in inbox.left():
                    task.future.cancel()
        _close_all(self._inboxes)
        if wait:
            for thread in self._threads:
                thread.join()

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
        # Threads do not survive a fork, and theirs may have had locks of the inboxes.
        self._finalizer.detach()
        self._inboxes = [_Inbox(1) for _ in self._inboxes]
        _close_all(self._inboxes)
        self._threads, self._workers, self._waits = [], {}, {}
        self._waiting = threading.Lock()


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
