"""bench/history.py: the results of every version are kept, in order, and drawn."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest
from test_bench_run import case, made  # first: it finds bench/, or skips

# isort: split
import comparisons
import history
import results
from results import Case, Results


def version_of(name: str, speed: float, **about: Any) -> Results:
    lines = [line for panel in chart().PANELS for line in panel.lines]
    speeds: dict[Case, list[float]] = {}
    for line in lines:
        speeds[case(line.ours, line.threads, line.task)] = [speed, speed * 1.1, speed * 1.2]
        speeds[dataclasses.replace(case(line.peer, line.threads, line.task), role="peer")] = [1.0] * 3
    return made(speeds, shardmap_version=name, **about)


def chart() -> Any:
    pytest.importorskip("matplotlib")
    import history_chart

    return history_chart


@pytest.fixture
def dates(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The times of commits, which git would say."""
    found = {"aaaa": "2026-01-01T00:00:00+00:00", "bbbb": "2026-02-01T00:00:00+00:00"}
    monkeypatch.setattr(history, "git", lambda *arguments: found[arguments[-1].removesuffix("^{commit}")])
    return found


def history_main(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str | Path) -> int:
    folders = ["--history", folder / "history", "--pictures", folder / "pictures"]
    monkeypatch.setattr(sys, "argv", ["history.py", *map(str, [arguments[0], *folders, *arguments[1:]])])
    return history.main()


def test_versions_are_kept_in_order_and_drawn_light_and_dark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dates: dict[str, str]
) -> None:
    files = [tmp_path / "new.json", tmp_path / "old.json"]
    results.write(version_of("0.2.0", 3, commit="bbbb"), files[0])
    results.write(version_of("0.1.0", 1, commit="aaaa"), files[1])
    assert history_main(monkeypatch, tmp_path, "add", *files) == 0
    kept = tmp_path / "history"
    assert [one.about["shardmap_version"] for one in history.history(kept)] == ["0.1.0", "0.2.0"]
    assert (kept / "0.2.0-cp314t-linux_x86_64_2cpu.json.gz").is_file()
    drawn = {file.name: file.read_text() for file in (tmp_path / "pictures").iterdir()}
    assert set(drawn) == {"history.svg", "history-dark.svg"}
    for text in drawn.values():
        assert text.rstrip().endswith("</svg>")
        assert "0.1.0" in text and "0.2.0" in text and "9 reads to 1 write" in text and "a CPU" in text
        assert "OTHER PROGRAMS RAN" not in text
    assert drawn["history.svg"] != drawn["history-dark.svg"]


def test_the_picture_says_how_many_points_are_disturbed(tmp_path: Path) -> None:
    given = version_of("0.1.0", 1)
    line = chart().PANELS[0].lines[0]
    one = case(line.ours, line.threads, line.task)
    assert "OTHER PROGRAMS RAN" not in chart().where([given])
    given.samples[one] = [sample._replace(available=1.0) for sample in given.samples[one]]
    points = sum(len(panel.lines) for panel in chart().PANELS)
    assert f"OTHER PROGRAMS RAN: 1 of {points} points are disturbed" in chart().where([given])


def test_a_new_result_replaces_the_old_one_of_the_same_version(tmp_path: Path, dates: dict[str, str]) -> None:
    for speed in (1.0, 2.0):
        history.add(made({case(): [speed] * 3}, commit="aaaa"), "main", tmp_path)
    (kept,) = history.history(tmp_path)
    assert kept.samples[case()][0].seconds == 5e-7
    history.add(made({case(): [1.0] * 3}, commit="bbbb", python_tag="cp311"), "main", tmp_path)
    assert len(history.history(tmp_path)) == 2
    assert history.versions_of(tmp_path) == [history.Version("main", "bbbb")]


def test_results_of_no_commit_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dates: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for commit, why in (("aaaa+", "of no commit"), (None, "do not say which commit")):
        given = made({case(): [1.0]}, commit=commit)
        given.about = {name: value for name, value in given.about.items() if value is not None}
        results.write(given, tmp_path / "some.json")
        assert history_main(monkeypatch, tmp_path, "add", tmp_path / "some.json") == 1
        assert why in capsys.readouterr().err
    assert not (tmp_path / "history").exists()


def test_the_versions_to_measure_are_those_given_or_those_kept(tmp_path: Path, dates: dict[str, str]) -> None:
    main, new = history.Version("main", "bbbb"), history.Version("0.1.0", "cccc")
    with pytest.raises(history.Failure, match="the history is empty"):
        history.wanted_versions([], False, tmp_path)
    history.add(made({case(): [1.0]}, commit="aaaa"), "0.1.0", tmp_path)
    assert history.wanted_versions([], False, tmp_path) == [history.Version("0.1.0", "aaaa")]
    assert history.wanted_versions([main], False, tmp_path) == [main]
    assert history.wanted_versions([new, main], True, tmp_path) == [new, main]
    with pytest.raises(history.argparse.ArgumentTypeError, match="not NAME=COMMIT"):
        history.Version.parse("0.1.0")


def test_a_version_that_cannot_be_built_or_measured_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dates: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[tuple[str, float]] = []

    def build(tree: Path, python: Path) -> None:
        if tree.name == "cccc":
            raise history.Failure("no compiler")

    def measure_one(version: history.Version, tree: Path, python: Path, seconds: float, only: str | None) -> Results:
        given.append((version.name, seconds))
        if version.name == "odd":
            raise history.Failure("it crashed")
        return made({case(): [1.0] * 3}, shardmap_version=version.name, commit=tree.name)

    monkeypatch.setattr(history, "tree_of", lambda version: tmp_path / version.commit)
    monkeypatch.setattr(history, "build", build)
    monkeypatch.setattr(history, "is_built", lambda tree, python: tree.name != "cccc")
    monkeypatch.setattr(history, "measure_one", measure_one)
    monkeypatch.setattr(history, "draw", lambda folder, pictures: [])
    versions = ["0.1.0=aaaa", "old=cccc", "odd=dddd", "0.2.0=bbbb"]
    assert history_main(monkeypatch, tmp_path, "measure", "--build-only", *versions) == 1
    assert not given and "error: no compiler" in capsys.readouterr().err
    assert history_main(monkeypatch, tmp_path, "measure", "--minutes=6", *versions) == 1
    told = capsys.readouterr().err
    assert "error: no compiler" in told and "error: it crashed" in told
    assert [one.about["shardmap_version"] for one in history.history(tmp_path / "history")] == ["0.1.0", "0.2.0"]
    assert [name for name, _ in given] == ["0.1.0", "odd", "0.2.0"]
    assert given[0][1] == pytest.approx(118, abs=5)  # a third of the time


def test_the_history_in_the_repository_can_be_read_and_is_named_by_its_content() -> None:
    for file in history.HISTORY.glob("*"):
        kept = results.read(file)
        assert history.file_name(kept) == file.name
        assert kept.rounds >= results.FEWEST and kept.about["commit_date"]


def test_every_line_of_the_picture_is_measured() -> None:
    measured = {(one.task, one.library, one.threads) for group in comparisons.groups(list(comparisons.SECTIONS))[0]
                for one in group.cases}  # fmt: skip
    for panel in chart().PANELS:
        for line in panel.lines:
            for library in (line.ours, line.peer):
                found = [task for task, name, threads in measured
                         if task.startswith(line.task) and (name, threads) == (library, line.threads)]  # fmt: skip
                assert len(found) == 1, (line, library)
