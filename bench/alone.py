"""Operations of one thread on a map that it made itself, for beside_dict.py, which compares them with a dict.

Each operation gets a function that makes a map, and a number of repetitions. It prepares in the thread that will be
timed, and returns the function to time. That function returns the number of operations.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import graphs
from keys import of_thread, shuffled
from rounds import Region, region
from workloads import Wrong, all_keys, check_length

MILLION = 1_000_000
POPPED = 10_000

Make = Callable[..., Any]
Part = Callable[[], int]
Operation = Callable[[Make, int], Part]


@dataclass(frozen=True)
class Timed:
    operation: Operation
    most: int | None = None  # repetitions

    def measure(self, make: Make, repetitions: int) -> Region:
        return region(lambda number: self.operation(make, repetitions), 1)


def filled(make: Make, kind: str, size: int) -> Any:
    m = make()
    for number, key in enumerate(of_thread(all_keys(kind, size), "equal")):
        m[key] = number
    check_length(m, size, f"{size} entries")
    return m


def make_and_fill(make: Make, repetitions: int, size: int = 10) -> Part:
    keys = list(range(size))

    def part() -> int:
        for _ in range(repetitions):
            m = make()
            for key in keys:
                m[key] = key
        return repetitions

    return part


def repeated(work: Callable[[], object], repetitions: int, each: int = 1) -> Part:
    def part() -> int:
        for _ in range(repetitions):
            work()
        return repetitions * each

    return part


def contained(make: Make, repetitions: int, kind: str = "str", size: int = 1_000) -> Part:
    m = filled(make, kind, size)
    keys = shuffled(of_thread(all_keys(kind, size), "equal"), size)
    if not all(key in m for key in keys):
        raise Wrong(f"in: {type(m).__name__} lacks a key")

    def part() -> int:
        for _ in range(repetitions):
            for key in keys:
                key in m  # noqa: B015
        return repetitions * size

    return part


def listed(make: Make, repetitions: int, size: int = 10) -> Part:
    m = filled(make, "int", size)
    if list(m) != all_keys("int", size):
        raise Wrong(f"list: {type(m).__name__} is out of order")
    return repeated(lambda: list(m), repetitions)


def iterated(make: Make, repetitions: int, size: int = MILLION) -> Part:
    m = filled(make, "str", size)
    if list(m) != all_keys("str", size):
        raise Wrong(f"iteration: {type(m).__name__} is out of order")

    def part() -> int:
        for _ in range(repetitions):
            for _key in m:
                pass
        return repetitions * size

    return part


def first_for_new(make: Make, repetitions: int, size: int = MILLION) -> Part:
    """Removes the oldest entry and inserts a new one, as in a queue."""
    m = filled(make, "int", size)
    new = list(range(size, size + repetitions))

    def part() -> int:
        for key in new:
            for first in m:
                del m[first]
                break
            m[key] = None
        if len(m) != size:
            raise Wrong(f"a queue: {type(m).__name__} has {len(m)} entries, not {size}")
        return repetitions

    return part


def constructed(make: Make, repetitions: int, size: int = MILLION) -> Part:
    source = filled(dict, "str", size)
    return repeated(lambda: make(source), repetitions)


def compared(make: Make, repetitions: int, size: int = MILLION) -> Part:
    m = filled(make, "str", size)
    other = make(m)

    def compare() -> None:
        if not m == other:
            raise Wrong(f"{type(m).__name__} is not equal to its copy")

    return repeated(compare, repetitions)


def united(make: Make, repetitions: int, size: int = MILLION) -> Part:
    m = filled(make, "str", size)
    other = make(m)
    return repeated(lambda: m | other, repetitions)


def values_listed(make: Make, repetitions: int, size: int = MILLION) -> Part:
    m = filled(make, "str", size)
    if list(m.values()) != list(range(size)):
        raise Wrong(f"values: {type(m).__name__} is out of order")
    return repeated(lambda: list(m.values()), repetitions)


def pop_items(m: Any) -> None:
    for _ in range(POPPED):
        m.popitem()


def popped(make: Make, repetitions: int, size: int = MILLION) -> Part:
    """From a new copy each time. The time of the copy is included."""
    m = filled(make, "str", size)
    return repeated(lambda: pop_items(make(m)), repetitions)


def popped_alone(make: Make, repetitions: int, size: int = MILLION) -> Part:
    m = filled(make, "str", size)
    return repeated(lambda: pop_items(m), repetitions)


def deeply_copied(make: Make, repetitions: int, size: int = MILLION // 10) -> Part:
    m = filled(make, "int", size)
    return repeated(lambda: copy.deepcopy(m), repetitions)


def graph_built(make: Make, repetitions: int, kind: str = "Graph", nodes: int = graphs.NODES) -> Part:
    count = nodes * graphs.EDGES // graphs.NODES
    graphs.edges(nodes, count)
    return repeated(partial(graphs.build, make, kind, nodes, count), repetitions)


def _with_graph(work: Callable[[Any], object], make: Make, repetitions: int, kind: str, nodes: int) -> Part:
    graph = graphs.build(make, kind, nodes, nodes * graphs.EDGES // graphs.NODES)
    return repeated(lambda: work(graph), repetitions)


def graph_searched(make: Make, repetitions: int, kind: str = "Graph", nodes: int = graphs.NODES) -> Part:
    return _with_graph(graphs.search, make, repetitions, kind, nodes)


def graph_copied(make: Make, repetitions: int, kind: str = "Graph", nodes: int = graphs.NODES) -> Part:
    return _with_graph(lambda graph: graph.copy(), make, repetitions, kind, nodes)
