"""An owner of DaskWorkers: an actor on a worker of the cluster, and the format of what is sent to it.

A batch is a pickle of (functions, calls). A call is (function, arguments, keywords) if these are plain values,
otherwise (function, a pickle of both). Its function is a pickle, or a place in the list `functions`. The answer is a
pickle of (values, others): `values` has the results of the first calls. For a result that is not plain, `others` has
(whether it is an error, a pickle of it) by the place in `values`.

Each call's arguments and result are pickled apart, when it is submitted and when it has run. So no two calls share an
object because they happened to travel in one batch, and a later change of an object changes no result.
"""

from __future__ import annotations

import pickle
import time
import traceback
from collections.abc import Callable
from typing import Any

from distributed.protocol.pickle import dumps

PLAIN = frozenset((type(None), bool, int, float, complex, str, bytes))  # immutable, and the same everywhere
MOST_BYTES = 4 << 20  # of a batch or an answer, apart from the last call's
_LONGEST = 0.05  # seconds: so that results arrive soon, also those of long calls


class RemoteTraceback(Exception):
    """The cause of an error that was raised in another process: the traceback as text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


class Owner:
    """Owns a dict. Dask runs the methods of all actors of a worker in one thread."""

    def __init__(self) -> None:
        self._own: dict[Any, Any] = {}
        self._batches = 0

    def run(self, number: int, batch: bytes) -> bytes:
        """Runs calls of the batch in their order, at least one, and returns the answer for those that it ran. `number`
        is the number of batches before this one."""
        # An owner that has lost its dict begins at 0. A batch that arrives a second time was already run.
        if number != self._batches:
            raise RuntimeError(f"batch {number} arrived instead of batch {self._batches}: the owner is not the same")
        self._batches += 1
        functions, calls = pickle.loads(batch)
        loaded: list[Any] = [None] * len(functions)
        end, size = time.monotonic() + _LONGEST, 0
        values: list[Any] = []
        others: dict[int, tuple[bool, bytes]] = {}
        for call in calls:
            function = arguments = keywords = value = None
            try:
                function = _function(call[0], functions, loaded)
                arguments, keywords = call[1:] if len(call) == 3 else pickle.loads(call[1])
                value = function(self._own, *arguments, **keywords)
                if type(value) not in PLAIN:
                    others[len(values)] = False, dumps(value)
                    value = None
                elif type(value) in (str, bytes, int):
                    size += value.__sizeof__()
            except BaseException as error:
                others[len(values)] = True, _dumped_error(error)
                value = None
            if len(values) in others:
                size += len(others[len(values)][1])
            values.append(value)
            # The frame must not keep the last arguments until the next batch.
            del function, arguments, keywords, value
            if size >= MOST_BYTES or time.monotonic() >= end:
                break
        return pickle.dumps((values, others), pickle.HIGHEST_PROTOCOL)


def _function(which: int | bytes, functions: list[bytes], loaded: list[Any]) -> Callable[..., Any]:
    if isinstance(which, bytes):
        function: Callable[..., Any] = pickle.loads(which)
        return function
    if loaded[which] is None:
        loaded[which] = pickle.loads(functions[which])
    return loaded[which]  # type: ignore[no-any-return]


def _dumped_error(error: BaseException) -> bytes:
    # Nothing that the user's class does may end the owner. The text is pickled apart: it arrives even if the error
    # cannot be unpickled.
    text = "".join(traceback.format_exception(error))
    pickled: bytes
    try:
        pickled = dumps(error)
    except BaseException:
        try:
            shown = repr(error)
        except BaseException:
            shown = object.__repr__(error)
        pickled = dumps(RuntimeError(f"an error that cannot be pickled: {shown}"))
    return pickle.dumps((pickled, text))


def load_error(pickled: bytes) -> BaseException:
    """The error, with the remote traceback as its cause."""
    pickled_error, text = pickle.loads(pickled)
    error: BaseException
    try:
        error = pickle.loads(pickled_error)
        if not isinstance(error, BaseException):
            raise TypeError(f"its pickle is that of a {type(error).__name__!r} object")
    except BaseException as failure:
        error = RuntimeError(f"an error of a task cannot be unpickled here: {failure!r}")
    error.__cause__ = RemoteTraceback(text)
    return error
