"""Commands that take long: their output goes to a log file, and their progress is shown."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRESS_SECONDS = 30.0


class Failure(Exception):
    """An error that is shown to the user without a traceback."""


def say(message: str) -> None:
    print(f"==> {message}", flush=True)  # flushed, so that it stays in order with the output of commands


def cache() -> Path:
    """What is got once for all checkouts is kept here."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shardmap"


def run_logged(
    label: str, command: Sequence[str | Path], cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> None:
    """Runs a command with its output in a log file, whose end is shown if the command fails."""
    say(label)
    log = ROOT / "build" / "logs" / f"{label.replace(' ', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    variables = {**os.environ, **(env or {})}
    with log.open("wb") as output:
        # A process group of its own, so that no compiler goes on after an interrupted build.
        process = subprocess.Popen(
            command, cwd=cwd, env=variables, stdout=output, stderr=output, stdin=subprocess.DEVNULL, process_group=0
        )
    try:
        while process.returncode is None:
            try:
                process.wait(PROGRESS_SECONDS)
            except subprocess.TimeoutExpired:
                print(f"    ... {time.monotonic() - started:.0f} s", flush=True)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise Failure(f"{label}: failed (exit status {process.returncode})\n{tail}\nthe whole log: {log}")
