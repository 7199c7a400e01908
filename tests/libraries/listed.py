"""The tests of libraries that must fail with ShardMap in dict's place, each with its reason.

A test is "library: file::Class::test", without what is in brackets behind it. One that an installed version does not
have is no error, nor is one that it skips.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from libraries.runner import Outcomes


@dataclass(frozen=True)
class Difference:
    reason: str
    shows: str
    """What the failure of each test says: a regular expression."""
    tests: tuple[str, ...]
    since: tuple[int, int] = (3, 11)
    """The version of Python from which on they fail."""


def _in(file: str, *tests: str) -> tuple[str, ...]:
    return tuple(f"{file}::{test}" for test in tests)


_CLASSES = "networkx: classes/tests"
_GRAPHS = ("Graph", "DiGraph", "MultiGraph", "MultiDiGraph")
_VIEWS = ("NodeData", "EdgeData", "OutEdgeData", "InEdgeData", "MultiEdgeData", "OutMultiEdgeData", "InMultiEdgeData")

# Those below with a title are in docs/differences-from-dict.md.
DIFFERENCES = (
    Difference(
        "The set-up of the test: it puts dicts of its own into a graph, then compares their type with the factory's",
        r"isinstance\(G\._(node|adj), G\.\w+_dict_factory\)",
        (
            *(f"{_CLASSES}/test_{name.lower()}.py::Test{name}::test_nodes" for name in _GRAPHS),
            *(f"{_CLASSES}/test_{name.lower()}.py::Test{name}::test_edges" for name in ("Graph", "MultiGraph")),
            *(f"{_CLASSES}/test_special.py::TestSpecial{name}::test_nodes" for name in _GRAPHS),
            *(f"{_CLASSES}/test_special.py::TestSpecial{name}::test_edges" for name in ("Graph", "MultiGraph")),
            *_in(f"{_CLASSES}/test_special.py", "TestThinGraph::test_nodes", "TestThinGraph::test_edges"),
            *_in(f"{_CLASSES}/test_special.py", "TestThinDiGraph::test_nodes"),
        ),
    ),
    Difference(
        "repr() names the type",
        r"ShardMap\(",
        (
            *(f"{_CLASSES}/test_reportviews.py::Test{view}View::test_str" for view in _VIEWS),
            *(f"{_CLASSES}/test_reportviews.py::Test{view}View::test_repr" for view in _VIEWS),
            *_in(
                "networkx: algorithms/bipartite/tests/test_edgelist.py::TestEdgelist",
                "test_write_edgelist_2",
                "test_write_edgelist_3",
                "test_unicode",
                "test_latin1",
                "test_edgelist_graph",
                "test_edgelist_integers",
                "test_edgelist_multigraph",
            ),
        ),
    ),
    Difference(
        "repr() names the type: what was written with repr() is not read as a dict, and the graph read has no data",
        r"where False = graphs_equal\(",
        _in("networkx: readwrite/tests/test_adjlist.py::TestAdjlist", "test_unicode", "test_latin1"),
    ),
    Difference(
        "A ShardMap is not a dict: json refuses it",
        "Object of type ShardMap is not JSON serializable",
        (
            *_in("networkx: readwrite/json_graph/tests/test_cytoscape.py", "test_graph_attributes"),
            *_in(
                "networkx: readwrite/json_graph/tests/test_node_link.py::TestNodeLink",
                "test_graph_attributes",
                "test_graph_with_tuple_nodes",
                "test_unicode_keys",
            ),
        ),
    ),
    Difference(
        "A ShardMap is not a dict: isinstance(x, dict)",
        r"where False = isinstance\(ShardMap\(\{'weight': 1\}\), dict\)",
        _in("networkx: tests/test_convert.py::TestConvert", "test_custom_node_attr_dict_safekeeping"),
    ),
    Difference(
        "A ShardMap is not a dict: dict.__eq__ leaves comparing to it, and the test's subclass takes that for true",
        "NotImplemented should not be used in a boolean context",
        tuple(
            f"toolz: tests/test_dicttoolz.py::{name}::test_factory"
            for name in ("TestDict", "TestDefaultDict", "TestCustomMapping")
        ),
        since=(3, 14),
    ),
    Difference(
        "A ShardMap is not a dict: what CPython wants a dict for (attributes, annotations, globals, state of slots)",
        "__annotations__ must be set to a dict object|is neither a dict nor None|globals must be a dict"
        "|__dict__ must be set to a dictionary|slot state is not a dictionary",
        (
            *_in(
                "toolz: tests/test_functoolz.py",
                "test_compose_metadata",
                "test_compose_annotations",
                "test_compose_annotations_formats",
            ),
            *_in(
                "cachetools: tests/test_cachedmethod.py",
                "CacheMethodTest::test_decorator_immutable_dict",
                "DictMethodTest::test_decorator_immutable_dict",
            ),
            *_in(
                "cachetools: tests/test_lfu.py::LFUCacheTest",
                "test_lfu_copy_use_counts",
                "test_pickle",
                "test_pickle_maxsize",
            ),
        ),
    ),
    Difference(
        "ShardMap has a signature",
        r"num_required_args\(dict\) is None",
        ("toolz: tests/test_inspect_args.py::test_num_required_args",),
    ),
    Difference(
        "Changing a map while iterating over it does not raise",
        "DID NOT RAISE.*RuntimeError",
        _in(f"{_CLASSES}/test_function.py", "test_selfloops_removal_multi"),
    ),
)

LISTED = {
    test: difference for difference in DIFFERENCES for test in difference.tests if sys.version_info >= difference.since
}


def name_of(library: str, test: str) -> str:
    return f"{library}: {test.partition('[')[0]}"


def unexpected(library: str, outcomes: Outcomes) -> list[str]:
    """Failures that are not listed, or for another reason, and successes of what is listed."""
    found = []
    for test, said in outcomes.failed.items():
        difference = LISTED.get(name_of(library, test))
        if difference is None:
            found.append(f"{test} fails, and is not listed:\n{said}")
        elif not re.search(difference.shows, said):
            found.append(f"{test} does not fail because of {difference.reason!r}:\n{said}")
    passed = [(test, LISTED.get(name_of(library, test))) for test in outcomes.passed]
    return found + [f"{test} passes: take it off the list of {listed.reason!r}" for test, listed in passed if listed]
