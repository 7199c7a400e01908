"""Compound operations, and MISSING in what functions are given and return."""

from __future__ import annotations

import operator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from functools import partial
from threading import Thread
from typing import Literal, assert_type

from shardmap import MISSING, MissingType, ShardMap


def one_more(key: str, old: int | MissingType) -> int:
    return 1 if old is MISSING else old + 1


def one_less(key: str, old: int) -> int | MissingType:
    return old - 1 or MISSING


def length_of(key: str) -> int:
    return len(key)


def length_if_any(key: str) -> int | MissingType:
    return len(key) or MISSING


def one_more_or_none(key: str, old: int | MissingType) -> int | MissingType:
    return MISSING if old is MISSING else old + 1


def more(by: int, key: str, old: int | MissingType) -> int:
    return (old or 0) + by


def sum_of_three(a: int, b: int, c: int) -> int:
    return a + b + c


def nothing(key: str, old: object) -> None: ...


def nothing_of(key: str) -> None: ...


class Steps:
    def __init__(self, by: int) -> None:
        self.by = by

    def first(self, key: str) -> int:
        return self.by

    def more(self, key: str, old: int | MissingType) -> int:
        return (old or 0) + self.by

    __call__ = more

    def sum(self, old: int, new: int) -> int:
        return old + new


def what_missing_is(found: int | MissingType) -> None:
    if found is MISSING:
        assert_type(found, Literal[MissingType.MISSING])
    else:
        assert_type(found, int)
    if found is not MISSING:
        assert_type(found, int)
    assert_type(found or "", int | Literal[""])
    print(found + 1)  # type: ignore[operator]
    MissingType()  # type: ignore[call-arg]


def adding(
    counts: ShardMap[str, int],
    weights: ShardMap[str, float],
    prices: ShardMap[str, Decimal],
    texts: ShardMap[str, str],
    times: ShardMap[str, timedelta],
) -> None:
    assert_type(counts.add("a"), int)
    assert_type(counts.add("a", 2, 10), int)
    assert_type(weights.add("a"), float)
    assert_type(weights.add("a", 0.5), float)
    assert_type(weights.add("a", 0.5, 1.0), float)
    assert_type(prices.add("a", Decimal(1)), Decimal)
    assert_type(prices.add("a", Decimal(1), Decimal(0)), Decimal)
    assert_type(texts.add("a", "b", ""), str)
    assert_type(times.add("a", timedelta(1), timedelta()), timedelta)
    counts.add("a", 0.5)  # type: ignore[arg-type]
    counts.add(1)  # type: ignore[call-overload]
    counts.add("a", delta=1)  # type: ignore[call-overload]
    prices.add("a")  # type: ignore[call-overload]
    prices.add("a", 0.5)  # type: ignore[arg-type]
    texts.add("a", "b")  # type: ignore[call-overload]
    times.add("a", timedelta(1))  # type: ignore[call-overload]


def computing(counts: ShardMap[str, int], groups: ShardMap[str, list[int]], maybe: ShardMap[str, int | None]) -> None:
    assert_type(counts.compute("a", one_more), int)
    assert_type(counts.compute("a", one_more_or_none), int | MissingType)
    assert_type(counts.compute("a", Steps(2).more), int)
    assert_type(counts.compute("a", Steps(2)), int)
    assert_type(counts.compute("a", partial(more, 2)), int)
    assert_type(counts.compute("a", lambda key, old: (old or 0) + 1), int)
    assert_type(counts.compute("a", lambda key, old: old or MISSING), int | MissingType)
    assert_type(counts.compute("a", lambda key, old: MISSING), int | MissingType)
    assert_type(groups.compute("a", lambda key, old: [*(old or []), 1]), list[int])
    assert_type(maybe.compute("a", lambda key, old: None), int | None)
    counts.compute("a", one_less)  # type: ignore[arg-type]
    counts.compute("a", lambda key, old: old + 1)  # type: ignore[operator]
    counts.compute("a", lambda key, old: "1")  # type: ignore[arg-type,return-value]
    counts.compute("a", lambda key, old: None)  # type: ignore[arg-type,return-value]
    counts.compute("a", nothing)  # type: ignore[arg-type]
    counts.compute("a", lambda old: 1)  # type: ignore[arg-type,misc]
    counts.compute(1, one_more)  # type: ignore[call-overload]


