"""Iterators without memory for the next entry: it comes when there is memory again. And the tuples they make, which the
collector does not see before they are filled."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.process import run_python
from shardmap import ShardMap

Make = Callable[..., ShardMap]

ITERATORS: dict[str, Callable[[ShardMap], Iterator[Any]]] = {
    "values": lambda m: iter(m.values()),
    "items": lambda m: iter(m.items()),
    "backward": lambda m: reversed(m.items()),
    "partition": lambda m: iter(m.partitions(1)[0]),
}

WITHOUT_MEMORY = """
import _testcapi, sys
sys.path.insert(0, {tests!r})
from test_iteration_memory import ITERATORS
from shardmap import ShardMap

set_nomemory, remove = _testcapi.set_nomemory, _testcapi.remove_mem_hooks
KEYS = [f"key {{n}}" for n in range(8)]
THING = object()

def attempt(iterator, start):
    try:
        set_nomemory(start, start + 1)
        try:
            return next(iterator)
        finally:
            remove()
    except MemoryError:
        return None

for shards in (1, 2, 64):
    for name, iterate in ITERATORS.items():
        failures = 0
        for kept in (False, True):
            for start in range(12):
                m = ShardMap.with_capacity(shards=shards)
                for n, key in enumerate(KEYS):
                    m.add(key, 2**40 + n)       # in the core no object: one is made for each reading
                m["thing"] = THING
                whole = list(iterate(m))
                iterator, got = iterate(m), []
                while left := iterator.__length_hint__():
                    item = attempt(iterator, start)
                    if item is None:
                        failures += 1
                        assert iterator.__length_hint__() == left, (name, start)
                        item = next(iterator)
                    # If nobody keeps the pair, the iterator uses it again.
                    got.append((*item,) if type(item) is tuple and not kept else item)
                    item = None
                assert list(iterator) == []
                assert got == whole, (name, start, got, whole)
        assert failures > 8, (name, failures)
print("nothing lost")
"""


def test_an_iterator_that_runs_out_of_memory_loses_no_entry() -> None:
    pytest.importorskip("_testcapi")
    done = run_python(WITHOUT_MEMORY.format(tests=str(Path(__file__).parent)))
    assert "nothing lost" in done.stdout


@pytest.mark.parametrize("name", [name for name in ITERATORS if name != "values"])
def test_the_collector_sees_the_pairs_that_iterators_make(make_map: Make, name: str) -> None:
    class Thing:
        pass

    m = make_map((n, Thing()) for n in range(5))
    iterator = ITERATORS[name](m)
    pairs = list(iterator)
    assert all(gc.is_tracked(pair) for pair in pairs)
    # Of a cycle through a pair nothing is left.
    [one, *_] = pairs
    one[1].cycle = one
    gone = weakref.ref(one[1])
    m.clear()
    del one, pairs, iterator, m
    gc.collect()
    assert gone() is None
