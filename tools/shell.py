"""Running commands, reporting progress and locking, for the other tools."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TypeAlias

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
LOGS = BUILD / "logs"

Command: TypeAlias = Sequence[str | Path]

# Seconds between the progress lines of a long command. Lines of its output that are shown when it fails.
PROGRESS_INTERVAL = 30.0
TAIL_LINES = 20


class Failure(Exception):
    """An error that is shown to the user without a traceback."""


def say(message: str) -> None:
    # Flushed, so that it stays in order with the output of commands.
    print(f"==> {message}", flush=True)


def cache_directory() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification says to ignore a relative path.
    return (base if base.is_absolute() else Path.home() / ".cache") / "shardmap"


def missing_packages(needed: Mapping[str, str]) -> list[str]:
    """The Debian packages of those programs that are not on the PATH. `needed`: from program to package."""
    return list(dict.fromkeys(package for program, package in needed.items() if shutil.which(program) is None))


def require_programs(purpose: str, needed: Mapping[str, str]) -> None:
    missing = missing_packages(needed)
    if missing:
        raise Failure(f"for {purpose}, Debian's packages are needed: apt-get install {' '.join(missing)}")


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The user's environment, without variables that would make a Python import from other places."""
    environment = dict(os.environ)
    # MAKEFLAGS would pass the flags of this make (and its job server) to CPython's own build.
    for name in ("PYTHONPATH", "PYTHONHOME", "PYTHON_GIL", "MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        environment.pop(name, None)
    environment.update(extra or {})
    return environment


def run(
    command: Command,
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
) -> int:
    """Run a command on this process's terminal and return its exit status."""
    sys.stdout.flush()
    arguments = [str(part) for part in command]
    return subprocess.run(arguments, cwd=cwd, env=clean_environment(env), check=False).returncode


def capture(
    command: Command, *, env: Mapping[str, str] | None = None, timeout: float = 60.0
) -> str | None:
    """The output of a short command, or None when it fails in any way."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=clean_environment(env),
            timeout=timeout,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace")


def run_logged(
    label: str,
    command: Command,
    log: Path,
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> None:
    """Run a command with its output in a log file. Prints a progress line at intervals."""
    say(label)
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("ab") as output:
        output.write(f"\n$ {' '.join(map(str, command))}\n".encode())
        output.flush()
        try:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=cwd,
                env=clean_environment(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A process group of its own, so that no compiler continues after an interrupted build.
                start_new_session=True,
            )
        except OSError as error:
            raise Failure(f"{label}: cannot run {command[0]}: {error}") from error
        try:
            status = _wait(process, label, started, timeout)
        finally:
            _end_group(process)
    if status != 0:
        lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        tail = "\n".join(f"    {line}" for line in lines)
        raise Failure(f"{label}: failed (exit status {status})\n{tail}\nfull log: {log}")


def _wait(
    process: subprocess.Popen[bytes], label: str, started: float, timeout: float | None
) -> int:
    while True:
        try:
            return process.wait(
                PROGRESS_INTERVAL if timeout is None else min(timeout, PROGRESS_INTERVAL)
            )
        except subprocess.TimeoutExpired:
            elapsed = time.monotonic() - started
            if timeout is not None and elapsed >= timeout:
                raise Failure(f"{label}: no end after {elapsed:.0f} s (time-out)") from None
            print(f"    ... {elapsed:.0f} s", flush=True)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock. The system releases it when the process ends, even if it is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run that holds the lock {path}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def stop_on_sigterm() -> None:
    """Turn SIGTERM into an exception, so that clean-up code runs, as after Ctrl-C."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
