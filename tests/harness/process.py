"""Python programs in a process of their own, which die loudly instead of hanging."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def run_python(
    source: str, *, timeout: float = 60, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs `source` with warnings as errors; stacks are printed before the time-out. Fails on a non-zero exit."""
    import os

    prelude = f"import faulthandler; faulthandler.dump_traceback_later({timeout * 0.8}, exit=True)\n"
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
