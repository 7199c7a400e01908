"""The approaches that bench/ladder.py measures: each approach of docs/which-one.md, with loops that read and write.

Shared data is in a global variable, as in programs. Every thread has key objects of its own, in an order of its own.
The values are None, so that reference counts of values do not influence the result.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from shardmap import AtomicRef, EventualMap, ShardMap, ShardWorkers

KEYS = 1_000

Batch = Callable[[], int]
"""One turn of a thread's loop; returns the number of operations."""

lock: Any
shared: Any


class Account:
    """A value with a lock of its own."""

    __slots__ = ("balance", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.balance = 0


def own_keys(number: int) -> list[str]:
    """Every thread has key objects of its own, in an order of its own."""
    keys = [str(f"key {n}".encode(), "ascii") for n in range(KEYS)]
    random.Random(number).shuffle(keys)
    return keys


def pairs() -> list[tuple[str, Any]]:
    return [(f"key {n}", None) for n in range(KEYS)]  # None: the structures are measured, not a value's count


# --- The approaches: each sets `shared` up, and gives a thread its loop for reading and for writing ---


def set_dict() -> None:
    global shared, lock
    shared, lock = dict(pairs()), threading.Lock()


def read_locked_dict(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys:
            with lock:
                shared[key]
        return KEYS

    return batch


def write_locked_dict(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys:
            with lock:
                shared[key] = True
        return KEYS

    return batch


def set_map() -> None:
    global shared
    shared = ShardMap(pairs())


def read_items(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys:
            shared[key]
        return KEYS

    return batch


def write_items(number: int) -> Batch:
    keys = own_keys(number)
    values = [None, True]

    def batch() -> int:
        values.reverse()
        value = values[0]
        for key in keys:
            shared[key] = value
        return KEYS

    return batch


def write_under_key_lock(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys:
            with shared.lock(key) as entry:
                entry.value = number
        return KEYS

    return batch


def set_handles() -> None:
    global shared
    shared = ShardMap((key, Account()) for key, _ in pairs())


def read_handles(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys:
            account = shared[key]
            with account.lock:
                account.balance  # noqa: B018
        return KEYS

    return batch


def write_handles(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys:
            account = shared[key]
            with account.lock:
                account.balance += 1
        return KEYS

    return batch


def set_ref() -> None:
    global shared
    shared = AtomicRef(dict(pairs()))


def read_ref(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys:
            shared.load()[key]
        return KEYS

    return batch


def read_version(number: int) -> Batch:
    """Loads once for many reads, as the documentation recommends."""
    keys = own_keys(number)

    def batch() -> int:
        version = shared.load()
        for key in keys:
            version[key]
        return KEYS

    return batch


def write_ref(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys[:10]:
            shared.rcu(lambda old, key=key: {**old, key: True})
        return 10

    return batch


def set_snapshot() -> None:
    global shared
    shared = ShardMap(pairs()).snapshot()


def set_workers() -> None:
    global shared
    shared = ShardWorkers(2)
    for _ in shared.map(dict.__setitem__, [key for key, _ in pairs()], [None] * KEYS):
        pass


def ask_workers(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys[:100]:
            shared.submit(key, dict.get).result()
        return 100

    return batch


def tell_workers(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys:
            shared.submit(key, dict.__setitem__, True)
        return KEYS

    return batch


def end_workers() -> None:
    shared.shutdown()


def set_parts() -> None:
    global shared
    shared = ShardMap(pairs())


def read_parts(number: int) -> Batch:
    part = shared.partitions(2)[number % 2]

    def batch() -> int:
        for _ in part:
            pass
        return len(part)

    return batch


def set_eventual() -> None:
    global shared
    shared = EventualMap(pairs())


def read_eventual(number: int) -> Batch:
    keys, reader = own_keys(number), shared.reader()

    def batch() -> int:
        reader.renew()
        for key in keys:
            reader[key]
        return KEYS

    return batch


def read_one_eventual(number: int) -> Batch:
    keys, reader = own_keys(number), shared.reader()

    def batch() -> int:
        reader.renew()
        for key in keys:
            reader.get_one(key)
        return KEYS

    return batch


def write_eventual(number: int) -> Batch:
    keys = own_keys(number)

    def batch() -> int:
        for key in keys:
            shared.update(key, None)
        shared.refresh()
        return KEYS

    return batch


class Approach(NamedTuple):
    name: str
    set_up: Callable[[], None]
    read: Callable[[int], Batch]
    write: Callable[[int], Batch] | None
    tear_down: Callable[[], None] = lambda: None


APPROACHES = [
    Approach("`dict` and one `Lock`", set_dict, read_locked_dict, write_locked_dict),
    Approach("`ShardMap`", set_map, read_items, write_items),
    Approach("`m.lock(key)`", set_map, read_items, write_under_key_lock),
    Approach("handles with a lock of their own", set_handles, read_handles, write_handles),
    Approach("`AtomicRef` of a `dict`, a `load()` each", set_ref, read_ref, write_ref),
    Approach("`AtomicRef` of a `dict`, one `load()` for many", set_ref, read_version, None),
    Approach("`Snapshot`", set_snapshot, read_items, None),
    Approach("`ShardWorkers`", set_workers, ask_workers, tell_workers, end_workers),
    Approach("`partitions(2)`, iterated", set_parts, read_parts, None),
    Approach("`EventualMap`, `reader[key]`", set_eventual, read_eventual, write_eventual),
    Approach("`EventualMap`, `get_one(key)`", set_eventual, read_one_eventual, None),
]
