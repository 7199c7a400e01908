"""Writers, refreshes and readers at once: a reader sees whole refreshes, and never an older one after a newer."""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.keys import HashKey
from harness.process import fork_and_wait
from harness.stops import collect_and_pause
from harness.threads import LONG, meanwhile, run_alike, run_threads
from shardmap import EventualMap, EventualReader

pytestmark = [pytest.mark.concurrent, pytest.mark.usefixtures("many_switches")]

KEYS = [f"key {n}" for n in range(40)]


def assert_whole(reader: EventualReader[Any, Any], at_least: int) -> int:
    """Every key has the number of the refresh and so has meta; through every way of reading."""
    number = reader.meta
    assert number >= at_least, "an older version after a newer"
    assert [reader[key] for key in KEYS] == [(number, -number)] * len(KEYS)
    assert {reader.get_one(key) for key in KEYS} == {number}
    assert set(reader.values()) == {(number, -number)} and len(reader) == len(KEYS)
    assert set(reader.snapshot().values()) == {(number, -number)}
    return int(number)


def write_all(m: EventualMap[str, int], number: int) -> None:
    """One refresh's writes, in several steps."""
    # A generator of its own: a fork may not meet a thread in random's (harness/process.py).
    for key in random.Random(number).sample(KEYS, len(KEYS)):
        if number % 3 == 0:
            m.update(key, number)
        else:
            m.remove(key)
            m.insert(key, number)
        m.insert(key, -number)
    m.meta = number


def map_and_numbers() -> tuple[EventualMap[str, int], Iterator[int]]:
    """A map of one refresh, and the numbers of the next ones."""
    m: EventualMap[str, int] = EventualMap()
    write_all(m, 1)
    m.refresh()
    return m, itertools.count(2)


def test_no_reader_sees_half_a_refresh_or_an_older_one_after_a_newer() -> None:
    m, numbers = map_and_numbers()

    def write() -> None:
        write_all(m, next(numbers))
        m.refresh()

    def read(_: int) -> None:
        reader, latest = m.reader(), 0
        for turn in range(150):
            latest = assert_whole(reader, latest)
            if turn % 10 == 0:
                latest = assert_whole(m.reader(), latest)  # a new one is no older
            reader.renew()

    with meanwhile(write):
        run_alike(3, read)


def test_batches_are_whole_whoever_refreshes() -> None:
    m, numbers = map_and_numbers()

    def write() -> None:
        with m.batch():
            write_all(m, next(numbers))

    def read(_: int) -> None:
        reader, latest = m.reader(), 0
        for _ in range(60):
            latest = assert_whole(reader, latest)
            reader.renew()

    with meanwhile(write, write, m.refresh):
        run_alike(2, read)


def test_what_was_refreshed_before_a_reader_asks_is_there() -> None:
    """Across threads: refresh() returned, then somebody is told, then renews or takes a reader."""
    m: EventualMap[int, int] = EventualMap()
    told = 0

    def write() -> None:
        nonlocal told
        m.update(0, told + 1)
        m.refresh()
        told += 1

    def read(_: int) -> None:
        reader = m.reader()
        for turn in range(2_000):
            known = told
            if turn % 2:
                reader.renew()
            else:
                reader = m.reader()
            assert reader.get_one(0, 0) >= known

    with meanwhile(write):
        run_alike(2, read)


def test_batches_of_several_writers_are_seen_whole() -> None:
    """extend() is never cut in two by another writer's refresh; a thread's writes appear in their order."""
    m: EventualMap[str, tuple[int, int]] = EventualMap()

    def write(number: int) -> None:
        for i in range(25):
            m.extend([(f"{number} {part}", (number, i)) for part in range(5)])
            m.refresh()

    def read() -> None:
        reader = m.reader()
        for _ in range(50):
            for number in range(3):
                bags = [reader.get(f"{number} {part}", ()) for part in range(5)]
                assert bags == [bags[0]] * 5
                assert bags[0] == tuple((number, i) for i in range(len(bags[0])))
            reader.renew()

    with meanwhile(read, read):
        run_alike(3, write)
    assert {len(bag) for bag in m.reader().values()} == {25} and len(m.reader()) == 15


def test_versions_are_numbered_without_gaps_by_whoever_refreshes() -> None:
    m: EventualMap[int, int] = EventualMap()

    def work(number: int) -> list[int]:
        got = []
        for i in range(200):
            m.insert(number, i)
            got.append(m.refresh())
        assert got == sorted(got)
        return got

    with meanwhile(lambda: m.reader().renew()):
        numbers = run_alike(3, work)
    assert set().union(*numbers) | {0} >= set(range(1, m.version + 1))
    assert max(max(one) for one in numbers) == m.version


