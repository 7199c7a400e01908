"""Runs one test of CPython."""

from __future__ import annotations

import sys
import threading
import traceback
import unittest
from collections.abc import Callable
from typing import Any

import pytest


def failure_of(make_case: Callable[[], unittest.TestCase]) -> str:
    """Runs the test. Its tracebacks if it fails, else "". Errors in other threads and in destructors, which
    unittest would only print, are failures."""
    beside: list[str] = []

    def note(error: Any) -> None:
        lines = traceback.format_exception(error.exc_type, error.exc_value, error.exc_traceback)
        beside.append("".join(lines))

    hooks = threading.excepthook, sys.unraisablehook
    threading.excepthook = sys.unraisablehook = note
    result = unittest.TestResult()
    try:
        make_case().run(result)
    finally:
        threading.excepthook, sys.unraisablehook = hooks
    if result.skipped:
        pytest.skip(f"CPython skips it: {result.skipped[0][1]}")
    assert result.testsRun == 1
    return "\n".join([text for _, text in result.failures + result.errors] + beside)
