"""Runs Spin on read.pml, the protocol of reads without the mutex."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

READ = Path(__file__).with_name("read.pml")
SPIN_SECONDS = 900.0

# In each of these, a part of the protocol is left out or weaker. Spin must find a violation.
MUTANTS = (
    "NO_BARRIER",
    "NO_WAIT",
    "NO_SECOND_LOOK_AT_THE_BLOCK",
    "NO_SECOND_LOOK_AT_THE_VALUE",
    "SLOT_FIRST",
    "FLAG_CLEARED_EARLY",
    "PLAIN_LOADS",
    "PLAIN_SLOT",
    "PLAIN_PUBLICATION",
    "NO_VERSION",
    "NO_BARRIER_BEFORE_THE_STAMP",
)


@dataclass(frozen=True)
class Size:
    operations: int  # of the writer
    reads: int = 1  # of each reader
    readers: int = 1

    def __str__(self) -> str:
        return f"operations={self.operations} reads={self.reads} readers={self.readers}"


SMALL = Size(2)  # large enough to find the violation of every mutant
SIZES = (SMALL, Size(3), Size(2, reads=2), Size(1, readers=2))


@dataclass(frozen=True)
class Model:
    size: Size
    fenced: bool  # readers run a barrier of their own, instead of membarrier()
    mutant: str = ""

    def __str__(self) -> str:
        barrier = "fenced" if self.fenced else "membarrier"
        return f"{barrier} {self.size}{f' mutant={self.mutant}' if self.mutant else ''}"

    def definitions(self) -> list[str]:
        size = self.size
        names = [f"OPERATIONS={size.operations}", f"READS={size.reads}", f"READERS={size.readers}"]
        names += ["FENCED"] if self.fenced else []
        names += [f"MUTANT_{self.mutant}"] if self.mutant else []
        return [f"-D{name}" for name in names]


@dataclass(frozen=True)
class Outcome:
    states: int
    violation: str  # the assertion that failed; empty if none fails in any execution


def run_spin(model: Model, folder: Path) -> Outcome:
    """Explores all states of the model, or the states up to the first violation."""
    folder.mkdir(parents=True, exist_ok=True)
    # A mutant has few states, so the compiler takes most of the time.
    optimization = "-O0" if model.mutant or model.size == SMALL else "-O2"
    run_in(folder, ["spin", "-a", *model.definitions(), READ])
    run_in(folder, ["gcc", optimization, "-w", "-DSAFETY", "-DCOLLAPSE", "-DNOFAIR", "-o", "pan", "pan.c"])
    # -E: a process that waits for ever is not an error. The model does not promise that a store ever becomes visible.
    output = run_in(folder, ["./pan", "-E", "-m100000", "-w24"])
    states = re.search(r"^\s*(\d+) states, stored", output, re.MULTILINE)
    errors = re.search(r"errors: (\d+)", output)
    if states is None or errors is None or "max search depth too small" in output or "out of memory" in output:
        raise RuntimeError(f"{model}: the search is not complete\n{output}")
    violation = re.search(r"^pan:\d+: (.*)$", output, re.MULTILINE)
    if (errors[1] == "0") != (violation is None) or (not violation and "Search not completed" in output):
        raise RuntimeError(f"{model}: cannot interpret the output of Spin\n{output}")
    return Outcome(int(states[1]), violation[1] if violation else "")


def run_in(folder: Path, command: Sequence[str | Path]) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SPIN_SECONDS, check=False)
    assert done.returncode == 0, f"{command[0]} failed in {folder}: {done.stdout}{done.stderr}"
    return done.stdout
