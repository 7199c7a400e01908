"""Many threads on one map: nothing is lost, nothing is given twice."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from harness.keys import HashKey
from harness.threads import meanwhile, run_alike, run_threads
from shardmap import ShardMap

pytestmark = [pytest.mark.concurrent, pytest.mark.usefixtures("many_switches"), pytest.mark.first_use]

MakeMap = Callable[..., ShardMap]

THREADS = 4


# --- Nothing is lost, nothing is given twice ---


def test_disjoint_keys_from_many_threads_are_all_there(make_map: MakeMap) -> None:
    m = make_map()

    def insert(number: int) -> None:
        for i in range(5000):
            m[number, i] = i
            m[f"{number} {i}"] = i

    run_alike(THREADS, insert)
    assert len(m) == THREADS * 10000
    for number in range(THREADS):
        assert all(m[number, i] == i and m[f"{number} {i}"] == i for i in range(5000))


def test_setdefault_has_one_winner_and_all_threads_get_its_object(make_map: MakeMap) -> None:
    m = make_map()

    def claim(number: int) -> list[object]:
        return [m.setdefault(i, object()) for i in range(5000)]

    results = run_alike(THREADS, claim)
    for i, seen in enumerate(zip(*results, strict=True)):
        assert all(value is m[i] for value in seen)


def test_setdefault_with_keys_compared_by_python_has_one_winner(make_map: MakeMap) -> None:
    m = make_map()

    def claim(number: int) -> list[object]:
        return [m.setdefault(HashKey(i, hashed=i % 3), object()) for i in range(60)]

    results = run_alike(THREADS, claim)
    assert len(m) == 60
    for i, seen in enumerate(zip(*results, strict=True)):
        assert all(value is m[HashKey(i, hashed=i % 3)] for value in seen)


def _delete(m: ShardMap, key: Any) -> bool:
    try:
        del m[key]
    except KeyError:
        return False
    return True


@pytest.mark.parametrize(
    "take",
    [lambda m, key: m.pop(key, None) is not None, _delete],
    ids=["pop", "del"],
)
def test_each_entry_is_taken_by_exactly_one_thread(make_map: MakeMap, take: Callable[[ShardMap, int], bool]) -> None:
    m = make_map((i, str(i)) for i in range(10000))
    taken = run_alike(THREADS, lambda number: [i for i in range(10000) if take(m, i)])
    assert sorted(itertools.chain(*taken)) == list(range(10000))
    assert len(m) == 0


def test_popitem_hands_each_entry_to_exactly_one_thread(make_map: MakeMap) -> None:
    m = make_map((i, str(i)) for i in range(5000))

    def take(number: int) -> list[tuple[int, str]]:
        items = []
        while True:
            try:
                items.append(m.popitem())
            except KeyError:
                return items

    taken = run_alike(THREADS, take)
    assert sorted(itertools.chain(*taken)) == [(i, str(i)) for i in range(5000)]
    # Last in, first out: nobody gets an entry that is newer than one he got before.
    assert all(items == sorted(items, reverse=True) for items in taken)


def test_pop_del_and_popitem_together_take_each_entry_once_while_others_insert(make_map: MakeMap) -> None:
    m = make_map()
    inserted = threading.Event()

    def insert(number: int) -> list[Any]:
        for i in range(3000):
            m[number, i] = i
        return []

    def popitems() -> list[Any]:
        taken = []
        while True:
            last = inserted.is_set()
            try:
                taken.append(m.popitem()[0])
            except KeyError:
                if last:
                    return taken

    def pops() -> list[Any]:
        taken = []
        while True:
            last = inserted.is_set()
            taken += [key for key in m if m.pop(key, None) is not None]
            if last:
                return taken

    def insert_all() -> list[Any]:
        try:
            run_alike(2, insert)
        finally:
            inserted.set()
        return []

    taken = list(itertools.chain(*run_threads(insert_all, popitems, pops)))
    assert sorted(taken) == [(number, i) for number in range(2) for i in range(3000)]


def test_additions_of_all_threads_add_up(make_map: MakeMap) -> None:
    m = make_map()

    def count(number: int) -> None:
        for i in range(10000):
            m.add(i % 7)
            m.add("all", number)

    run_alike(THREADS, count)
    assert m.pop("all") == 10000 * sum(range(THREADS))
    assert m == {i: len(range(i, 10000, 7)) * THREADS for i in range(7)}


def test_additions_while_others_delete_and_snapshot_are_not_lost(make_map: MakeMap) -> None:
    m = make_map()
    taken: list[int] = []

    def count(number: int) -> None:
        for _ in range(5000):
            m.add("n")

    with meanwhile(lambda: taken.append(m.pop("n", 0)), m.snapshot):
        run_alike(3, count)
    assert sum(taken) + m.get("n", 0) == 15000


@pytest.mark.parametrize(
    "source", [dict, ShardMap, lambda pairs: ShardMap(pairs).snapshot(), list], ids=["dict", "map", "snapshot", "pairs"]
)
def test_updates_from_many_threads_are_all_there(make_map: MakeMap, source: Callable[[Any], Any]) -> None:
    m = make_map()

    def update(number: int) -> None:
        for block in range(20):
            m.update(source([((number, block, i), i) for i in range(100)]), **{f"block {number} {block}": 1})

    run_alike(THREADS, update)
    assert len(m) == THREADS * 20 * 101
    assert all(m[number, block, i] == i for number in range(THREADS) for block in range(20) for i in range(100))


def test_the_value_that_stays_is_one_written_last(make_map: MakeMap) -> None:
    m = make_map()

    def write(number: int) -> None:
        for i in range(5000):
            m[i % 10] = (number, i)

    run_alike(THREADS, write)
    for key in range(10):
        assert m[key] in [(number, 4990 + key) for number in range(THREADS)]


def test_growth_from_empty_again_and_again(make_map: MakeMap) -> None:
    for _ in range(30):
        m = make_map()

        def insert(number: int, m: ShardMap = m) -> None:
            for i in range(200):
                m[i * THREADS + number] = number

        run_alike(THREADS, insert)
        assert sorted(m) == list(range(200 * THREADS))


def test_growth_and_shrinking_under_load_keep_what_stays(make_map: MakeMap) -> None:
    m = make_map()

    def work(number: int) -> None:
        for wave in range(3):
            for i in range(8000):
                m[number, wave, i] = i
            assert all(m.get((number, wave, i)) == i for i in range(0, 8000, 7))
            for i in range(8000):
                if i % 1000:
                    del m[number, wave, i]

    run_alike(THREADS, work)
    assert set(m) == {(n, wave, i) for n in range(THREADS) for wave in range(3) for i in range(0, 8000, 1000)}


def test_clear_leaves_only_what_came_after_it(make_map: MakeMap) -> None:
    m = make_map()

    def insert(number: int) -> None:
        for i in range(3000):
            m[number, i] = i
            if i % 500 == 499:
                m.clear()
                # All of my own from before are gone, whoever else writes.
                assert not any((number, j) in m for j in range(i - 20, i + 1))
                m[number, "mark"] = i

    run_alike(THREADS, insert)
    m.clear()
    assert len(m) == 0 and list(m) == []


def test_an_entry_is_popped_or_cleared_but_never_anothers(make_map: MakeMap) -> None:
    m = make_map()

    def insert_and_pop(number: int) -> None:
        for i in range(4000):
            m[number, i] = (number, i)
            assert m.pop((number, i), None) in ((number, i), None)
            assert (number, i) not in m

    with meanwhile(m.clear):
        run_alike(3, insert_and_pop)
    assert len(m) == 0


def test_len_is_never_more_or_less_than_can_be(make_map: MakeMap) -> None:
    m = make_map((("stays", i), i) for i in range(100))
    threads = 3

    def insert_and_delete(number: int) -> Callable[[], None]:
        def work() -> None:
            for i in range(50):
                m[number, i] = i
            for i in range(50):
                del m[number, i]

        return work

    with meanwhile(*[insert_and_delete(number) for number in range(threads)]):
        for _ in range(3000):
            assert 100 <= len(m) <= 100 + threads * 50
    assert len(m) == 100


def test_len_under_inserts_and_clear_is_never_a_mix_of_before_and_after(make_map: MakeMap) -> None:
    m = make_map()

    def fill_and_clear() -> None:
        for i in range(64):
            m[i] = i
        m.clear()

    with meanwhile(fill_and_clear):
        for _ in range(3000):
            seen = m.snapshot()
            assert set(seen) == set(range(len(seen)))
            assert 0 <= len(m) <= 64


# --- Nobody starves, nothing else breaks ---


def test_popitem_comes_through_while_others_take_snapshots(make_map: MakeMap) -> None:
    m = make_map((i, i) for i in range(300))
    with meanwhile(m.snapshot, m.snapshot):
        assert [m.popitem()[0] for _ in range(300)] == list(range(299, -1, -1))


def test_writers_with_keys_compared_by_python_come_through_while_others_take_snapshots(make_map: MakeMap) -> None:
    m = make_map((HashKey(i, hashed=0), i) for i in range(20))
    with meanwhile(m.snapshot, m.snapshot):
        for i in range(20):
            m[HashKey(i, hashed=0)] = -i
            m.pop(HashKey(i, hashed=0))
    assert len(m) == 0


def test_stats_and_sizeof_work_under_load(make_map: MakeMap, shards: int) -> None:
    m = make_map()

    def churn() -> None:
        for i in range(200):
            m[i] = i
        for i in range(200):
            del m[i]

    with meanwhile(churn, churn_other := lambda: m.update({"x": 1})):
        for _ in range(300):
            stats = m.stats()
            assert len(stats.shards) == shards and 0 <= stats.size <= 201
            assert m.__sizeof__() > 0
    churn_other()
    assert m.stats().size == 1
