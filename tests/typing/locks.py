"""Entries held exclusively."""

from __future__ import annotations

from typing import assert_type

from shardmap import KeyEntry, LockedMany, ShardMap


def one(stock: ShardMap[str, int]) -> None:
    with stock.lock("a", timeout=1.0) as entry:
        assert_type(entry.key, str)
        assert_type(entry.exists, bool)
        assert_type(entry.value, int)
        entry.value += 1
        entry.set(2)
        assert_type(entry.get(), int | None)
        assert_type(entry.get(0), int)
        assert_type(entry.get(""), int | str)
        assert_type(entry.delete(), bool)
        entry.value = "1"  # type: ignore[assignment]
        entry.set(None)  # type: ignore[arg-type]
        entry.key = "b"  # type: ignore[misc]
    stock.lock(1)  # type: ignore[arg-type]
    stock.lock("a", timeout="1")  # type: ignore[arg-type]
    stock.lock("a").acquire()  # type: ignore[attr-defined]


def several(stock: ShardMap[str, int]) -> None:
    with stock.lock_many(["a", "b"], timeout=1) as entries:
        assert_type(list(entries), list[str])
        entries["b"].set(entries["a"].value)
        entries["b"].set("1")  # type: ignore[arg-type]
        entries[1].delete()  # type: ignore[index]
    stock.lock_many([1])  # type: ignore[list-item]
    stock.lock_many("a", "b")  # type: ignore[arg-type]


async def in_tasks(stock: ShardMap[str, int]) -> None:
    async with stock.lock("a", timeout=1.0) as entry:
        assert_type(entry, KeyEntry[str, int])
        entry.value += 1
    async with stock.lock_many(["a", "b"]) as entries:
        assert_type(entries, dict[str, KeyEntry[str, int]])


def named(stock: ShardMap[str, int]) -> tuple[KeyEntry[str, int], LockedMany[str, int]]:
    return stock.lock("a"), stock.lock_many(["a"])


def errors_pass_through(stock: ShardMap[str, int]) -> int:
    with stock.lock("a") as entry:  # a block that could swallow exceptions would need a return after it
        return entry.value
