"""Code of the user's at every step of a call: what a signal handler does, or a finalizer that the collector runs."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Literal

Kind = Literal["line", "instruction", "check"]
"""What is a step. check: the instruction after one that CPython looks for signals in, so where a handler may raise;
between two others (as before a `with` calls `__exit__`) nothing can be raised."""

_CHECKS = ("CALL", "RESUME", "JUMP_BACKWARD")  # beginnings of names


class Step:
    """A trace function that calls `action` before the step with that number. What that does is not traced, and what it
    raises is raised there. Counts steps of Python code that is called, with `within` of files whose names begin so."""

    def __init__(self, number: int, action: Callable[[], Any], within: str = "", kind: Kind = "line") -> None:
        self.number = number
        self.action = action
        self.within = within
        self.kind = kind
        self.passed = 0
        self.instruction: dict[FrameType, str] = {}  # the last one of each

    @property
    def reached(self) -> bool:
        return self.passed >= self.number

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Step | None:
        if not frame.f_code.co_filename.startswith(self.within):
            return None
        frame.f_trace_opcodes = self.kind != "line"
        if event == "line" == self.kind or (event == "opcode" and self.is_step(frame)):
            self.passed += 1
            if self.passed == self.number:
                self.action()
        return self

    def is_step(self, frame: FrameType) -> bool:
        before = self.instruction.get(frame, "")
        self.instruction[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
        return self.kind == "instruction" or before.startswith(_CHECKS)

    def during(self, call: Callable[[], Any]) -> Any:
        before = sys.gettrace()
        sys.settrace(self)
        try:
            return call()
        finally:
            sys.settrace(before)
            self.instruction.clear()


def each_step(action: Callable[[], Any], within: str = "", kind: Kind = "line") -> Iterator[Step]:
    """A Step for the first, the second and so on, until there was one that was not reached."""
    number = 0
    while True:
        number += 1
        step = Step(number, action, within, kind)
        yield step
        if not step.reached:
            return
