"""CPython's own tests for mappings and dicts, with ShardMap in dict's place. What they do not reach of dict's
behaviour, or of the differences in docs/differences-from-dict.md, is tested at the end."""

from __future__ import annotations

import gc
import inspect
import json
import re
import sys
import weakref
from collections import Counter, OrderedDict, UserDict, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cpython.listed import DIFFERENCES, INTERNALS
from cpython.loader import Cases, load_cases, source_of
from cpython.runner import failure_of
from harness.threads import run_threads
from shardmap import ShardMap, Snapshot

MODULES = ("mapping_tests", "test_dict", "test_dictviews", "test_free_threading.test_dict")
CASES: Cases = {}
for _module in MODULES:
    if source_of(_module) is not None:
        CASES |= load_cases(_module)

LEFT_OUT = {test: reason for reason, tests in INTERNALS.items() for test in tests}
DIFFERENT = {test: difference for difference in DIFFERENCES for test in difference.all_tests()}


@pytest.mark.parametrize("module", MODULES)
def test_this_python_brings_the_tests(module: str) -> None:
    if source_of(module) is None:
        pytest.skip(f"this Python comes without test.{module}")
    assert any(test.startswith(f"{module}.") for test in CASES)


@pytest.mark.parametrize("test", [test for test in CASES if test not in LEFT_OUT and test not in DIFFERENT])
def test_shardmap_passes_what_dict_passes(test: str, default_shards: int) -> None:
    if "deep" in test and default_shards > 2:
        pytest.skip("up to 150,000 maps of 64 shards: a gigabyte, and nothing new")
    failure = failure_of(CASES[test])
    assert not failure, failure


@pytest.mark.parametrize("test", [test for test in DIFFERENT if test in CASES])
def test_a_listed_test_fails_for_the_documented_reason_only(test: str, default_shards: int) -> None:
    difference = DIFFERENT[test]
    failure = failure_of(CASES[test])
    assert failure, f"passes: take it off the list of {difference.title!r}"
    assert re.search(difference.shows, failure), failure
    if test in difference.adapted:
        module = next(name for name in MODULES if test.startswith(f"{name}."))
        failure = failure_of(load_cases(module, difference.adapted[test])[test])
        assert not failure, failure


@pytest.mark.parametrize("test", [test for test in LEFT_OUT if test in CASES])
def test_a_test_of_internals_is_left_out(test: str) -> None:
    pytest.skip(LEFT_OUT[test])


def test_no_test_is_listed_twice() -> None:
    listed = [test for tests in INTERNALS.values() for test in tests]
    listed += [test for difference in DIFFERENCES for test in difference.all_tests()]
    assert len(listed) == len(set(listed))


def test_the_document_lists_exactly_the_differences_that_are_tested() -> None:
    document = Path(__file__).parents[2] / "docs" / "differences-from-dict.md"
    titles = re.findall(r"(?m)^### (.+)$", document.read_text(encoding="utf-8"))
    assert sorted(titles) == sorted([*(difference.title for difference in DIFFERENCES), *MORE_DIFFERENCES])


def is_no_dict() -> None:
    m = ShardMap(a=1)
    assert not isinstance(m, dict)
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(m)
    with pytest.raises(TypeError, match="must be set to a dictionary"):
        type("C", (), {})().__dict__ = m
    with pytest.raises(TypeError, match="must be a dict"):
        exec("", m)  # type: ignore[arg-type]
    assert json.dumps(m.to_dict()) == '{"a": 1}'
    assert {**m} == dict(**m) == {"a": 1}
    assert "{a}".format_map(m) == "1"
    match m:
        case {"a": one}:
            assert one == 1
        case _:
            raise AssertionError


def has_a_signature() -> None:
    assert str(inspect.signature(ShardMap.pop)).startswith("(self, key, default=")
    inspect.signature(ShardMap)
    for of_dict in (dict, dict.pop):
        if sys.version_info < (3, 15):  # a later one may have signatures
            with pytest.raises(ValueError, match="signature"):
                inspect.signature(of_dict)


