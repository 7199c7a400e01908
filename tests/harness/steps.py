"""Code of the user's at every step of a call: what a signal handler does, or a finalizer that the collector runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


class Step:
    """A trace function that calls `action` before the step with that number. What that does is not traced, and what it
    raises is raised there. Steps are the lines of Python code that is called, or its instructions; with `within`, of
    files whose names begin so."""

    def __init__(self, number: int, action: Callable[[], Any], within: str = "", instructions: bool = False) -> None:
        self.number = number
        self.action = action
        self.within = within
        self.event = "opcode" if instructions else "line"
        self.passed = 0

    @property
    def reached(self) -> bool:
        return self.passed >= self.number

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Step | None:
        if not frame.f_code.co_filename.startswith(self.within):
            return None
        frame.f_trace_opcodes = self.event == "opcode"
        if event == self.event:
            self.passed += 1
            if self.passed == self.number:
                self.action()
        return self

    def during(self, call: Callable[[], Any]) -> Any:
        before = sys.gettrace()
        sys.settrace(self)
        try:
            return call()
        finally:
            sys.settrace(before)


def each_step(action: Callable[[], Any], within: str = "", instructions: bool = False) -> Iterator[Step]:
    """A Step for the first, the second and so on, until there was one that was not reached."""
    number = 0
    while True:
        number += 1
        step = Step(number, action, within, instructions)
        yield step
        if not step.reached:
            return
