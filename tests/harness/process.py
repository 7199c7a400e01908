"""Python programs in a process of their own, which die loudly instead of hanging."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import textwrap
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.threads import LONG

TESTS = str(Path(__file__).parents[1])


def run_python(
    source: str, *, timeout: float = LONG, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs `source`, which may import this harness, with warnings as errors; stacks are printed before the time-out.
    Fails on a non-zero exit."""
    prelude = (
        f"import faulthandler, sys; faulthandler.dump_traceback_later({timeout * 0.8}, exit=True)\n"
        f"sys.path.append({TESTS!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "error", "-c", prelude + textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(env or {})},
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def fork_and_wait(child: Callable[[], Any], timeout: float = LONG) -> None:
    """Forks; the child calls `child` and exits. Fails if that raises, crashes, or takes longer than `timeout`: then
    the child prints where it stands and is killed."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            # Not dump_traceback_later: it would wait for pytest's own, whose thread is not in the child.
            faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)
            child()
            status = 0
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(status)
    deadline = time.monotonic() + timeout
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            assert code == 0, f"the child exited with {code}; its error is in the captured stderr"
            return
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGUSR1)
            time.sleep(1)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise TimeoutError(f"the child was still running after {timeout} s")
        time.sleep(0.001)
