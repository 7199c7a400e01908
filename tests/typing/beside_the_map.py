"""AtomicRef, EventualMap and its readers, ShardWorkers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import assert_type

from shardmap import AtomicRef, EventualMap, EventualReader, ShardWorkers, Snapshot


def references(ref: AtomicRef[tuple[str, ...]]) -> None:
    assert_type(AtomicRef(1), AtomicRef[int])
    assert_type(AtomicRef[int | None](None), AtomicRef[int | None])
    assert_type(ref.load(), tuple[str, ...])
    ref.store(("a",))
    assert_type(ref.swap(()), tuple[str, ...])
    assert_type(ref.compare_and_swap(ref.load(), ("a",)), tuple[str, ...])
    assert_type(ref.rcu(lambda old: (*old, "b")), tuple[str, ...])
    ref.store("a")  # type: ignore[arg-type]
    ref.rcu(len)  # type: ignore[arg-type]
    ref.rcu(lambda: ())  # type: ignore[arg-type,misc]
    AtomicRef()  # type: ignore[call-arg]
    wider: AtomicRef[object] = ref  # type: ignore[assignment]
    print(wider)


def eventual_maps(routes: EventualMap[str, int], pairs: list[tuple[str, int]]) -> None:
    assert_type(EventualMap({"a": 1}), EventualMap[str, int])
    assert_type(EventualMap(pairs, meta="m"), EventualMap[str, int])
    empty: EventualMap[str, int] = EventualMap()
    routes.insert("a", 1)
    routes.extend({"a": 1})
    routes.extend([("a", 1)])
    routes.update("a", 2)
    assert_type(routes.remove_value("a", 1), bool)
    assert_type(routes.remove("a"), bool)
    assert_type(routes.refresh(), int)
    assert_type(routes.version, int)
    routes.meta = {"any": "thing"}
    routes.clear()
    with routes.batch():
        routes.insert("b", 1)
    assert_type(routes.batch(), AbstractContextManager[object, None])
    routes.insert("a", "1")  # type: ignore[arg-type]
    routes.insert(1, 1)  # type: ignore[arg-type]
    routes.extend({"a": "1"})  # type: ignore[arg-type]
    routes.version = 1  # type: ignore[misc]
    print(routes["a"], empty)  # type: ignore[index]


def returned_from_a_batch(routes: EventualMap[str, int]) -> int:
    with routes.batch():  # lets exceptions through, so nothing follows
        return routes.refresh()


def eventual_readers(routes: EventualMap[str, int]) -> None:
    reader = routes.reader()
    assert_type(reader, EventualReader[str, int])
    assert_type(reader["a"], tuple[int, ...])
    assert_type(reader.get("a"), tuple[int, ...] | None)
    assert_type(reader.get("a", ()), tuple[int, ...])
    assert_type(reader.get_one("a"), int | None)
    assert_type(reader.get_one("a", 0), int)
    assert_type(reader.get_one("a", ""), int | str)
    assert_type(reader.renew(), bool)
    assert_type(reader.snapshot(), Snapshot[str, tuple[int, ...]])
    assert_type(reader.to_dict(), dict[str, tuple[int, ...]])
    assert_type(list(reader.items()), list[tuple[str, tuple[int, ...]]])
    assert_type(reader.version, int)
    mapping: Mapping[str, tuple[int, ...]] = reader
    print(reader[1])  # type: ignore[index]
    reader["a"] = (1,)  # type: ignore[index]
    reader.get_one(1)  # type: ignore[call-overload]
    print(mapping, reader.meta)


def count(own: dict[str, int], word: str, by: int = 1) -> int:
    own[word] = own.get(word, 0) + by
    return own[word]


def dump(own: dict[str, int], prefix: str) -> list[str]:
    return [prefix + word for word in own]


def of_numbers(own: dict[int, int], key: int) -> int:
    return own[key]


def join(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    return left | right


def workers() -> None:
    with ShardWorkers[str, int](2, queue_size=8, timeout=1.5, thread_name_prefix="w") as pool:
        assert_type(pool, ShardWorkers[str, int])
        assert_type(len(pool), int)
        assert_type(pool.owner("a"), int)
        assert_type(pool.submit("a", count), Future[int])
        assert_type(pool.submit("a", count, 2), Future[int])
        assert_type(pool.submit("a", count, by=2), Future[int])
        assert_type(pool.map(count, ["a", "b"]), Iterator[int])
        assert_type(pool.map(count, ["a", "b"], [1, 2], timeout=1), Iterator[int])
        assert_type(pool.broadcast(dump, "> "), list[Future[list[str]]])
        assert_type(pool.reduce(len, int.__add__), int)
        assert_type(pool.reduce(dict.copy, join), dict[str, int])
        assert_type(pool.snapshot(), dict[str, int])
        assert_type(pool.reduce(len, lambda text, size: f"{text} {size}", "sizes:"), str)
        pool.submit(1, count)  # type: ignore[arg-type]
        pool.submit("a", count, "2")  # type: ignore[arg-type]
        pool.submit("a", count, 2, 3)  # type: ignore[call-arg]
        pool.submit("a", of_numbers)  # type: ignore[arg-type]
        pool.broadcast(count)  # type: ignore[call-arg]
        pool.map(count, [1])  # type: ignore[list-item]
        pool.map(len, ["a"])  # type: ignore[arg-type]
        pool.broadcast(dump)  # type: ignore[call-arg]
        pool.reduce(len)  # type: ignore[call-overload]
        pool.reduce(len, join)  # type: ignore[misc]
        pool.reduce(len, int.__add__, 0, 0)  # type: ignore[call-overload]
        pool.shutdown(wait=False, cancel_futures=True)
        pool.shutdown(True, True)  # type: ignore[call-arg]
