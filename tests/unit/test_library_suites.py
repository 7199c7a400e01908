"""The tests of networkx, toolz and cachetools, with ShardMap in dict's place. `make libraries` runs them whole and says
how long they take beside dict; else it is those that are done in seconds, where the library is installed."""

from __future__ import annotations

import os
import statistics
import sys
from pathlib import Path

import pytest

from libraries.listed import DIFFERENCES, LISTED, unexpected
from libraries.runner import SUITES, Outcomes, Suite, run_suite

WHOLE = os.environ.get("SHARDMAP_LIBRARIES") == "whole"
MOST = 1.5  # times what dict takes: a goal, not a test


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_a_library_s_own_tests_fail_for_the_listed_reasons_only(
    suite: Suite, capfd: pytest.CaptureFixture[str]
) -> None:
    root = suite.root()
    if root is None:
        pytest.skip(f"{suite.library} is not installed, or its tests are not here: make libraries")
    if not WHOLE:
        outcomes = run_suite(suite, root)
    else:
        ways = [True, False] * suite.rounds
        rounds = [run_suite(suite, root, with_dict=with_dict, whole=True) for with_dict in ways]
        outcomes = rounds[1]
        with capfd.disabled():
            print(f"\n{summary(suite, rounds)}", flush=True)
        failed = {test: said for test, said in outcomes.failed.items() if test not in rounds[0].failed}
        outcomes = Outcomes(outcomes.passed, failed)
    assert outcomes.passed
    problems = unexpected(suite.library, outcomes)
    assert not problems, "\n\n".join(problems)


def summary(suite: Suite, rounds: list[Outcomes]) -> str:
    """Processor time of the tests that pass with both: what a failure takes is mostly its traceback. Rounds are of dict
    and ShardMap in turn."""
    with_dict, with_map = rounds[::2], rounds[1::2]
    common = set.intersection(*(set(one.passed) for one in rounds))
    base, mine = ([sum(one.passed[test] for test in common) for one in way] for way in (with_dict, with_map))
    ratios = [b / a for a, b in zip(base, mine, strict=True)]
    ratio = statistics.median(ratios)
    seconds = f"{statistics.median(mine):.2f} s, dict {statistics.median(base):.2f} s"
    failed = f"{len(with_map[0].failed)} of {len(with_map[0].passed) + len(with_map[0].failed)} tests fail"
    if with_dict[0].failed:
        failed += f", with dict {len(with_dict[0].failed)}"
    verdict = "reached" if ratio <= MOST else "NOT REACHED"
    return f"{suite.library}: {failed}; {seconds}: {ratio:.2f}x ({min(ratios):.2f} to {max(ratios):.2f}), {verdict}"


def test_no_test_of_a_library_is_listed_twice() -> None:
    listed = [test for difference in DIFFERENCES for test in difference.tests]
    assert len(listed) == len(set(listed))
    assert {test.partition(":")[0] for test in listed} <= set(SUITES)


def test_what_is_not_as_listed_is_reported() -> None:
    name = next(test for test in LISTED if test.startswith("networkx"))
    listed, said = name.removeprefix("networkx: "), "assert isinstance(G._node, G.node_dict_factory)"
    assert not unexpected("networkx", Outcomes({"other": 1.0}, {listed: said}))
    assert "passes" in unexpected("networkx", Outcomes({f"{listed}[1]": 1.0}, {}))[0]
    assert "because" in unexpected("networkx", Outcomes({}, {listed: "Segmentation fault"}))[0]
    assert "not listed" in unexpected("toolz", Outcomes({}, {listed: said}))[0]


SUITE = """
from string import ascii_lowercase  # as any module of a suite has

def test_dicts_are_maps():
    for made in {}, {1: 2}, {**{1: 2}}, {n: n for n in range(3)}, dict(a=1), dict.fromkeys("ab"):
        assert type(made).__name__ == "ShardMap"
    assert type((lambda **named: named)(a=1)).__name__ == "dict"

def test_that_fails():
    assert {1: 2} == {1: 3}
"""


def test_a_suite_is_run_with_maps_and_with_dicts(tmp_path: Path) -> None:
    (tmp_path / "test_here.py").write_text(SUITE)
    suite = Suite("here", ("--assert=plain", "--changed=test_here"))
    outcomes = run_suite(suite, tmp_path)
    assert list(outcomes.passed) == ["test_here.py::test_dicts_are_maps"]
    assert "assert {1: 2} == {1: 3}" in outcomes.failed["test_here.py::test_that_fails"]
    assert all(seconds > 0 for seconds in outcomes.passed.values())
    assert len(run_suite(suite, tmp_path, with_dict=True).failed) == 2


def test_times_are_of_what_passes_with_both() -> None:
    suite = SUITES["toolz"]
    with_dict = Outcomes({"a": 1.0, "b": 2.0, "c": 9.0}, {})
    said = summary(suite, [with_dict, Outcomes({"a": 1.0, "b": 5.0}, {"c": "no"})])
    assert said == "toolz: 1 of 3 tests fail; 6.00 s, dict 3.00 s: 2.00x (2.00 to 2.00), NOT REACHED"
    assert summary(suite, [with_dict, with_dict]).endswith(", reached")


def test_a_suite_that_cannot_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="unrecognized arguments"):
        run_suite(Suite("here", ("--no-such-option",)), tmp_path)
    assert "libraries.plugin" not in sys.modules
