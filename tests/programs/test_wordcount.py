"""The demo examples/wordcount.py: it runs, its numbers agree, and it notices wrong counts."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.examples import EXAMPLES, import_example
from harness.threads import LONG, interrupt_third_start, join_all

SCRIPT = EXAMPLES / "wordcount.py"
SMALL = ["--limit-mb", "0.2", "--rounds", "2", "--threads", "3"]


@pytest.fixture(scope="module")
def wordcount() -> ModuleType:
    return import_example("wordcount")


def test_table_and_results(tmp_path: Path, wordcount: ModuleType) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *SMALL, "--output", str(tmp_path / "new" / "dir")],
        capture_output=True,
        text=True,
        check=False,
        timeout=LONG,
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("round")] == ["round 1 of 2", "round 2 of 2"]
    for label in wordcount.WAYS.values():
        assert len(re.findall(rf"^    {label} +\d+\.\d{{3}} ", done.stdout, re.MULTILINE)) == 2
        assert len(re.findall(rf"first round: {label} +\d+\.\d million", done.stderr)) == 1

    results = json.loads((tmp_path / "new" / "dir" / "wordcount.json").read_text())
    files = wordcount.find_files(0.2)
    expected = Counter(
        word for path in files for word in re.findall("[A-Za-z_]+", path.read_bytes().decode("utf-8", "replace"))
    )
    corpus = results["corpus"]
    assert corpus["files"] == len(files) == len(set(files)) > 1
    assert corpus["words"] == expected.total() > 10_000
    assert corpus["distinct_words"] == len(expected)
    assert corpus["megabytes"] * 1e6 == pytest.approx(sum(file.stat().st_size for file in files))
    assert corpus["megabytes"] >= 0.2
    assert [tuple(pair) for pair in corpus["top"]] == expected.most_common(5)
    assert (results["threads"], results["rounds"]) == (3, 2)

    gil_enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    assert results["python"]["gil_enabled"] == gil_enabled
    assert ("has a GIL" in done.stdout) == gil_enabled

    rows = results["results"]
    wanted = [(variant, way) for variant in wordcount.VARIANTS for way in wordcount.WAYS]
    assert [(row["variant"], row["way"]) for row in rows] == wanted
    for row in rows:
        assert row["counted_words"] == corpus["words"]
        assert row["distinct_words"] == corpus["distinct_words"]
        assert row["threads"] == (1 if row["way"] == "single" else 3)
        assert len(row["seconds"]) == 2
        assert 0 < row["min"] <= row["median"] <= row["max"]
        speed = corpus["words"] / row["median"] / 1e6
        assert row["million_words_per_second"] == pytest.approx(speed)
        alone = next(r for r in rows if (r["variant"], r["way"]) == (row["variant"], "single"))
        ratios = [one / own for one, own in zip(alone["seconds"], row["seconds"], strict=True)]
        assert row["speedup"] == pytest.approx(statistics.median(ratios))


def test_the_whole_corpus_has_no_site_packages(wordcount: ModuleType) -> None:
    files = wordcount.find_files()
    assert len(files) > 100
    assert not [file for file in files if "site-packages" in file.parts]
    sizes = [file.stat().st_size for file in files]
    assert sizes == sorted(sizes, reverse=True)


def test_check_shows_the_first_differences(wordcount: ModuleType) -> None:
    reference = {"lost": 3, "missing": 1, "right": 2}
    wordcount.check("same", reference, dict(reference))
    with pytest.raises(wordcount.WrongCount) as caught:
        wordcount.check("one map", reference, {"lost": 2, "right": 2, "invented": 1})
    assert str(caught.value).splitlines() == [
        "one map: 3 words counted wrongly, first:",
        "  'invented': 1 instead of None",
        "  'lost': 2 instead of 3",
        "  'missing': None instead of 1",
    ]


class LossyCounter(Counter[str]):
    """Loses one count of one word."""

    lost = False

    def update(self, words: list[str]) -> None:  # type: ignore[override]
        super().update(words)
        if not self.lost and self["self"]:
            self["self"] -= 1
            self.lost = True


def test_a_lost_count_is_exit_status_1(
    tmp_path: Path,
    wordcount: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(wordcount, "ShardCounter", LossyCounter)
    options = ["--limit-mb", "0.2", "--threads", "1", "--rounds", "1", "--output", str(tmp_path)]
    assert wordcount.main(options) == 1
    printed = capsys.readouterr()
    assert "one ShardCounter: 1 words counted wrongly" in printed.err
    assert re.search(r"'self': \d+ instead of \d+", printed.err)
    assert not printed.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("variant", ["whole", "counting"])
def test_an_error_in_a_thread_reaches_the_main_thread(
    variant: str, wordcount: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    class BrokenCounter(Counter[str]):
        def update(self, words: list[str]) -> Any:  # type: ignore[override]
            raise OSError("no more counting")

    monkeypatch.setattr(wordcount, "ShardCounter", BrokenCounter)
    with pytest.raises(OSError, match="no more counting"):
        wordcount.run("shardmap", variant, wordcount.find_files(0.1), threads=3)


@pytest.mark.parametrize("variant", ["whole", "counting"])
def test_an_unreadable_file_leaves_no_thread_waiting(variant: str, wordcount: ModuleType, tmp_path: Path) -> None:
    files = [tmp_path / "absent.py", *wordcount.find_files(0.1)]
    with pytest.raises(FileNotFoundError, match="absent"):
        wordcount.run("lock", variant, files, threads=3)


def test_more_threads_than_files(wordcount: ModuleType) -> None:
    files = wordcount.find_files(0.001)
    assert len(files) == 1
    reference = wordcount.run("single", "whole", files, 1).counts
    for way in wordcount.WAYS:
        for variant in wordcount.VARIANTS:
            assert wordcount.run(way, variant, files, threads=4).counts == reference


@pytest.mark.parametrize("option", ["--threads", "--rounds"])
def test_nonsense_options_are_refused(option: str, wordcount: ModuleType) -> None:
    with pytest.raises(SystemExit) as caught:
        wordcount.main([option, "0"])
    assert caught.value.code == 2


@pytest.mark.parametrize("variant", ["whole", "counting"])
def test_threads_do_not_wait_for_one_that_never_starts(
    variant: str, wordcount: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after Ctrl-C while they are started."""
    started = interrupt_third_start(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        wordcount.run("lock", variant, wordcount.find_files(0.1), threads=4)
    assert len(started) == 2
    join_all(started, [], LONG)
