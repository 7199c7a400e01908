"""A worker of ShardWorkers: its queue, the room in it, and its life.

Code of the user's may run wherever Python code runs: signal handlers in the main thread, finalizers that the collector
runs in any. It may call every method of the same ShardWorkers. So no lock is held here: what must happen in one step is
one call into C, which such code cannot interrupt.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context
from functools import partial
from typing import Any

from shardmap._map import ShardMap


class Task:
    """One call, the context it runs in, and the future that gets what comes of it."""

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
            del future, self  # the exception's traceback refers to this frame
        else:
            future.set_result(result)


_NEVER: Any = object()  # in no queue


class Inbox:
    """A worker's queue of tasks, each with the number of the place it takes, from 1 to `size`.

    To take a place and to put the task there is one step. So whoever is interrupted, for however long, has no place
    that others wait for, and an exception (KeyboardInterrupt) loses none.
    """

    __slots__ = ("_all_made", "_made", "_size", "closed", "free", "number", "over", "tasks", "waiting")

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.tasks: queue.SimpleQueue[tuple[Task, int] | None] = queue.SimpleQueue()
        self.closed = False  # takes no more
        self.over = False  # it runs nothing any more
        self.waiting: list[queue.SimpleQueue[None]] = []  # for that
        # Places are made when they are needed: there may be very many. The first is always there, and never in the
        # hands of somebody who is interrupted: so that who waits for one gets one.
        self.free: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.free.put(1)
        self._size = size
        self._made: ShardMap[str, int] = ShardMap.with_capacity(shards=1)
        self._made["places"] = 1
        self._all_made = size == 1

    def put(self, task: Task) -> bool:
        """If there is room."""
        while True:
            try:
                self._put_when(self.free.get_nowait, task)
            except queue.Empty:
                if not self._make_place():
                    return False
            else:
                return True

    def wait_and_put(self, task: Task, timeout: float | None) -> bool:
        """Waits for room. Signal handlers run meanwhile, and may themselves put tasks, first."""
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
        """One of those who wait for room, so that it sees that this is closed: the number of places means nothing any
        more, and perhaps nobody takes a task out and gives back its place."""
        self.free.put(1)

    def take_all(self) -> list[tuple[Task, int] | None]:
        taken: list[tuple[Task, int] | None] = []
        with contextlib.suppress(queue.Empty):
            taken.extend(iter(self.tasks.get_nowait, _NEVER))
        return taken

    def wait_until_over(self) -> None:
        # It says that it is over, then looks who waits; we say that we do, then look. One sees the other.
        bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.waiting.append(bell)
        if not self.over:
            bell.get()


class Here(threading.local):
    """What this thread is and does. Not found by idents of threads: these are used again."""

    inbox: Inbox | None = None  # whose worker it is
    joining = False


here = Here()


def work(inbox: Inbox) -> None:
    """A worker's life. It holds no reference to the ShardWorkers, which may so die before it."""
    here.inbox = inbox
    own: dict[Any, Any] = {}
    while (taken := inbox.tasks.get()) is not None:
        _run(inbox, *taken, own)
        del taken
    late = deque(inbox.take_all())  # put after the end
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
        # Not the function's: the future has those. A callback's, and no Exception (Future logs these), or that of a
        # future whose state somebody else has set. The worker has to live on: other tasks wait for it. Reported where
        # concurrent.futures reports what callbacks raise; threading.excepthook would be silent about SystemExit.
        with contextlib.suppress(BaseException):
            logging.getLogger("concurrent.futures").exception("exception calling callback for %r", task.future)
