"""Each example runs, says what it shows, and says the truth."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from harness.examples import EXAMPLES
from harness.threads import LONG

NEEDS = {"fastapi_locks.py": ["fastapi", "uvicorn"]}
SHOWN = {
    "fastapi_locks.py": ["answered: {200: 1000}, deposited: 1000", "nothing is left locked"],
    "handles.py": ["alice: 2000 deposits by 4 threads, none lost", "out of the map: True", "in our hands: 2001"],
    "key_locks.py": ["300 is still all there is", "did not wait for the lock: True", "nor did the writer"],
    "atomic_ref.py": [
        "2000 changes by 2 writers, none lost; 2 readers",
        "does nothing: True",
        "now {'apples': 1, 'pears': 5}, on Monday {'apples': 3, 'pears': 5}, a draft made from Monday "
        "{'apples': 3, 'pears': 5, 'plums': 1}",
    ],
    "shard_workers.py": ["left: {'apples': 1, 'pears': 1} after 66 sales of 3; 94 were refused", "heard: only 1 "],
    "own_sharding.py": ["[6667, 6667, 6666] orders: 990000 in all", "its shard: True", "the shards: True"],
    "eventual_map.py": [
        "before the refresh: ('gen0-a',)",
        "until the reader asks: ('gen0-a',)",
        "and then: ('gen0-a', 'gen0-b')",
        "2 readers saw whole versions only",
    ],
}


@pytest.mark.parametrize("name", SHOWN)
def test_an_example_prints_what_it_shows(name: str) -> None:
    for needed in NEEDS.get(name, []):
        pytest.importorskip(needed)
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "error", str(EXAMPLES / name)],
        capture_output=True,
        text=True,
        timeout=LONG,
        env={**os.environ},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for text in SHOWN[name]:
        assert text in done.stdout, done.stdout


def test_no_example_is_left_out() -> None:
    elsewhere = {
        "demo.py",
        "demo_chart.py",
        "seed_program.py",
        "seed_program_locks.py",
        "shared_cache.py",
        "starting.py",
        "word_count_cluster.py",
        "wordcount.py",
    }
    elsewhere |= {f"web_service{part}.py" for part in ("", "_state", "_clients", "_load")}
    assert {file.name for file in EXAMPLES.glob("*.py")} == SHOWN.keys() | elsewhere
