"""What a thread sees while others write is one point in time, and in insertion order."""

from __future__ import annotations

import itertools
import pickle
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from harness.threads import meanwhile, run_alike
from shardmap import ShardMap

pytestmark = [pytest.mark.concurrent, pytest.mark.usefixtures("many_switches")]

MakeMap = Callable[..., ShardMap]

THREADS = 4


# --- Every picture is one point in time ---


class Seen:
    """Equal to everything, and remembers to what."""

    value: Any = None

    def __eq__(self, other: object) -> bool:
        self.value = other
        return True

    __hash__ = None  # type: ignore[assignment]


def by_equality(m: ShardMap) -> dict[str, Any]:
    seen = {"a": Seen(), "b": Seen()}
    assert m == seen
    return {key: found.value for key, found in seen.items()}


def by_or(m: ShardMap) -> dict[str, Any]:
    return dict((m | {}).items())


PICTURES: dict[str, Callable[[ShardMap], dict[str, Any]]] = {
    "snapshot": lambda m: dict(m.snapshot()),
    "items": lambda m: dict(m.items()),
    "reversed": lambda m: dict(reversed(m.items())),
    "values": lambda m: dict(zip("ab", m.values(), strict=True)),
    "list of values": lambda m: dict(zip("ab", list(m.values()), strict=True)),
    "copy": lambda m: dict(m.copy().items()),
    "ShardMap": lambda m: dict(ShardMap(m).items()),
    "pickle": lambda m: dict(pickle.loads(pickle.dumps(m)).items()),
    "repr": lambda m: eval(repr(m), {"ShardMap": dict}),
    "repr of items": lambda m: dict(eval(repr(m.items()), {"ItemsView": list})),
    "==": by_equality,
    "|": by_or,
    "popped copy": lambda m: dict([(c := m.copy()).popitem(), c.popitem()][::-1]),
    "pickled snapshot": lambda m: dict(pickle.loads(pickle.dumps(m.snapshot()))),
}


@pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)
def test_two_keys_written_one_after_the_other_are_never_seen_apart(
    make_map: MakeMap, picture: Callable[[ShardMap], dict[str, Any]]
) -> None:
    m = make_map(a=0, b=0)
    numbers = itertools.count(1)

    def write() -> None:
        for number in itertools.islice(numbers, 50):
            m["a"] = number
            time.sleep(0)  # lets others run here, with a GIL too
            m["b"] = number

    latest = looks = apart = 0
    until = time.monotonic() + 10
    with meanwhile(write):
        # Until it has looked often, and in between the two writes.
        while looks < 200 or (not apart and time.monotonic() < until):
            seen = picture(m)
            assert seen["b"] <= seen["a"] <= seen["b"] + 1
            assert seen["a"] >= latest, "went back in time"
            latest = seen["a"]
            apart += seen["a"] != seen["b"]
            looks += 1
    if not apart:
        pytest.skip("the machine, too busy, never ran a look between the two writes: this run shows little")


def test_an_entry_that_moves_on_is_seen_once_or_twice_but_never_lost(make_map: MakeMap) -> None:
    m = make_map({0: 0})
    numbers = itertools.count(1)

    def move() -> None:
        for i in itertools.islice(numbers, 50):
            m[i] = i
            time.sleep(0)
            del m[i - 1]
            time.sleep(0)

    sizes = set()
    until = time.monotonic() + 5
    with meanwhile(move):
        for looks in itertools.count():
            keys = list(m)
            assert 1 <= len(keys) <= 2 and keys[-1] - keys[0] == len(keys) - 1
            assert 1 <= len(m) <= 2
            assert len(m.snapshot()) in (1, 2)
            sizes.add(len(keys))
            if looks >= 200 and (sizes == {1, 2} or time.monotonic() > until):
                break
    # Which of the two a loaded machine shows is the scheduler's affair.
    assert sizes and sizes <= {1, 2}


