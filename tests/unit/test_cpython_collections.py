"""CPython's own tests for set, defaultdict and Counter, with ours in their place."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pytest

from cpython.loader import Cases, load_cases_of_types, source_of
from cpython.runner import failure_of
from shardmap import ShardCounter, ShardDefaultDict, ShardSet

TYPES: dict[str, Mapping[str, type]] = {
    "test_set": {"set": ShardSet},
    "test_defaultdict": {"defaultdict": ShardDefaultDict},
    "test_collections": {"Counter": ShardCounter},
}
CASES: Cases = {}
for _module, _types in TYPES.items():
    if source_of(_module) is not None:
        CASES |= {
            name: case
            for name, case in load_cases_of_types(_module, _types).items()
            if _module != "test_collections" or ".TestCounter." in name
        }

# What they do not pass: which tests, the reason, and what the failure says.
DIFFERENCES: list[tuple[str, str, str]] = [
    (
        r"test_set\.(TestSet|TestBasicOps(?!Triple)\w+)\.test_(cyclical_)?repr|test_defaultdict\.TestDefaultDict\.test_repr",
        "repr() names the type",
        r"ShardSet|ShardDefaultDict|False is not true",
    ),
    (
        r"test_set\.Test\w+\.test_do_not_rehash_dict_keys",
        "the elements of a dict are hashed anew: shards need other bits of a hash than a dict keeps",
        r"AssertionError: \d0 != 10",
    ),
    (
        r"test_set\.TestExceptionPropagation\.test_changingSizeWhileIterating",
        "changing a set while iterating over it is no error",
        "no exception when changing size during iteration",
    ),
    (
        r"test_set\.TestSet(Subclass)?\.test_set_membership",
        "frozenset looks for a set as for a frozenset, not for other types",
        "unhashable type: '(shardmap\\.)?(Shard)?Set",
    ),
    (
        r"test_set\.TestSet(Subclass\w*)?\.test_free_after_iterating",
        "an iterator holds the elements, not the set",
        "NameError",
    ),
    (
        r"test_defaultdict\.TestDefaultDict\.test_union|test_collections\.TestCounter\.test_basics",
        "ours are not dicts",
        "not an instance of <class 'dict'>",
    ),
    (
        r"test_collections\.TestCounter\.test_helper_function",
        "a subclass's __setitem__ is not called by update(), which adds",
        "False is not true",
    ),
]


def difference_of(test: str) -> tuple[str, str] | None:
    for tests, reason, shows in DIFFERENCES:
        if re.fullmatch(tests, test):
            return reason, shows
    return None


@pytest.mark.parametrize("module", TYPES)
def test_this_python_brings_the_tests(module: str) -> None:
    if source_of(module) is None:
        pytest.skip(f"this Python comes without test.{module}")
    assert sum(test.startswith(f"{module}.") for test in CASES) > 10


@pytest.mark.parametrize("test", [test for test in CASES if difference_of(test) is None])
def test_ours_pass_what_the_built_in_ones_pass(test: str, default_shards: int) -> None:
    failure = failure_of(CASES[test])
    assert not failure, failure


@pytest.mark.parametrize("test", [test for test in CASES if difference_of(test) is not None])
def test_a_listed_test_fails_for_its_reason_only(test: str) -> None:
    difference = difference_of(test)
    assert difference is not None
    failure = failure_of(CASES[test])
    assert failure, f"passes: take it off the list of {difference[0]!r}"
    assert re.search(difference[1], failure), failure


REPRS: dict[str, Callable[[], object]] = {
    "ShardSet()": ShardSet,
    "ShardSet({3, 'a'})": lambda: ShardSet([3, "a"]),
    "SetSnapshot({3})": ShardSet([3]).snapshot,
    "ShardDefaultDict(<class 'list'>, {1: [2]})": lambda: ShardDefaultDict(list, {1: [2]}),
    "ShardCounter({'b': 2, 'a': 1})": lambda: ShardCounter("abb"),
    "ShardCounter()": ShardCounter,
}


@pytest.mark.parametrize("text", REPRS)
def test_their_texts(text: str) -> None:
    assert repr(REPRS[text]()) == text
