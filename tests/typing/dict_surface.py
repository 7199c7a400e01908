"""What a ShardMap has of dict."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterator
from typing import assert_type

from shardmap import ItemsView, KeysView, ShardMap, ShardStats, Snapshot, Stats, ValuesView


def items_of_a_map(counts: ShardMap[str, int]) -> None:
    counts["a"] = 1
    assert_type(counts["a"], int)
    counts["a"] += 1
    del counts["a"]
    assert_type("a" in counts, bool)
    assert_type(len(counts), int)
    counts[1] = 1  # type: ignore[index]
    counts["a"] = "1"  # type: ignore[assignment]
    print(counts[1])  # type: ignore[index]
    del counts[1]  # type: ignore[arg-type]


def get(counts: ShardMap[str, int]) -> None:
    assert_type(counts.get("a"), int | None)
    assert_type(counts.get("a", None), int | None)
    assert_type(counts.get("a", 0), int)
    assert_type(counts.get("a", ""), int | str)
    counts.get(1)  # type: ignore[call-overload]
    counts.get("a", default=0)  # type: ignore[call-overload]
    counts.get()  # type: ignore[call-overload]


def pop(counts: ShardMap[str, int]) -> None:
    assert_type(counts.pop("a"), int)
    assert_type(counts.pop("a", 0), int)
    assert_type(counts.pop("a", None), int | None)
    assert_type(counts.popitem(), tuple[str, int])
    counts.pop()  # type: ignore[call-overload]
    counts.pop(1)  # type: ignore[call-overload]
    counts.popitem(last=False)  # type: ignore[call-arg]


def setdefault(counts: ShardMap[str, int], maybe: ShardMap[str, int | None]) -> None:
    assert_type(counts.setdefault("a", 0), int)
    assert_type(maybe.setdefault("a"), int | None)
    counts.setdefault("a")  # type: ignore[call-arg]
    counts.setdefault("a", "")  # type: ignore[arg-type]


def update(counts: ShardMap[str, int], numbers: ShardMap[int, int]) -> None:
    counts.update({"a": 1})
    counts.update([("a", 1)], b=2)
    counts.update(UserDict(a=1), b=2)
    counts.update(a=1)
    counts.update(counts)
    counts.update(counts.snapshot())
    counts |= {"a": 1}
    counts |= [("a", 1)]
    counts.clear()
    counts.update({1: 1})  # type: ignore[dict-item]
    counts.update(a="1")  # type: ignore[call-overload]
    counts.update(numbers)  # type: ignore[arg-type]
    numbers.update(a=1)  # type: ignore[call-overload]
    counts |= {"a": "1"}  # type: ignore[dict-item]


def union(counts: ShardMap[str, int], names: ShardMap[int, str]) -> None:
    assert_type(counts | {"a": 1}, ShardMap[str, int])
    assert_type({"a": 1} | counts, ShardMap[str, int])
    assert_type(counts | names, ShardMap[str | int, int | str])
    assert_type(counts | names.snapshot(), ShardMap[str | int, int | str])
    print(counts | [("a", 1)])  # type: ignore[operator]


def iteration(counts: ShardMap[str, int]) -> None:
    assert_type(iter(counts), Iterator[str])
    assert_type(reversed(counts), Iterator[str])
    assert_type(list(reversed(counts)), list[str])
    for key, value in counts.items():
        assert_type((key, value), tuple[str, int])
    assert_type(max(counts, key=counts.__getitem__), str)
    assert_type(counts == {"a": 1}, bool)


def views(counts: ShardMap[str, int], picture: Snapshot[str, int]) -> None:
    assert_type(counts.keys(), KeysView[str])
    assert_type(counts.values(), ValuesView[int])
    assert_type(counts.items(), ItemsView[str, int])
    assert_type(picture.items(), ItemsView[str, int])
    assert_type(list(counts.keys()), list[str])
    assert_type(sum(counts.values()), int)
    assert_type(dict(counts.items()), dict[str, int])
    assert_type(list(reversed(counts.items())), list[tuple[str, int]])
    assert_type(counts.keys() & {"a"}, set[str])
    assert_type(counts.keys() - ["a"], set[str])
    assert_type(counts.keys() | {1}, set[str | int])
    assert_type(counts.keys() ^ {1}, set[str | int])
    assert_type(counts.items() & {("a", 1)}, set[tuple[str, int]])
    assert_type(counts.keys() <= {"a"}, bool)
    assert_type(counts.keys().isdisjoint(["a"]), bool)
    assert_type(("a", 1) in counts.items(), bool)
    wider: ValuesView[object] = counts.values()
    counts.values() & {1}  # type: ignore[operator]
    counts.keys() & 1  # type: ignore[operator]
    counts.keys().add("a")  # type: ignore[attr-defined]
    print(wider, counts.keys().mapping)


def copies(counts: ShardMap[str, int]) -> None:
    assert_type(counts.copy(), ShardMap[str, int])
    match counts:
        case {"a": value}:
            assert_type(value, int)


def sizes(counts: ShardMap[str, int]) -> None:
    stats = counts.stats()
    assert_type(stats, Stats)
    assert_type(stats.shards, tuple[ShardStats, ...])
    assert_type(stats.splits, int)
    assert_type(stats.size + stats.capacity + stats.copies, int)
    assert_type(stats.load, float)
    assert_type([shard.contended for shard in stats.shards], list[int])
    assert_type(stats.shards[0].load, float)
    stats.size = 1  # type: ignore[misc]
    stats.shards[0].copies = 1  # type: ignore[misc]
