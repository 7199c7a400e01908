"""Making maps: ShardMap takes what dict takes, and infers the same."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, TypeVar, assert_type

from shardmap import ShardMap, Snapshot

_K = TypeVar("_K")


def as_dict(
    pairs: Iterator[tuple[bytes, float]], lines: list[str], mapping: Mapping[int, str], listed: list[tuple[int, str]]
) -> None:
    assert_type(ShardMap(a=1), ShardMap[str, int])
    assert_type(ShardMap({1: "a"}), ShardMap[int, str])
    assert_type(ShardMap({"a": 1}, b=2), ShardMap[str, int])
    assert_type(ShardMap(listed), ShardMap[int, str])
    assert_type(ShardMap([("a", 1)], b=2), ShardMap[str, int])
    assert_type(ShardMap(pairs), ShardMap[bytes, float])
    assert_type(ShardMap(mapping), ShardMap[int, str])
    assert_type(ShardMap(mapping.items()), ShardMap[int, str])
    assert_type(ShardMap(Counter("abc")), ShardMap[str, int])
    assert_type(ShardMap(ShardMap(a=1)), ShardMap[str, int])
    assert_type(ShardMap(ShardMap(a=1).snapshot()), ShardMap[str, int])
    assert_type(ShardMap(line.split("=") for line in lines), ShardMap[str, str])
    assert_type(ShardMap([b"a=b".split(b"=")]), ShardMap[bytes, bytes])
    annotated: ShardMap[str, list[int]] = ShardMap()
    assert_type(annotated, ShardMap[str, list[int]])
    assert_type(ShardMap[str, float](a=1), ShardMap[str, float])


def not_as_dict_either() -> None:
    ShardMap(1)  # type: ignore[call-overload]
    ShardMap(["ab"])  # type: ignore[arg-type]
    ShardMap([(1, 2, 3)])  # type: ignore[arg-type]
    ShardMap({1: 2}, a=1)  # type: ignore[dict-item]
    ShardMap({}, {})  # type: ignore[call-overload]
    ShardMap[str, int](a="1")  # type: ignore[call-overload]
    ShardMap[str]()  # type: ignore[misc]


def takes(counts: ShardMap[str, int]) -> int:
    return len(counts)


def returns() -> ShardMap[str, int]:
    return ShardMap.with_capacity(1000)


class Owner:
    def __init__(self) -> None:
        self.counts: ShardMap[str, int] = ShardMap.with_capacity(1000, shards=16)


class Words(ShardMap[_K, int]): ...


def other_constructors(names: list[str]) -> None:
    assert_type(ShardMap[str, int].with_capacity(1000, shards=16), ShardMap[str, int])
    sized: ShardMap[str, int] = ShardMap.with_capacity(1000)
    assert_type(sized, ShardMap[str, int])
    assert_type(takes(ShardMap.with_capacity(1000)), int)
    assert_type(ShardMap.fromkeys(names, 0), ShardMap[str, int])
    assert_type(ShardMap.fromkeys(names), ShardMap[str, Any | None])
    wrong: ShardMap[str, int] = ShardMap[str, str].with_capacity(10)  # type: ignore[assignment]
    print(wrong)
    ShardMap[str, int].with_capacity(10, 16)  # type: ignore[call-arg]
    ShardMap[str, int].with_capacity("10")  # type: ignore[arg-type]
    ShardMap.fromkeys(1)  # type: ignore[call-overload]


class Cache(ShardMap[str, bytes]):
    hits = 0


def subclasses() -> None:
    cache = Cache(a=b"")
    assert_type(cache["a"], bytes)
    assert_type(Cache.with_capacity(10), Cache)
    assert_type(Words[str].with_capacity(10), Words[str])
    assert_type(cache.__copy__(), Cache)
    assert_type(cache.copy(), ShardMap[str, bytes])  # as a subclass of dict
    Cache(a=1)  # type: ignore[call-overload]
    Snapshot(1)  # type: ignore[arg-type]


def where_others_stand(counts: ShardMap[str, int]) -> None:
    mapping: Mapping[str, int] = counts
    mutable: MutableMapping[str, int] = counts
    objects: Mapping[str, object] = counts
    assert_type(dict(counts), dict[str, int])
    assert_type(OrderedDict(counts), OrderedDict[str, int])
    assert_type({**counts, "b": 1}, dict[str, int])
    assert_type(sorted(counts), list[str])
    as_dict: dict[str, int] = counts  # type: ignore[assignment]
    wider: MutableMapping[str, object] = counts  # type: ignore[assignment]
    other: Mapping[int, int] = counts  # type: ignore[assignment]
    print(mapping, mutable, objects, as_dict, wider, other)
