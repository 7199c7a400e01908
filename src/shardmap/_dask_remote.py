"""The client's side of the owners of DaskWorkers: a thread for each owner sends its tasks in batches, and sets their
futures.

One batch of an owner is on its way at a time. So batches cannot overtake each other, and tasks that are submitted
meanwhile make up the next batch: more under load, a single one if nothing else waits.

A failed call is not repeated. Nobody could say which tasks of the batch have run. From then on the owner counts as
lost, even if its worker still runs.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import queue
import reprlib
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from typing import Any

from distributed import Client
from distributed.protocol import to_serialize
from distributed.protocol.pickle import dumps

from shardmap._dask_functions import FunctionPickles
from shardmap._dask_owner import MOST_BYTES, PLAIN, Owner, load_error
from shardmap._inbox import Inbox, Task, here
from shardmap._public import public_class
from shardmap._stable_hash import owner_of

_MOST_TASKS = 1 << 16  # in a batch
_POLL = 0.5  # seconds: between looks at whether the cluster has noticed a loss that broke no connection of ours


@public_class()
class OwnerLost(BrokenExecutor):
    """An owner of DaskWorkers is lost, and with it the entries of its keys: its worker ended, the connection to it
    broke, or the scheduler or the client went away. Tasks of this owner that had no result yet get this error; those in
    the last batch may have run. Every later call that needs this owner gets it, too. The other owners continue.

    `owner` is the number of the owner: DaskWorkers.owner(key) of its keys. `address` is the address of its worker.
    `reason` says what was noticed. `keys` is a frozenset of the keys for which tasks were submitted to this owner,
    including keys whose entries were removed again and keys whose submit() raised queue.Full; None with
    track_keys=False. Keys that a broadcast function stored on its own account are not in it.

    A RuntimeError, and a concurrent.futures.BrokenExecutor.
    """

    __module__ = "shardmap.dask"

    def __init__(self, owner: int, owners: int, address: str, reason: str, keys: frozenset[Any] | None) -> None:
        super().__init__(owner, owners, address, reason, keys)
        self.owner = owner
        self.address = address
        self.reason = reason
        self.keys = keys
        self._owners = owners

    def owns(self, key: object) -> bool:
        """Returns whether the key belonged to the lost owner, so that its entry is gone. Works for all keys, with and
        without track_keys."""
        return owner_of(key, self._owners) == self.owner

    def __str__(self) -> str:
        if self.keys is None:
            gone = f"the keys with owner(key) == {self.owner}"
        else:
            some = ", ".join(reprlib.repr(key) for key, _ in zip(self.keys, range(5), strict=False))
            more = ", ..." if len(self.keys) > 5 else ""
            number = "1 key" if len(self.keys) == 1 else f"{len(self.keys):,} keys"
            gone = number + (f" ({some}{more})" if some else "")
        return f"owner {self.owner} on worker {self.address} is lost, and with it {gone}: {self.reason}"


class RemoteTask(Task):
    """A call, pickled as far as needed, so that later changes of the arguments do not matter."""

    __slots__ = ("constant", "pickled", "size")

    def __init__(
        self,
        pickles: FunctionPickles,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        keywords: dict[str, Any],
    ) -> None:
        self.future: Future[Any] = Future()
        self.pickled, self.constant = pickles.get(function)
        self.keywords = keywords
        self.arguments: Any = arguments
        self.size = len(arguments)
        for each in (*arguments, *keywords.values()) if keywords else arguments:
            if type(each) not in PLAIN:
                self.arguments = dumps((arguments, keywords))
                self.size = len(self.arguments)
                break
            if type(each) is str or type(each) is bytes:
                self.size += len(each)
        if not self.constant:
            self.size += len(self.pickled)


class Lost(Exception):
    """A call of an owner failed; the argument says why."""


class Remote:
    """An owner, as the client sees it."""

    __slots__ = ("_batches", "_future", "_lost_keys", "address", "client", "keys", "lost", "number", "owners")

    def __init__(self, client: Client, number: int, owners: int, address: str, track_keys: bool) -> None:
        self.client = client
        self.number = number
        self.owners = owners
        self.address = address
        self.keys: set[Any] | None = set() if track_keys else None
        self.lost: str | None = None  # why
        self._lost_keys: frozenset[Any] | None = None
        self._batches = 0
        # The key has no meaning to Dask. allow_other_workers=False: nowhere else is there such a dict.
        self._future = client.submit(
            Owner,
            actor=True,
            key=f"shardmap-owner-{number}-{uuid.uuid4().hex}",
            workers=[address],
            allow_other_workers=False,
        )

    def wait_until_made(self) -> None:
        while self._future.status == "pending":
            # `exception`, because `result` would bind the actor to a client that Dask chooses.
            with contextlib.suppress(TimeoutError):
                self._future.exception(timeout=_POLL)
            if self._future.status == "pending" and self.address not in self.client.nthreads():
                raise self.error("the worker ended before the owner was made")
        if self._future.status == "error":
            raise self._future.exception()
        if self._future.status != "finished":
            raise self.error(self.noticed() or "the owner was not made")

    def call(self, batch: bytes) -> bytes:
        """Sends a batch and returns the answer. Raises Lost."""
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()

        # Not through Dask's proxy of an actor: its future is never set if the call fails with anything but an OSError,
        # and it may be bound to another client of the process.
        async def execute(number: int = self._batches) -> None:
            message: dict[str, Any] = {
                "actor": self._future.key,
                "function": "run",
                "args": [to_serialize(number), to_serialize(batch)],
                "kwargs": {},
            }
            try:
                if self.client.direct_to_workers:
                    done = await self.client.rpc(self.address).actor_execute(**message)
                else:
                    message["op"] = "actor_execute"
                    done = await self.client.scheduler.proxy(worker=self.address, msg=message)
                answer.put(done["result"] if done["status"] == "OK" else Lost(str(done["exception"])))
            except BaseException as error:
                answer.put(Lost(f"{type(error).__name__}: {error}"))
                if not isinstance(error, Exception):
                    raise

        self._batches += 1
        try:
            self.client.loop.add_callback(execute)
        except Exception as error:  # the loop is closed
            raise Lost(repr(error)) from error
        while True:
            try:
                result = answer.get(timeout=_POLL)
            except queue.Empty:
                if self.noticed() is not None:
                    raise Lost("no answer") from None
            else:
                if isinstance(result, Lost):
                    raise result
                return result  # type: ignore[no-any-return]

    def noticed(self) -> str | None:
        """What the cluster or the client says of the loss of this owner."""
        if self.client.status in ("closing", "closed"):
            return "the client was closed"
        status = self._future.status
        if status == "finished":
            return None
        if self.client.status != "running":
            return "the connection to the scheduler was lost"
        return "the worker ended" if status == "error" else f"Dask's future of the actor is {status}"

    def check(self) -> None:
        """Raises OwnerLost if the loss is known."""
        if self.lost is not None:
            raise self.error(self.lost)
        noticed = self.noticed()
        if noticed is not None:
            raise self.error(noticed)

    def error(self, reason: str) -> OwnerLost:
        # One set for all errors after the loss: there may be a million of each.
        keys = self._lost_keys
        if keys is None and self.keys is not None:
            keys = frozenset(self.keys)
            if self.lost is not None:
                self._lost_keys = keys
        return OwnerLost(self.number, self.owners, self.address, reason, keys)

    def release(self) -> None:
        """Has Dask free the actor."""
        with contextlib.suppress(Exception):  # the client may be closed
            self._future.release()


def send(inbox: Inbox, remote: Remote) -> None:
    """Runs the thread of an owner. It holds no reference to the DaskWorkers object."""
    here.inbox = inbox
    started: deque[RemoteTask] = deque()  # in order; the owner may not have run all of the last batch
    reason = "the thread that sends its tasks failed"
    open_, limit = True, 16
    try:
        while open_ or started:
            open_ = _take(inbox, started, limit) if open_ else False
            if not started and not open_:
                for taken in inbox.take_all():  # tasks that were put after the end
                    if taken is not None:
                        _start(taken[0], started)
            if started:
                sent = _pack(started, limit)
                values, others = pickle.loads(remote.call(sent[1]))
                for place, value in enumerate(values):
                    _settle(started.popleft(), value, others.get(place))
                limit = min(2 * limit, _MOST_TASKS) if len(values) == sent[0] else max(1, len(values))
                del sent, values, others
    except Lost as lost:
        noticed = remote.noticed()
        reason = str(lost) if noticed is None else f"{noticed} ({lost})"
    finally:
        if open_ or started:
            _lose(inbox, remote, reason, started)
        remote.release()
        inbox.over = True
        for bell in inbox.waiting:
            bell.put(None)


def _take(inbox: Inbox, started: deque[RemoteTask], limit: int) -> bool:
    """Takes tasks out of the queue, at most `limit` at once; waits for one if there are none. Returns whether the queue
    is still open."""
    size = sum(task.size for task in started)
    while len(started) < limit and size < MOST_BYTES:
        try:
            taken = inbox.tasks.get(block=not started)
        except queue.Empty:
            return True
        if taken is None:
            return False
        task, place = taken
        inbox.free.put(place)
        size += task.size if _start(task, started) else 0  # type: ignore[attr-defined]
    return True


def _start(task: Task, started: deque[RemoteTask]) -> bool:
    assert isinstance(task, RemoteTask)
    with _Logged(task):
        if task.future.set_running_or_notify_cancel():
            started.append(task)
            return True
    return False


def _pack(started: deque[RemoteTask], limit: int) -> tuple[int, bytes]:
    """Returns the next batch and the number of its tasks. See _dask_owner."""
    places: dict[bytes, int] = {}
    calls: list[tuple[Any, ...]] = []
    size = 0
    for task in started:
        if len(calls) == limit or size >= MOST_BYTES:
            break
        size += task.size
        which = places.setdefault(task.pickled, len(places)) if task.constant else task.pickled
        if isinstance(task.arguments, bytes):
            calls.append((which, task.arguments))
        else:
            calls.append((which, task.arguments, task.keywords))
    return len(calls), pickle.dumps((list(places), calls), pickle.HIGHEST_PROTOCOL)


def _settle(task: RemoteTask, value: Any, other: tuple[bool, bytes] | None) -> None:
    with _Logged(task):
        if other is None:
            task.future.set_result(value)
        elif other[0]:
            task.future.set_exception(load_error(other[1]))
        else:
            try:
                value = pickle.loads(other[1])
            except BaseException as error:  # also SystemExit: the future must get a result
                task.future.set_exception(error)
            else:
                task.future.set_result(value)


class _Logged(contextlib.AbstractContextManager[None]):
    """The thread continues whatever a callback raises, and even if other code has set the future: as in _inbox."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if error is not None:
            with contextlib.suppress(BaseException):
                logging.getLogger("concurrent.futures").error(
                    "exception calling callback for %r", self.task.future, exc_info=(kind, error, trace)
                )
        return True


def _lose(inbox: Inbox, remote: Remote, reason: str, started: deque[RemoteTask]) -> None:
    """Fails all tasks of a lost owner. A task that is put later is cancelled by the thread that put it, which then sees
    that the queue is closed."""
    remote.lost = reason
    inbox.closed = True
    for taken in inbox.take_all():
        if taken is not None:
            _start(taken[0], started)
    while started:
        task = started.popleft()
        with _Logged(task):
            task.future.set_exception(remote.error(reason))
    inbox.wake()
