"""A worker of ShardWorkers: its queue, the room in the queue, and its life.

User code may run wherever Python code runs: signal handlers in the main thread, finalizers of the garbage collector in
any thread. It may call every method of the same ShardWorkers. So no lock is held here. What must happen in one step is
one call into C, which such code cannot interrupt.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextvars import Context
from functools import partial
from typing import Any

from shardmap._map import ShardMap


class Task:
    """One call, the context in which it runs, and the future for its result."""

    __slots__ = ("arguments", "context", "function", "future", "keywords")

    def __init__(
        self, context: Context, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> None:
        self.future: Future[Any] = Future()
        self.context = context
        self.function = function
        self.arguments = arguments
        self.keywords = keywords

    def run(self, own: dict[Any, Any]) -> None:
        future = self.future
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = self.context.run(self.function, own, *self.arguments, **self.keywords)
        except BaseException as error:
            future.set_exception(error)
            del future, self  # because the exception's traceback refers to this frame
        else:
            future.set_result(result)


_NEVER: Any = object()  # an object that is in no queue


class Inbox:
    """A worker's queue of tasks. Each task has the number of the place that it takes, from 1 to `size`.

    Taking a place and putting the task there is one step. So code that is interrupted, for however long, has no place
    that others wait for, and an exception (KeyboardInterrupt) loses no place.
    """

    __slots__ = ("_all_made", "_made", "_size", "closed", "free", "number", "over", "tasks", "waiting")

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.tasks: queue.SimpleQueue[tuple[Task, int] | None] = queue.SimpleQueue()
        self.closed = False  # accepts no more tasks
        self.over = False  # the worker runs no more tasks
        self.waiting: list[queue.SimpleQueue[None]] = []  # for `over`
        # Places are made when they are needed, because there may be very many. The first one always exists, and code
        # that is interrupted never holds it. So every wait for a place ends.
        self.free: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.free.put(1)
        self._size = size
        self._made: ShardMap[str, int] = ShardMap.with_capacity(shards=1)
        self._made["places"] = 1
        self._all_made = size == 1

    def put(self, task: Task) -> bool:
        """Puts the task into the queue, and returns whether there was room."""
        while True:
            try:
                self._put_when(self.free.get_nowait, task)
            except queue.Empty:
                if not self._make_place():
                    return False
            else:
                return True

    def wait_and_put(self, task: Task, timeout: float | None) -> bool:
        """Waits for room, and returns whether there was any within the timeout. Signal handlers run meanwhile; tasks
        that they put come first."""
        try:
            self._put_when(partial(self.free.get, True, timeout), task)
        except queue.Empty:
            return False
        return True

    def _put_when(self, place: Callable[[], int], task: Task) -> None:
        # One call of next(), in which only C code runs. A signal handler runs within `place` or afterwards.
        next(map(self.tasks.put, zip((task,), iter(place, None), strict=False)))

    def _make_place(self) -> bool:
        if self._all_made:
            return False
        if [*map(self.free.put, filter(self._size.__ge__, map(self._made.add, ("places",))))]:
            return True
        self._all_made = True
        return False

    def is_full(self) -> bool:
        return self._all_made and self.free.empty()

    def close(self) -> None:
        self.closed = True
        self.tasks.put(None)
        self.wake()

    def wake(self) -> None:
        """Wakes one of the waits for room, so that it sees that the queue is closed. From then on the number of places
        has no meaning, and perhaps no task is taken out and gives its place back."""
        self.free.put(1)

    def take_all(self) -> list[tuple[Task, int] | None]:
        taken: list[tuple[Task, int] | None] = []
        with contextlib.suppress(queue.Empty):
            taken.extend(iter(self.tasks.get_nowait, _NEVER))
        return taken

    def wait_until_over(self) -> None:
        # The worker sets `over`, then reads `waiting`. We add to `waiting`, then read `over`. So one sees the other.
        bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.waiting.append(bell)
        if not self.over:
            bell.get()


def close_all(inboxes: Iterable[Inbox]) -> None:
    for inbox in inboxes:
        inbox.close()


def cancel_all(inboxes: Iterable[Inbox]) -> None:
    """Cancels all tasks that wait in the queues, even if a callback of a future raises. Raises the first error at the
    end."""
    first: BaseException | None = None
    for inbox in inboxes:
        left = inbox.take_all()
        while left:
            try:
                if left[-1] is not None:
                    left[-1][0].future.cancel()
                left.pop()
            except BaseException as error:
                first = first or error  # once more: a cancelled future calls no callback twice
    if first is not None:
        raise first


class Here(threading.local):
    """What the current thread is and does. Not stored by thread ident, because idents are reused."""

    inbox: Inbox | None = None  # of the worker that this thread is
    joining = False


here = Here()


def work(inbox: Inbox) -> None:
    """Runs a worker. It holds no reference to the ShardWorkers object, so that this can be deallocated before it."""
    here.inbox = inbox
    own: dict[Any, Any] = {}
    while (taken := inbox.tasks.get()) is not None:
        _run(inbox, *taken, own)
        del taken
    late = deque(inbox.take_all())  # tasks that were put after the end
    while late:
        if (taken := late.popleft()) is not None:
            _run(inbox, *taken, own)
        del taken
    del own
    inbox.over = True
    for bell in inbox.waiting:
        bell.put(None)


def _run(inbox: Inbox, task: Task, place: int, own: dict[Any, Any]) -> None:
    try:
        inbox.free.put(place)
        task.run(own)
    except BaseException:
        # Exceptions of the function are in the future. This one is from a callback and no Exception (Future logs
        # those), or from a future whose state was set by other code. The worker must continue, because other tasks
        # wait for it. Logged where concurrent.futures logs exceptions of callbacks; threading.excepthook ignores
        # SystemExit.
        with contextlib.suppress(BaseException):
            logging.getLogger("concurrent.futures").exception("exception calling callback for %r", task.future)
