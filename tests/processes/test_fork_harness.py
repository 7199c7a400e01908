"""fork_and_wait tells apart children that fail, that hang, and parents that were not let run."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from harness.process import fork_and_wait, run_python

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def test_an_error_in_the_child_fails() -> None:
    with pytest.raises(AssertionError, match="exited with 1"):
        fork_and_wait(lambda: 1 / 0)


@pytest.mark.parametrize("inside", [False, True], ids=["in its work", "inside os.fork()"])
def test_a_child_that_hangs_says_where(inside: bool) -> None:
    done = run_python(
        f"""
        import os, threading
        from harness.process import fork_and_wait

        def hang_for_ever():
            threading.Event().wait()

        if {inside}:
            os.register_at_fork(after_in_child=hang_for_ever)
        try:
            fork_and_wait((lambda: None) if {inside} else hang_for_ever, timeout=0.3)
        except TimeoutError as error:
            assert str(error).endswith("inside os.fork()") == {inside}, error
        else:
            raise AssertionError("no time-out")
        """
    )
    assert "in hang_for_ever" in done.stderr


def test_a_parent_that_starves_does_not_take_its_child_for_hung(monkeypatch: pytest.MonkeyPatch) -> None:
    waitpid = os.waitpid
    calls = []

    def starved(pid: int, options: int) -> Any:
        calls.append(pid)
        if len(calls) > 1:
            return waitpid(pid, options)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        time.sleep(0.1)  # the deadline passes, too
        return 0, 0  # what the system said before

    monkeypatch.setattr(os, "waitpid", starved)
    fork_and_wait(lambda: None, timeout=0.05)
    assert len(calls) == 2
