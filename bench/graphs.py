"""networkx graphs that use maps instead of dicts: build, search, copy, memory.

    python bench/graphs.py ShardMap        prints the bytes by which a graph made this process grow

networkx makes each of its dicts with one of seven factories. A subclass of its graphs may set them.
"""

from __future__ import annotations

import gc
import random
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from maps import DICT, SHARDMAP
from shardmap import ShardMap

NODES, EDGES = 40_000, 200_000
FACTORIES = (
    "node_dict_factory",
    "node_attr_dict_factory",
    "adjlist_outer_dict_factory",
    "adjlist_inner_dict_factory",
    "edge_key_dict_factory",
    "edge_attr_dict_factory",
    "graph_attr_dict_factory",
)
MAKE: dict[str, Callable[[], Any]] = {DICT: dict, SHARDMAP: ShardMap}


class Impossible(Exception):
    """Why this cannot be measured here."""


def installed() -> bool:
    return find_spec("networkx") is not None


@cache
def graph_class(make: Callable[[], Any], kind: str = "Graph") -> type[Any]:
    base = getattr(import_module("networkx"), kind)
    own = {name: staticmethod(make) for name in FACTORIES if hasattr(base, name)}
    return base if make is dict else type(f"{kind}Of{make.__name__}", (base,), own)


@cache
def edges(nodes: int = NODES, count: int = EDGES) -> list[tuple[int, int]]:
    choose = random.Random(1).randrange
    return [(choose(nodes), choose(nodes)) for _ in range(count)]


def build(make: Callable[[], Any], kind: str = "Graph", nodes: int = NODES, count: int = EDGES) -> Any:
    graph = graph_class(make, kind)()
    graph.add_nodes_from(range(nodes))
    graph.add_edges_from(edges(nodes, count))
    return graph


def search(graph: Any) -> int:
    """Searches breadth-first; returns how many edges lead to a node that was not seen before."""
    return sum(1 for _ in import_module("networkx").bfs_edges(graph, 0))


def resident() -> int:
    gc.collect()
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError as error:
        raise Impossible("this system does not tell how much memory a process occupies") from error
    return int(pages) * import_module("resource").getpagesize()  # type: ignore[no-any-return]


def growth(name: str, kind: str) -> int:
    build(MAKE[name], kind, 100, 100)  # so that things that are loaded or made once do not count
    edges()
    before = resident()
    graph = build(MAKE[name], kind)
    return resident() - before + 0 * len(graph)


def growth_of_a_process(name: str, kind: str = "Graph") -> int:
    """Measured in a new process, which has no free memory that it could use again."""
    resident()
    ran = subprocess.run([sys.executable, __file__, name, kind], capture_output=True, text=True, check=True)
    return int(ran.stdout)


if __name__ == "__main__":
    print(growth(sys.argv[1], (*sys.argv, "Graph")[2]))
