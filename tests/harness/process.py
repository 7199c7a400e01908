"""Python programs in a process of their own, which die loudly instead of hanging."""

from __future__ import annotations

import faulthandler
import mmap
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
        # In the background of a shell script it is ignored, and would stay so.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
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


# In the process that forks, not in the child: CPython runs hooks in the child before os.fork() returns there, and a
# child that is stuck in one of them is to say so, too. Not dump_traceback_later: pytest's own would be in its way.
if hasattr(faulthandler, "register"):
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)


def fork_and_wait(child: Callable[[], Any], timeout: float = LONG) -> None:
    """Forks; the child calls `child` and exits. Fails if that raises, crashes, or takes longer than `timeout`."""
    wait_for_child(start_child(child), timeout)


class Child:
    """A forked process."""

    def __init__(self) -> None:
        self.began = mmap.mmap(-1, 1)  # shared with it: set once os.fork() has returned there
        self.pid = 0


def start_child(child: Callable[[], Any]) -> Child:
    """Forks, and returns the child, which calls `child` and exits.

    On free-threaded CPython the lock of an object that other threads contend for may be taken for ever in the child,
    also of a dict or list: a lock is handed to a waiting thread, which is not in the child (docs/architecture.md). So
    `child` must keep away from such objects. On 3.13 the variables of an enclosing function are among them: every look
    at one takes its cell's lock. And nobody may contend for random's own generator: random reseeds it in every child,
    inside os.fork()."""
    forked = Child()
    forked.pid = os.fork()
    if forked.pid == 0:
        status = 1
        try:
            forked.began[0] = True
            child()
            status = 0
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(status)
    return forked


def wait_for_child(forked: Child, timeout: float = LONG) -> None:
    """Fails if it raised or crashed, or if it still runs after `timeout`: then it prints where it stands and is
    killed."""
    deadline = time.monotonic() + timeout
    while True:
        # First the clock, then the child: between two lines of ours other threads may starve us for long.
        late = time.monotonic() > deadline
        done, status = os.waitpid(forked.pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            assert code == 0, f"the child exited with {code}; its error is in the captured stderr"
            return
        if late:
            os.kill(forked.pid, signal.SIGUSR1)
            time.sleep(1)
            os.kill(forked.pid, signal.SIGKILL)
            os.waitpid(forked.pid, 0)
            where = "" if forked.began[0] else ", inside os.fork()"
            raise TimeoutError(f"the child was still running after {timeout} s{where}")
        time.sleep(0.001)


def resident() -> int:
    """Bytes of memory that this process occupies. Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