def test_a_held_version_stays_exactly_what_it_was() -> None:
    m: EventualMap[Any, Any] = EventualMap((n, str(n)) for n in range(500))
    held, reader = m.reader().snapshot(), m.reader()
    before = hash(held)

    def write() -> None:
        for n in range(0, 500, 7):
            m.update(n, object())
            m.insert(random.randrange(1000), object())
        m.remove(random.randrange(500))
        m.refresh()

    with meanwhile(write, write):
        for _ in range(20):
            assert hash(held) == before == hash(reader.snapshot())
    m.clear()
    m.refresh()
    assert hash(held) == before and len(reader) == 500
    assert reader.renew() and len(reader) == 0


def test_readers_of_keys_that_compare_in_python_while_versions_come_and_go() -> None:
    m: EventualMap[Any, int] = EventualMap((HashKey(n, n % 3), 0) for n in range(12))
    numbers = itertools.count(1)

    def write() -> None:
        number = next(numbers)
        for n in range(12):
            m.update(HashKey(n, n % 3), number)
        m.refresh()

    def read(_: int) -> None:
        reader = m.reader()
        keys = [HashKey(n, n % 3, on_eq=reader.renew if n == 5 else None) for n in range(12)]
        for _ in range(40):
            latest = reader.get_one(keys[0], 0)
            for key in keys:
                number = reader.get_one(key, -1)
                assert number >= latest
                latest = number

    with meanwhile(write):
        run_alike(2, read)


def test_readers_made_and_dropped_in_all_threads_while_the_collector_runs() -> None:
    m, numbers = map_and_numbers()

    def write() -> None:
        write_all(m, next(numbers))
        m.refresh()

    def work(_: int) -> None:
        for _ in range(60):
            reader = m.reader()
            assert_whole(reader, 0)
            reader.renew()
            assert_whole(reader, 0)

    with meanwhile(write, collect_and_pause):
        run_alike(2, work)


def test_a_reader_that_is_handed_on_before_its_first_use_has_one_owner() -> None:
    m: EventualMap[str, int] = EventualMap([("a", 1)])
    for _ in range(50):
        reader = m.reader()

        def use(_: int, reader: EventualReader[str, int] = reader) -> bool:
            try:
                return reader["a"] == (1,)
            except RuntimeError:
                return False

        assert sorted(run_alike(3, use)) == [False, False, True]


FORKS = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


class TestForks:
    pytestmark = FORKS

    def test_a_child_forked_in_the_middle_has_a_whole_map(self) -> None:
        m, numbers = map_and_numbers()
        reader = m.reader()
        assert_whole(reader, 1)

        def write(m: EventualMap[Any, Any] = m) -> None:  # not the child's variable: fork_and_wait
            with m.batch():  # else two threads' writes mix
                write_all(m, next(numbers))
                m.refresh()

        def child() -> None:
            assert_whole(reader, 1)
            latest = assert_whole(m.reader(), 1)
            write_all(m, latest + 10**6)
            m.refresh()
            reader.renew()
            assert_whole(reader, latest + 10**6)
            run_threads(lambda: m.insert("x", 1), lambda: m.insert("x", 2), m.refresh, timeout=LONG / 2)
            m.refresh()
            assert sorted(m.reader()["x"]) == [1, 2]
            m._working._check()

        with meanwhile(write, write, m.refresh):
            for _ in range(5):
                fork_and_wait(child)

    def test_a_fork_from_within_a_refresh(self) -> None:
        m: EventualMap[Any, Any] = EventualMap()
        stored = HashKey("k", 5)
        m.insert(stored, 1)
        m.refresh()

        def in_child() -> None:
            m.insert("child", 1)
            with pytest.raises(RuntimeError):
                m.refresh()

        def fork() -> None:
            stored.on_eq = None
            fork_and_wait(in_child)

        m.update(HashKey("k", 5), 2)
        stored.on_eq = fork
        m.refresh()
        assert m.reader() == {stored: (2,)}


def test_every_write_is_in_some_refresh_exactly_once() -> None:
    m: EventualMap[int, tuple[int, int]] = EventualMap()
    stop = threading.Event()

    def refresh() -> None:
        while not stop.is_set():
            m.refresh()
            time.sleep(0.0001)

    def write(number: int) -> None:
        for i in range(150):
            m.insert(i % 7, (number, i))
            if i % 3 == 0:
                assert m.remove_value(i % 7, (number, i))

    def work() -> list[None]:
        try:
            return run_alike(2, write)
        finally:
            stop.set()

    works: list[Callable[[], Any]] = [work, refresh]
    run_threads(*works)
    m.refresh()
    left = sorted(value for bag in m.reader().values() for value in bag)
    assert left == [(number, i) for number in range(2) for i in range(150) if i % 3]
