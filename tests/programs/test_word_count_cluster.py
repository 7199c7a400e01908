"""The example examples/word_count_cluster.py: every way is exact, and it notices wrong counts."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

pytest.importorskip("distributed")

from harness.examples import EXAMPLES, import_example
from harness.threads import LONG


def test_four_processes_count_exactly() -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / "word_count_cluster.py"), "--updates", "5000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    ways = re.findall(r"^(.*): 5000 updates, (\d+) messages, .* s, exact: True$", done.stdout, re.MULTILINE)
    assert [way for way, _ in ways] == [
        "4 owners, one_by_one",
        "4 owners, counted_first",
        "4 threads, one_by_one",
        "ShardCounter.update",
    ]
    sent = [int(number) for _, number in ways]
    words = Counter(import_example("word_count_cluster").words(5000))
    assert sent == [5000, len(words), 5000, 0]
    assert "processes: 4" in done.stdout
    sizes = re.findall(r"words in each: \[(.*)\]", done.stdout)
    assert sum(map(int, sizes[0].split(", "))) == len(words)


def test_a_wrong_count_is_noticed() -> None:
    example: Any = import_example("word_count_cluster")
    with pytest.raises(AssertionError, match="a count is wrong"):
        example.report("way", 0.0, 1, 1, {"a": 1}, {"a": 2})
