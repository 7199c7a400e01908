"""The example examples/seed_program.py: right content, both ways, and all threads at work at the same time."""

from __future__ import annotations

import subprocess
import sys
import threading
from types import ModuleType

import pytest

from harness.examples import EXAMPLES, import_example
from harness.threads import LONG, run_alike
from shardmap import ShardMap

pytestmark = pytest.mark.first_use

EXAMPLE = EXAMPLES / "seed_program.py"


RUN_ALONE = "import sys; sys.modules['shardmap'] = None; runpy.run_path(sys.argv[1], run_name='__main__')"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    return import_example("seed_program")


@pytest.mark.parametrize("name", ["with_shardmap", "with_one_lock", "with_lock_per_entry"])
def test_each_entry_is_made_and_worked_on_once(example: ModuleType, name: str) -> None:
    program = getattr(example, name, None) or getattr(example.seed_program_locks, name)
    assert program(10, 0.001, 0.001) == dict.fromkeys(range(10), 1)


def test_the_example_says_how_long_it_took_and_what_is_possible() -> None:
    done = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True, timeout=LONG, check=True)
    assert "ShardMap" in done.stdout and "the least possible" in done.stdout and "1.050 s" in done.stdout
    assert done.stderr == ""


def test_what_locks_do_is_shown_without_the_package() -> None:
    """make demo runs it while the package is built, so without what is installed."""
    locks = import_example("seed_program_locks")
    shorter = f"import runpy, time; sleep = time.sleep; time.sleep = lambda s: sleep(s / 100); {RUN_ALONE}"
    command = [sys.executable, "-S", "-c", shorter, str(EXAMPLES / "seed_program_locks.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=True)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == f"{locks.THREADS} threads make an entry each (0.05 s) and work on it alone (1.00 s)."
    assert ["lock per entry" in lines[1], "one lock" in lines[2], "1.050 s" in lines[3]] == [True] * 3


def test_a_wrong_entry_is_an_error(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(example.WAYS, "shardmap", ("ShardMap", lambda: {0: 1}))
    with pytest.raises(RuntimeError, match="ShardMap: wrong entries"):
        example.measured("shardmap")


def test_all_threads_make_and_work_at_the_same_time() -> None:
    """What makes it fast, without a clock: each step is one that all threads are in at once."""
    m = ShardMap.with_capacity(shards=1)
    making, working = threading.Barrier(10), threading.Barrier(10)

    def make(number: int) -> int:
        making.wait(LONG)
        return 0

    def work(number: int) -> None:
        m.compute_if_absent(number, make)
        with m.lock(number) as entry:
            working.wait(LONG)
            entry.value += 1

    run_alike(10, work)
    assert m == dict.fromkeys(range(10), 1)
