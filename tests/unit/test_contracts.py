"""A debug build notices broken contracts (core/contracts.h, make check)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shardmap import ShardMap, _core

pytestmark = pytest.mark.concurrent

CORE = Path(__file__).resolve().parents[2] / "src" / "shardmap" / "core"

CONTRACTS = {
    "no mutex": "without it",
    "Python code under a mutex": "what may run Python code is called under a mutex",
    "detaching under a mutex": "what may run Python code is called under a mutex",
    "a reader waits": "a reader takes a mutex",
    "Python code while reading": "what may run Python code is called by a reader",
    "an inconsistent block": "the count of entries is wrong",
    "another thread's mutex": "does not hold it",
}


@pytest.mark.skipif(not _core._is_debug(), reason="make check runs this on a debug build")
@pytest.mark.parametrize("which", CONTRACTS)
def test_a_broken_contract_is_the_end_of_the_process(which: str) -> None:
    source = f"""
from shardmap import ShardMap, _core
m = ShardMap.with_capacity(shards=1)
m["a"] = 1
_core._break_contract(m, {which!r})
"""
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert done.returncode == -signal.SIGABRT and "broken contract" in done.stderr
    assert CONTRACTS[which] in done.stderr


def test_an_ordinary_build_breaks_none() -> None:
    if _core._is_debug():
        pytest.skip("this is a debug build")
    with pytest.raises(RuntimeError, match="no assertions"):
        _core._break_contract(ShardMap(), "no mutex")


@pytest.mark.skipif(not CORE.is_dir(), reason="a wheel is tested without its sources")
def test_functions_whose_names_say_that_they_need_the_mutex_begin_with_the_assertion() -> None:
    """Those that are given one shard; what needs all mutexes or works on a lock's queue is called from those."""
    unasserted = []
    for file in CORE.glob("*.pyx"):
        for part in file.read_text(encoding="utf-8").split("\ncdef ")[1:]:
            head, _, body = part.partition(":\n")
            name = head.partition("(")[0].split()[-1]
            of_one_shard = ("Access* at" in head or "Shard* shard" in head) and "MapCore" not in head
            wants = of_one_shard and name != "require_locked" and name.endswith(("_locked", "_and_unlock"))
            if wants and "require_locked(" not in body.split("\n\n\n")[0]:
                unasserted.append(f"{file.name}: {name}")
    assert not unasserted