def computing_if_absent(
    counts: ShardMap[str, int], groups: ShardMap[str, list[int]], maybe: ShardMap[str, int | None]
) -> None:
    assert_type(counts.compute_if_absent("a", length_of), int)
    assert_type(counts.compute_if_absent("a", len), int)
    assert_type(counts.compute_if_absent("a", Steps(2).first), int)
    assert_type(counts.compute_if_absent("a", partial(int, base=16)), int)
    assert_type(counts.compute_if_absent("a", length_if_any), int | MissingType)
    assert_type(counts.compute_if_absent("a", lambda key: len(key)), int)
    assert_type(counts.compute_if_absent("a", lambda _: 1), int)
    assert_type(counts.compute_if_absent("a", lambda key: len(key) or MISSING), int | MissingType)
    assert_type(counts.compute_if_absent("a", lambda key: MISSING), int | MissingType)
    assert_type(groups.compute_if_absent("a", lambda key: []), list[int])
    assert_type(maybe.compute_if_absent("a", lambda key: None), int | None)
    assert_type(maybe.compute_if_absent("a", nothing_of), int | None)
    found = counts.compute_if_absent("a", lambda key: len(key))
    assert_type(found, int)
    groups.compute_if_absent("a", lambda key: []).append(1)
    counts.compute_if_absent("a", 1)  # type: ignore[call-overload]
    counts.compute_if_absent("a", str)  # type: ignore[arg-type]
    counts.compute_if_absent("a", lambda: 1)  # type: ignore[arg-type,misc]
    counts.compute_if_absent("a", lambda key: None)  # type: ignore[arg-type,return-value]
    counts.compute_if_absent("a", nothing_of)  # type: ignore[arg-type]
    groups.compute_if_absent("a", lambda key: [""])  # type: ignore[list-item]


def computing_if_present(counts: ShardMap[str, int], maybe: ShardMap[str, int | None]) -> None:
    assert_type(counts.compute_if_present("a", one_less), int | MissingType)
    assert_type(counts.compute_if_present("a", lambda key, old: old + 1), int | MissingType)
    assert_type(counts.compute_if_present("a", lambda key, old: MISSING), int | MissingType)
    assert_type(maybe.compute_if_present("a", lambda key, old: None), int | MissingType | None)
    counts.compute_if_present("a", length_of)  # type: ignore[arg-type]
    counts.compute_if_present("a", lambda key, old: None)  # type: ignore[arg-type,return-value]


def merging(counts: ShardMap[str, int], groups: ShardMap[str, list[int]]) -> None:
    assert_type(counts.merge("a", 1, int.__add__), int)
    assert_type(counts.merge("a", 1, max), int)
    assert_type(groups.merge("a", [1], list.__add__), list[int])
    assert_type(counts.merge("a", 1, lambda old, new: old + new), int)
    assert_type(counts.merge("a", 1, Steps(2).sum), int)
    assert_type(counts.merge("a", 1, partial(sum_of_three, 1)), int)
    assert_type(groups.merge("a", [1], lambda old, new: old + new), list[int])
    assert_type(groups.merge("a", [], lambda old, new: [*old, *new]), list[int])
    assert_type(counts.merge("a", 1, lambda old, new: old + new or MISSING), int | MissingType)
    assert_type(counts.merge("a", 1, lambda old, new: MISSING), int | MissingType)
    total: int = counts.merge("a", 1, operator.add)
    counts.merge("a", "1", int.__add__)  # type: ignore[call-overload]
    counts.merge("a", 1)  # type: ignore[call-overload]
    counts.merge("a", 1, lambda old, new: None)  # type: ignore[arg-type,return-value]
    groups.merge("a", [1], len)  # type: ignore[arg-type]
    print(total)


def in_a_pool(counts: ShardMap[str, int]) -> None:
    with ThreadPoolExecutor() as threads:
        assert_type(threads.submit(counts.merge, "a", 1, max), Future[int])
        assert_type(threads.submit(counts.merge, "a", 1, lambda old, new: old + new), Future[int])
        assert_type(threads.submit(counts.compute, "a", one_more), Future[int])
        assert_type(threads.submit(counts.compute_if_absent, "a", length_of), Future[int])
        assert_type(threads.submit(counts.compute_if_absent, "a", length_if_any), Future[int | MissingType])
    worker = Thread(target=counts.merge, args=("a", 1, max))
    worker.start()


def exchanging(counts: ShardMap[str, int]) -> None:
    assert_type(counts.exchange("a", 1), int | MissingType)
    assert_type(counts.replace("a", 1), int | MissingType)
    assert_type(counts.compare_and_set("a", 1, 2), bool)
    assert_type(counts.compare_and_set("a", MISSING, 2), bool)
    assert_type(counts.compare_and_set("a", 1, MISSING), bool)
    assert_type(counts.compare_and_delete("a", 1), bool)
    assert_type(counts.update_max("a", 1), int)
    assert_type(counts.update_min("a", 1), int)
    assert_type(counts.retain(lambda key, value: key != "" and value > 0), int)
    counts.exchange("a", MISSING)  # type: ignore[arg-type]
    counts.replace("a", "1")  # type: ignore[arg-type]
    counts.compare_and_set("a", 1, "2")  # type: ignore[arg-type]
    counts.compare_and_set("a", 1)  # type: ignore[call-arg]
    counts.compare_and_delete(1, 1)  # type: ignore[arg-type]
    counts.update_max("a", "1")  # type: ignore[arg-type]
    counts.retain(lambda key: True)  # type: ignore[arg-type,misc]
