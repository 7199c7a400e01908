"""The demo examples/demo.py: all its parts, what it says of them, and the chart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.examples import EXAMPLES, import_example, load_example
from harness.threads import LONG

SMALL = ["--parts", "counting,cache", "--limit-mb", "0.2"]


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    return import_example("demo")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What a short demo printed, and where its results are."""
    directory = tmp_path_factory.mktemp("demo") / "new"
    command = [sys.executable, str(EXAMPLES / "demo.py"), *SMALL, "--output", str(directory)]
    process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONG)
    assert process.returncode == 0, process.stderr
    return process.stdout, directory


def results_of(directory: Path) -> dict[str, Any]:
    (path,) = directory.glob("*.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_it_says_what_the_interpreter_can_show(done: tuple[str, Path]) -> None:
    printed, directory = done
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    assert ("with a GIL: one thread at a time runs Python" in printed) == gil
    assert ("free-threaded: threads run Python at the same time" in printed) == (not gil)
    assert [path.stem for path in directory.glob("*.json")] == ["gil" if gil else "free-threaded"]
    assert f"runs {results_of(directory)['empty_loop']:.2f} times as fast as in one" in printed


def test_the_sentences_follow_from_the_figures(done: tuple[str, Path], demo: ModuleType) -> None:
    printed, directory = done
    parts = results_of(directory)["parts"]
    assert list(parts) == ["counting", "cache"]
    counting = {way: demo.row_of(parts["counting"], way, "counting")["median"] for way in ("counters", "shardmap")}
    ratio = counting["counters"] / counting["shardmap"]
    assert f"=> Counting into one ShardCounter is {ratio:.1f} times as fast as a Counter per thread" in printed
    queries = [demo.row_of(parts["cache"], way)["queries"] for way in ("shardmap", "lru_cache")]
    assert "({:.0f} queries; lru_cache: {:.0f})".format(*queries) in printed


def test_the_entries_are_measured_in_every_way(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(way: str) -> dict[str, Any]:
        return {"way": way, "label": demo.seed_program.WAYS[way][0], "seconds": {"shardmap": 1.06}.get(way, 2.0)}

    monkeypatch.setattr(demo.seed_program, "measured", measured)
    rows = demo.share_entries(lambda _: None, 1.0)["results"]
    assert [row["way"] for row in rows] == ["shardmap", "locks", "lock", "least"]
    assert "take 10 ms longer" in capsys.readouterr().out


def test_a_part_that_is_none_is_refused(demo: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        demo.main(["--parts", "counting,sharing"])
    assert "unknown parts: sharing; there are counting, entries, cache" in capsys.readouterr().err


def test_nothing_to_count_is_refused(demo: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    for limit in "0", "-1", "nan":
        with pytest.raises(SystemExit):
            demo.main(["--limit-mb", limit])
        assert "must be more than 0" in capsys.readouterr().err


@pytest.mark.parametrize("program", ["demo", "wordcount"])
def test_no_place_for_the_results_is_known_before_anything_is_measured(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    module = import_example(program)
    with pytest.raises(SystemExit):
        module.main(["--output", str(tmp_path / "file")])
    assert "cannot make" in capsys.readouterr().err
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(SystemExit):
        module.main(["--output", str(tmp_path / "new")])
    assert "cannot write to" in capsys.readouterr().err


def test_the_chart_shows_every_part_of_every_interpreter(done: tuple[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    chart = load_example("demo_chart")
    results = results_of(done[1])
    for name, gil in (("gil", True), ("free-threaded", False)):
        of_other = results | {"python": results["python"] | {"gil_enabled": gil}}
        (tmp_path / f"{name}.json").write_text(json.dumps(of_other), encoding="utf-8")
    assert chart.main([str(tmp_path)]) == 0
    first = {name: (tmp_path / name).read_bytes() for name in chart.PALETTES}
    assert all(content.startswith(b"<?xml") for content in first.values())
    panels = [chart.PANELS[name](results["parts"][name]) for name in results["parts"]]
    assert [len(panel.bars) for panel in panels] == [4, 3]
    assert [[bar.ours for bar in panel.bars].count(True) for panel in panels] == [1, 1]
    assert all(bar.low <= bar.value <= bar.high for panel in panels for bar in panel.bars)
    chart.main([str(tmp_path)])
    assert first == {name: (tmp_path / name).read_bytes() for name in chart.PALETTES}


def test_the_chart_needs_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(SystemExit):
        load_example("demo_chart").main([str(tmp_path)])
    assert "run demo.py first" in capsys.readouterr().err
