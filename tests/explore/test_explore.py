"""The scenarios in all their schedules up to a bound of preemptions, or in samples of them; and that both find what is
wrong, in a core with planted bugs. Needs a free-threaded build with -DSHARDMAP_EXPLORE: `make explore`, and a bounded
part of it in `make test`."""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.threads import LONG
from shardmap import _core

if not hasattr(ctypes.CDLL(_core.__file__), "sm_explore_run"):
    pytest.skip("the core was not built with -DSHARDMAP_EXPLORE (make explore)", allow_module_level=True)

from planted import PLANTED
from scenarios import SCENARIOS

SECONDS = float(os.environ.get("SHARDMAP_EXPLORE_SECONDS") or 6)  # for each scenario
MORE = int(os.environ.get("SHARDMAP_EXPLORE_MORE") or 0)  # preemptions than a scenario says
SMALL = [name for name, scenario in SCENARIOS.items() if scenario.bound]
LARGE = [name for name, scenario in SCENARIOS.items() if not scenario.bound]


def explore(note: Path, scenario: str, *options: str) -> dict[str, Any]:
    """The line that explored.py ends with; where its process died, why, and in which schedule."""
    command = [sys.executable, str(Path(__file__).with_name("explored.py")), scenario, f"--note={note}", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS + 2 * LONG)
    try:
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return {"wrong": f"exit {done.returncode}: {done.stderr}", "replay": note.read_text().strip(), "turns": ""}
    return result


def assert_nothing_wrong(scenario: str, result: dict[str, Any]) -> None:
    turns = result.get("turns", "")[-3000:]
    assert not result["wrong"], f"{result['wrong']}\n{turns}\nexplored.py {scenario!r} {result.get('replay')}"


@pytest.mark.parametrize("scenario", SMALL)
def test_no_schedule_is_wrong(scenario: str, tmp_path: Path) -> None:
    bound = SCENARIOS[scenario].bound + MORE
    result = explore(tmp_path / "note", scenario, f"--seconds={SECONDS}", f"--bound={bound}")
    assert_nothing_wrong(scenario, result)
    assert result["schedules"] > 20  # else the threads do not meet
    every = "all" if result["all"] else "not all"
    print(f"\n{scenario}: {result['schedules']} schedules, {every} with up to {bound} preemptions", end="")
    print(f", up to {result['most steps']} steps, {result['seconds']:.1f} s")


@pytest.mark.parametrize("scenario", [*LARGE, *SMALL])
def test_no_sample_is_wrong(scenario: str, tmp_path: Path) -> None:
    samples = int(SECONDS * (200 if scenario in LARGE else 30))
    result = explore(tmp_path / "note", scenario, f"--samples={samples}", f"--seconds={LONG}")
    assert_nothing_wrong(scenario, result)
    assert result["schedules"] > 20
    print(f"\n{scenario}: {result['schedules']} samples, up to {result['most steps']} steps, {result['seconds']:.1f} s")


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str, tmp_path: Path) -> None:
    result = explore(tmp_path / "note", PLANTED[name].scenario, f"--plant={name}", f"--seconds={LONG}")
    assert result["wrong"]
    # The schedule shows it again.
    again = result["replay"].split()
    replayed = explore(tmp_path / "again", PLANTED[name].scenario, f"--plant={name}", *again)
    assert first_line(replayed["wrong"]) == first_line(result["wrong"])
    print(f"\n{name}: {result.get('schedules', 'it died in one')} schedules: {first_line(result['wrong'])}")


def first_line(wrong: str) -> str:
    return re.sub(r"0x[0-9a-f]+", "0x", wrong.splitlines()[0]) if wrong else ""


SAMPLED = (
    "an insertion that is not announced",
    "a lock for who has stopped waiting",
    "a map that is cleared shard by shard",
)


@pytest.mark.parametrize("name", SAMPLED)
def test_samples_find_a_planted_bug(name: str, tmp_path: Path) -> None:
    options = f"--plant={name}", "--samples=100000", f"--seconds={LONG}"
    result = explore(tmp_path / "note", PLANTED[name].scenario, *options)
    assert result["wrong"]
    again = explore(tmp_path / "again", PLANTED[name].scenario, f"--plant={name}", *result["replay"].split())
    assert again["wrong"] == result["wrong"] and again["turns"] == result["turns"]


def test_a_deadlock_is_told_with_its_stacks(tmp_path: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("explored.py")), "a deadlock"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS + 2 * LONG)
    result = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 1 and result["wrong"].startswith("deadlock after")
    assert "acquire" in done.stderr  # where the threads are
