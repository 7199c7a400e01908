"""Sets, dicts with defaults, counters: what type checkers infer of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import MutableMapping, MutableSet, Set
from typing import assert_type

from shardmap import SetSnapshot, ShardCounter, ShardDefaultDict, ShardMap, ShardSet, Stats


def sets(s: ShardSet[str], other: set[int]) -> None:
    assert_type(s.add("a"), bool)
    assert_type(s.discard("a"), bool)
    assert_type(s.pop(), str)
    assert_type(s.add_many(["a"]), list[bool])
    assert_type(s.contains_many(["a"]), list[bool])
    assert_type(s.discard_many(["a"]), list[bool])
    assert_type("a" in s, bool)
    assert_type(list(s), list[str])
    assert_type(s | other, ShardSet[str | int])
    assert_type(other | s, set[int | str])
    assert_type(s & other, ShardSet[str])
    assert_type(s - other, ShardSet[str])
    assert_type(s ^ other, ShardSet[str | int])
    assert_type(s.union([1], [2]), ShardSet[str | int])
    assert_type(s.intersection([1]), ShardSet[str])
    assert_type(s.difference([1], [2]), ShardSet[str])
    assert_type(s.symmetric_difference([1]), ShardSet[str | int])
    assert_type(s < other or s <= other or s > other or s >= other or s == other, bool)
    assert_type(s.issubset([1]) or s.issuperset([1]) or s.isdisjoint([1]), bool)
    assert_type(s.copy(), ShardSet[str])
    assert_type(s.stats(), Stats)
    s.update(["a"], {"b"})
    s.intersection_update([1])
    s.difference_update([1])
    s.symmetric_difference_update(["a"])
    s.remove("a")
    s.clear()
    s |= {"a"}
    s &= other
    s -= other
    s ^= {"a"}
    mutable: MutableSet[str] = s
    s.add(1)  # type: ignore[arg-type]
    s.update([1])  # type: ignore[list-item]
    print(mutable, s < ["a"])  # type: ignore[operator]


def made() -> None:
    assert_type(ShardSet("ab"), ShardSet[str])
    assert_type(ShardSet(range(3)), ShardSet[int])
    sized: ShardSet[int] = ShardSet.with_capacity(10, shards=2)
    assert_type(ShardSet[int](), ShardSet[int])
    print(sized)


def snapshots(s: ShardSet[str]) -> None:
    snapshot = s.snapshot()
    assert_type(snapshot, SetSnapshot[str])
    assert_type(snapshot | {1}, SetSnapshot[str | int])
    assert_type(snapshot & {1}, SetSnapshot[str])
    assert_type(snapshot.thaw(), ShardSet[str])
    assert_type(snapshot.copy(), SetSnapshot[str])
    assert_type({snapshot: 1}, dict[SetSnapshot[str], int])
    some: Set[str | int] = snapshot
    print(some)


def defaults(groups: ShardDefaultDict[str, list[int]]) -> None:
    groups["a"].append(1)
    assert_type(groups.get("a"), list[int] | None)
    assert_type(groups.copy(), ShardDefaultDict[str, list[int]])
    assert_type(groups | {"b": [1]}, ShardDefaultDict[str, list[int]])
    counts: ShardDefaultDict[str, int] = ShardDefaultDict(int)
    assert_type(ShardDefaultDict(int, {"a": 1}), ShardDefaultDict[str, int])
    assert_type(ShardDefaultDict(int, [("a", 1)], b=2), ShardDefaultDict[str, int])
    if counts.default_factory is not None:
        assert_type(counts.default_factory(), int)
    mapping: MutableMapping[str, int] = counts
    both: ShardMap[str, int] | defaultdict[str, int] = counts
    groups["a"].append("b")  # type: ignore[arg-type]
    ShardDefaultDict[str, int](1)  # type: ignore[call-overload]
    print(mapping, both)


def counters(words: ShardCounter[str], other: Counter[int]) -> None:
    assert_type(words["a"], int)
    assert_type(words.add("a"), int)
    assert_type(words.most_common(3), list[tuple[str, int]])
    assert_type(list(words.elements()), list[str])
    assert_type(words.total(), int)
    assert_type(words + other, ShardCounter[str | int])
    assert_type(words - other, ShardCounter[str])
    assert_type(words | other, ShardCounter[str | int])
    assert_type(words & other, ShardCounter[str])
    assert_type(+words, ShardCounter[str])
    assert_type(-words, ShardCounter[str])
    assert_type(words < words or words <= words or words > words or words >= words or words == other, bool)
    assert_type(words.copy(), ShardCounter[str])
    words.update("ab")
    words.update({"a": 1}, b=2)
    words.subtract("ab", c=1)
    words += Counter("a")
    words -= Counter("a")
    words |= Counter("a")
    words &= Counter("a")
    assert_type(ShardCounter("ab"), ShardCounter[str])
    assert_type(ShardCounter({1: 2}), ShardCounter[int])
    assert_type(ShardCounter(a=1), ShardCounter[str])
    words.update([1])  # type: ignore[list-item]
