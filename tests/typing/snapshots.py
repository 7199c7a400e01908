"""Snapshots: read like any Mapping, not written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import assert_type

from shardmap import ShardMap, Snapshot


def reading(counts: ShardMap[str, int]) -> None:
    picture = counts.snapshot()
    assert_type(picture, Snapshot[str, int])
    assert_type(picture["a"], int)
    assert_type(picture.get("a"), int | None)
    assert_type(picture.get("a", 0), int)
    assert_type(picture.get("a", ""), int | str)
    assert_type("a" in picture, bool)
    assert_type(iter(picture), Iterator[str])
    assert_type(list(reversed(picture)), list[str])
    assert_type(hash(picture), int)
    assert_type(picture.to_dict(), dict[str, int])
    assert_type(counts.to_dict(), dict[str, int])
    assert_type(Snapshot(counts), Snapshot[str, int])
    assert_type(picture.__copy__(), Snapshot[str, int])
    print(picture[1])  # type: ignore[index]
    picture.get(1)  # type: ignore[call-overload]


def not_writing(picture: Snapshot[str, int]) -> None:
    picture["a"] = 1  # type: ignore[index]
    del picture["a"]  # type: ignore[attr-defined]
    picture.pop("a")  # type: ignore[attr-defined]
    picture.update(a=1)  # type: ignore[attr-defined]
    thawed = picture.thaw()
    assert_type(thawed, ShardMap[str, int])
    thawed["a"] = 1


def a_snapshot_of_ints_is_one_of_objects(picture: Snapshot[str, int]) -> None:
    wider: Snapshot[str, object] = picture
    mapping: Mapping[str, float] = picture
    narrower: Snapshot[str, bool] = picture  # type: ignore[assignment]
    print(wider, mapping, narrower)
