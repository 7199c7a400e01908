"""Operations on many keys at once, map_reduce and partitions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from typing import assert_type

from shardmap import Partition, ShardMap, Shards, ShardView, Snapshot


def reading(counts: ShardMap[str, int]) -> None:
    assert_type(counts.get_many("ab"), list[int | None])
    assert_type(counts.get_many(["a", "b"], 0), list[int])
    assert_type(counts.get_many(["a", "b"], default=""), list[int | str])
    assert_type(counts.contains_many(["a", 1]), list[bool])
    counts.get_many([1])  # type: ignore[list-item]
    counts.get_many("a", "b", "c")  # type: ignore[call-overload]
    counts.contains_many(1)  # type: ignore[arg-type]


def writing(counts: ShardMap[str, int], weights: ShardMap[str, float], prices: ShardMap[str, Decimal]) -> None:
    counts.set_many(["a", "b"], range(2))
    assert_type(counts.delete_many(["a"]), int)
    assert_type(counts.pop_many(["a"]), list[int | None])
    assert_type(counts.pop_many(["a"], 0), list[int])
    counts.add_many(["a", "b"])
    counts.add_many(["a", "b"], 2)
    weights.add_many(["a"], 0.5)
    prices.add_many(["a"], Decimal(1))
    counts.count("abc")
    counts.set_many(["a"], ["1"])  # type: ignore[list-item]
    counts.set_many({"a": 1})  # type: ignore[call-arg]
    counts.delete_many([1])  # type: ignore[list-item]
    counts.add_many(["a"], 0.5)  # type: ignore[arg-type]
    prices.add_many(["a"])  # type: ignore[call-arg]
    counts.count([1])  # type: ignore[list-item]
    prices.count(["a"])  # type: ignore[misc]


def size_of(key: str, value: int) -> int:
    return len(key) * value


def pair_of(key: str, value: int) -> dict[str, int]:
    return {key: value}


def join(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    return left | right


def reducing(counts: ShardMap[str, int]) -> None:
    assert_type(counts.map_reduce(size_of, int.__add__), int)
    assert_type(counts.map_reduce(pair_of, join), dict[str, int])
    joined: dict[str, int] = counts.map_reduce(pair_of, join, initial={})
    print(joined)
    with ProcessPoolExecutor() as executor:
        assert_type(counts.map_reduce(size_of, max, executor=executor, initial=0), int)
    counts.map_reduce(size_of)  # type: ignore[call-arg]
    counts.map_reduce(size_of, int.__add__, None, 0)  # type: ignore[call-arg]
    counts.map_reduce(size_of, int.__add__, initial="")  # type: ignore[arg-type]
    counts.map_reduce(len, int.__add__)  # type: ignore[arg-type]


def sharing_out(counts: ShardMap[str, int], picture: Snapshot[str, int]) -> None:
    assert_type(counts.partitions(4), list[Partition[str, int]])
    for part in picture.partitions(4):
        assert_type(len(part), int)
        for key, value in part:
            assert_type((key, value), tuple[str, int])
    counts.partitions("4")  # type: ignore[arg-type]
    counts.partitions()  # type: ignore[call-arg]
    counts.partitions(4)[0]["a"]  # type: ignore[index]


def by_shard(counts: ShardMap[str, int]) -> None:
    assert_type(counts.shard_index("a"), int)
    assert_type(counts.shards, Shards[str, int])
    assert_type(counts.shards[0], ShardView[str, int])
    assert_type(counts.shards[:2], list[ShardView[str, int]])
    shard = counts.shards[0]
    assert_type(list(shard), list[str])
    assert_type(list(shard.items()), list[tuple[str, int]])
    assert_type(list(shard.values()), list[int])
    assert_type(shard.snapshot(), Snapshot[str, int])
    assert_type(shard.index, int)
    views: Sequence[ShardView[str, int]] = counts.shards
    collection: Collection[str] = shard
    counts.shard_index(1)  # type: ignore[arg-type]
    counts.shards = counts.shards  # type: ignore[misc]
    print(views, collection)
    shard.index = 1  # type: ignore[misc]