def test_a_snapshot_does_not_change(make_map: MakeMap) -> None:
    m = make_map((i, i) for i in range(500))
    before = m.snapshot()
    iterators = [iter(before), iter(m), reversed(m)]

    def change() -> None:
        for i in range(500):
            m[i] = -1
        for i in range(0, 500, 3):
            m.pop(i, None)
        m[1000] = 1
        m.clear()
        m.update((i, i) for i in range(500))

    with meanwhile(change, change):
        for _ in range(20):
            assert dict(before) == {i: i for i in range(500)}
            assert list(before.values()) == list(range(500))
    forward, also_forward, backward = iterators
    assert list(forward) == list(also_forward) == list(backward)[::-1] == list(range(500))


def test_copies_go_their_own_ways(make_map: MakeMap) -> None:
    m = make_map((i, "original") for i in range(200))

    def copy_and_change(number: int) -> None:
        for _ in range(20):
            mine = m.copy()
            for i in range(0, 200, 5):
                mine[i] = number
                mine[f"{number} {i}"] = number
            assert mine == {i: "original" if i % 5 else number for i in range(200)} | {
                f"{number} {i}": number for i in range(0, 200, 5)
            }
            mine._check()

    with meanwhile(lambda: m.update({3: "original"})):
        run_alike(3, copy_and_change)
    assert m == dict.fromkeys(range(200), "original")


def test_a_clear_is_seen_whole_or_not_at_all(make_map: MakeMap) -> None:
    m = make_map()

    def fill_and_clear() -> None:
        m["first"] = 0
        for i in range(30):
            m[i] = i
        m.clear()

    with meanwhile(fill_and_clear):
        for _ in range(2000):
            keys = list(m)
            assert keys == ["first", *range(30)][: len(keys)]


# --- Order and iteration ---


def test_iteration_has_each_threads_entries_in_its_order_without_gaps(make_map: MakeMap) -> None:
    m = make_map()

    def insert(number: int) -> None:
        for i in range(3000):
            m[number, i] = None

    def look() -> None:
        backward = list(reversed(m.keys()))
        forward = list(m)
        for keys in (forward, backward[::-1]):
            for number in range(THREADS):
                mine = [i for n, i in keys if n == number]
                assert mine == list(range(len(mine)))

    with meanwhile(look):
        run_alike(THREADS, insert)
    look()


def test_order_is_right_across_threads_where_one_insert_follows_another(make_map: MakeMap) -> None:
    m = make_map()
    lock = threading.Lock()
    numbers = itertools.count()

    def insert(_: int) -> None:
        for _ in range(4000):
            with lock:
                m[next(numbers)] = None

    run_alike(THREADS, insert)
    assert list(m) == list(range(4000 * THREADS))
    assert [m.popitem()[0] for _ in range(1000)] == list(range(4000 * THREADS))[:-1001:-1]


def test_iterating_while_others_write_has_each_lasting_key_exactly_once(make_map: MakeMap) -> None:
    m = make_map((("stays", i), i) for i in range(300))

    def come_and_go(number: int) -> Callable[[], None]:
        def work() -> None:
            for i in range(200):
                m[number, i] = i
                m["stays", i] = i
            for i in range(200):
                del m[number, i]

        return work

    with meanwhile(come_and_go(1), come_and_go(2)):
        for _ in range(150):
            keys = []
            for key in m:
                keys.append(key)
                m["stays", 5] = 5
            assert len(keys) == len(set(keys))
            assert [key for key in keys if key[0] == "stays"] == [("stays", i) for i in range(300)]


def test_reads_of_one_key_never_go_back(make_map: MakeMap) -> None:
    m = make_map(n=0)
    numbers = itertools.count(1)

    def write() -> None:
        for number in itertools.islice(numbers, 100):
            m["n"] = number

    def read(number: int) -> None:
        latest = 0
        for _ in range(5000):
            for value in (m["n"], m.get("n"), m.setdefault("n", None)):
                assert value >= latest
                latest = value

    with meanwhile(write):
        run_alike(3, read)


def test_threads_that_share_an_iterator_get_each_entry_once(make_map: MakeMap) -> None:
    m = make_map((i, str(i)) for i in range(10000))
    for iterator in (iter(m.items()), reversed(m.items())):
        parts = run_alike(THREADS, lambda _, iterator=iterator: list(iterator))
        assert sorted(itertools.chain(*parts)) == [(i, str(i)) for i in range(10000)]
        assert next(iterator, None) is None