def is_asked_key_by_key() -> None:
    class Deleting(str):
        def __hash__(self) -> int:
            m.pop("b", None)
            return str.__hash__(self)

    m = ShardMap()
    for unpack in (dict, lambda m: {**m}, {}.update, Counter):
        m.update([(Deleting("a"), 1), ("b", 2)])
        with pytest.raises(KeyError, match="b"):
            unpack(m)
        m["b"] = 2
        unpack(m.snapshot())
        m["b"] = 2
        assert len(m.to_dict()) == 2


def is_freed_by_the_garbage_collector_at_the_latest() -> None:
    m = ShardMap(a=1)
    run_threads(lambda m=m: m["a"])
    gone = weakref.ref(m)
    del m
    gc.collect()
    assert gone() is None


def takes_more_memory_when_empty() -> None:
    assert ShardMap().__sizeof__() > {}.__sizeof__()


MORE_DIFFERENCES: dict[str, Callable[[], None]] = {
    "A ShardMap is not a dict": is_no_dict,
    "ShardMap has a signature": has_a_signature,
    "What unpacks a map asks key by key": is_asked_key_by_key,
    "A map that threads have shared may be freed later": is_freed_by_the_garbage_collector_at_the_latest,
    "An empty map is larger": takes_more_memory_when_empty,
}


@pytest.mark.parametrize("title", MORE_DIFFERENCES)
def test_a_difference_that_cpython_s_tests_do_not_reach(title: str) -> None:
    MORE_DIFFERENCES[title]()


# What dict does and its own tests leave out.


def test_equality_with_a_defaultdict_asks_it_for_no_default(make_map: Callable[..., ShardMap]) -> None:
    other = defaultdict(int, b=0)
    assert make_map(a=0) != other
    assert other != make_map(a=0)
    assert list(other) == ["b"]


def snapshot_of(**entries: int) -> Snapshot:
    return ShardMap(entries).snapshot()


@pytest.mark.parametrize("kind", [Counter, OrderedDict, UserDict, ShardMap, snapshot_of])
def test_equal_to_every_mapping_of_equal_entries_from_both_sides(
    kind: Callable[..., object], make_map: Callable[..., ShardMap]
) -> None:
    for m in make_map(a=1, b=2), make_map(a=1, b=2).snapshot():
        assert m == kind(b=2, a=1)
        assert kind(b=2, a=1) == m
        assert m != kind(a=1, b=3)
        assert kind(a=1, c=2) != m


@pytest.mark.parametrize("base", [dict, ShardMap])
def test_update_reads_a_subclass_as_dict_does(base: type, make_map: Callable[..., ShardMap]) -> None:
    class OwnValues(base):  # type: ignore[misc]
        def __getitem__(self, key: str) -> str:
            return "own"

    class OwnOrder(OwnValues):
        def __iter__(self) -> Iterator[str]:
            return reversed(list(super().__iter__()))

        def keys(self) -> Iterator[str]:  # type: ignore[override]
            return iter(self)

    assert list(make_map(OwnValues(a=1)).items()) == [("a", 1)]
    assert list(make_map(OwnOrder(a=1, b=2)).items()) == [("b", "own"), ("a", "own")]
    if base is dict:
        assert list(dict(OwnValues(a=1)).items()) == [("a", 1)]
        assert list(dict(OwnOrder(a=1, b=2)).items()) == [("b", "own"), ("a", "own")]


@pytest.mark.parametrize("base", [dict, ShardMap])
def test_in_place_or_goes_past_an_own_update(base: type) -> None:
    class OwnUpdate(base):  # type: ignore[misc]
        def update(self, *args: object, **kwargs: object) -> None:
            raise AssertionError

    m = OwnUpdate(a=1)
    m |= {"b": 2}
    assert m == {"a": 1, "b": 2}
