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
        outcomes = Outcomes(
            outcomes.passed,
            {test: said for test, said in outcomes.failed.items() if test not in rounds[0].failed},
            outcomes.seconds,
        )
    assert outcomes.passed
    problems = unexpected(suite.library, outcomes)
    assert not problems, "\n\n".join(problems)


def summary(suite: Suite, rounds: list[Outcomes]) -> str:
    """Processor time of the tests alone; rounds are (dict, ShardMap) in turn."""
    with_dict, with_map = rounds[::2], rounds[1::2]
    ratios = [mine.seconds / base.seconds for base, mine in zip(with_dict, with_map, strict=True)]
    ratio = statistics.median(ratios)
    seconds = " and ".join(f"{statistics.median(one.seconds for one in way):.1f} s" for way in (with_map, with_dict))
    failed = f"{len(with_map[0].failed)} of {len(with_map[0].passed) + len(with_map[0].failed)} tests fail"
    if with_dict[0].failed:
        failed += f", with dict {len(with_dict[0].failed)}"
    verdict = "reached" if ratio <= MOST else "NOT REACHED"
    spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
    return f"{suite.library}: {failed}; {seconds} of dict: {ratio:.2f}x {spread}, at most {MOST}x: {verdict}"


def test_no_test_of_a_library_is_listed_twice() -> None:
    listed = [test for difference in DIFFERENCES for test in difference.tests]
    assert len(listed) == len(set(listed))
    assert {test.partition(":")[0] for test in listed} <= set(SUITES)


def test_what_is_not_as_listed_is_reported() -> None:
    name = next(test for test in LISTED if test.startswith("networkx"))
    listed, said = name.removeprefix("networkx: "), "assert isinstance(G._node, G.node_dict_factory)"
    assert not unexpected("networkx", Outcomes(["other"], {listed: said}, 0.0))
    assert "passes" in unexpected("networkx", Outcomes([f"{listed}[1]"], {}, 0.0))[0]
    assert "because" in unexpected("networkx", Outcomes([], {listed: "Segmentation fault"}, 0.0))[0]
    assert "not listed" in unexpected("toolz", Outcomes([], {listed: said}, 0.0))[0]


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
    assert outcomes.passed == ["test_here.py::test_dicts_are_maps"]
    assert "assert {1: 2} == {1: 3}" in outcomes.failed["test_here.py::test_that_fails"]
    assert outcomes.seconds > 0
    with_dict = run_suite(suite, tmp_path, with_dict=True)
    assert len(with_dict.failed) == 2
    assert "not reached" in summary(suite, [with_dict, outcomes._replace(seconds=9e9)]).lower()


def test_a_suite_that_cannot_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="unrecognized arguments"):
        run_suite(Suite("here", ("--no-such-option",)), tmp_path)
    assert "libraries.plugin" not in sys.modules
