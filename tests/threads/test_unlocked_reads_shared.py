"""Unlocked reads of maps that share tables, and their place in the order of insertions."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from harness.process import run_python
from harness.threads import run_threads
from shardmap import ShardMap

pytestmark = pytest.mark.concurrent

SHARES = {"copy": lambda m: m.copy(), "thaw": lambda m: m.snapshot().thaw()}


@pytest.mark.parametrize("way", ["copy", "snapshot().thaw"])
def test_a_copy_frees_no_table_that_readers_of_its_original_look_at(way: str) -> None:
    # Freed tables of this size are given back to the system, so that looking at one is a crash. Best in a build
    # with pauses (make pauses).
    run_python(
        f"""
        import itertools
        from harness.threads import meanwhile
        from shardmap import ShardMap

        m = ShardMap.with_capacity(shards=1)
        m.update((f"key {{i}}", i) for i in range(6144))    # the table is full
        keys = itertools.cycle([f"key {{i}}" for i in range(0, 6000, 97)])
        with meanwhile(lambda: [m.get(f"key {{i}}") for i in range(0, 6144, 61)]):
            for turn in range(60):
                only_here = m.{way}()
                m["key 1"] = turn           # m gets a table of its own; the old one is the copy's alone
                only_here["new"] = turn     # and grows
        """,
        env={"MALLOC_MMAP_THRESHOLD_": "65536"},
    )


def test_a_key_seen_absent_comes_after_those_inserted_before() -> None:
    for _ in range(300):
        m = ShardMap.with_capacity(shards=4)

        def look(m: ShardMap = m) -> bool:
            for i in range(5):
                m[i] = i
            return "a" in m

        seen, _ = run_threads(look, lambda m=m: m.__setitem__("a", 0))
        assert seen or list(m)[-1] == "a"


LOOKS = {"in": lambda m, k: k in m, "contains_many": lambda m, k: m.contains_many([k])[0]}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_key_of_a_batch_seen_absent_comes_after_those_inserted_before(look: Callable[[ShardMap, str], bool]) -> None:
    probe = ShardMap.with_capacity(shards=16)
    batch = list(itertools.islice((k for k in map(str, range(1000)) if probe.shard_index(k) < 8), 64))
    others = list(itertools.islice((k for k in range(1000) if probe.shard_index(k) >= 8), 50))
    for _ in range(200):
        m = ShardMap.with_capacity(shards=16)

        def insert_and_look(m: ShardMap = m) -> tuple[bool, int]:
            for key in others:
                m[key] = key
                if look(m, batch[-1]):
                    break
            return look(m, batch[-1]), key

        (seen, last), _ = run_threads(insert_and_look, lambda m=m: m.set_many(batch, batch))
        keys = list(m)
        assert seen or keys.index(last) < keys.index(batch[-1])
