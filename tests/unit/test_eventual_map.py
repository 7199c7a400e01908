"""EventualMap: what each operation writes, what readers see of it and when, errors and memory."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from harness.keys import HashKey
from harness.locks import assert_waits, thread
from harness.threads import run_alike, run_threads, switching_often
from shardmap import EventualMap, EventualReader, ShardMap, Snapshot
from shardmap._eventual import _shards_for

pytestmark = pytest.mark.concurrent


def content(m: EventualMap[Any, Any]) -> dict[Any, tuple[Any, ...]]:
    return dict(m.reader().items())


# --- Reading and refreshing ---


def test_readers_see_nothing_until_the_refresh_and_then_all() -> None:
    m: EventualMap[str, int] = EventualMap()
    early = m.reader()
    m.insert("a", 1)
    m.insert("a", 2)
    m.insert("b", 3)
    late = m.reader()
    for reader in (early, late):
        assert reader == {} and not reader.renew() and "a" not in reader
    assert m.refresh() == 1
    assert early == {}, "until it asks"
    assert early.renew() and not early.renew()
    assert early == {"a": (1, 2), "b": (3,)} == m.reader() != late
    assert late.renew() and late == early


def test_a_reader_sees_one_version_until_it_asks() -> None:
    m = EventualMap(dict.fromkeys(range(100), 0))
    readers = []
    for version in range(1, 6):
        readers.append(m.reader())
        for n in range(100):
            m.update(n, version)
        m.refresh()
    for version, reader in enumerate(readers):
        assert set(reader.values()) == {(version,)} and reader.version == version + 1
        assert reader.renew() and set(reader.values()) == {(5,)} and reader.version == 6 == m.version


def test_what_a_reader_offers() -> None:
    m: EventualMap[str, int] = EventualMap([("a", 1), ("b", 2), ("a", 3)], meta="first")
    reader = m.reader()
    assert isinstance(reader, Mapping) and type(reader) is EventualReader
    assert reader["a"] == (1, 3) == reader.get("a") and reader.get("x") is None and reader.get("x", ()) == ()
    assert reader.get_one("a") == 1 and reader.get_one("x") is None and reader.get_one("x", 7) == 7
    assert "a" in reader and "x" not in reader and len(reader) == 2
    assert list(reader) == ["a", "b"] and list(reversed(reader)) == ["b", "a"]
    assert list(reader.keys()) == ["a", "b"] and list(reader.values()) == [(1, 3), (2,)]
    assert list(reader.items()) == [("a", (1, 3)), ("b", (2,))] and ("a", (1, 3)) in reader.items()
    assert reader == {"a": (1, 3), "b": (2,)} == dict(reader) and reader != {"a": (1,)}
    assert repr(reader) == "EventualReader({'a': (1, 3), 'b': (2,)})"
    assert (reader.version, reader.meta) == (1, "first")
    with pytest.raises(KeyError) as caught:
        reader["x", 1]
    assert caught.value.args == (("x", 1),)
    with pytest.raises(TypeError):
        hash(reader)
    for work in (lambda: reader[[]], lambda: reader.get([]), lambda: [] in reader, lambda: reader.get_one({})):  # type: ignore[list-item,call-overload,index]
        with pytest.raises(TypeError, match="unhashable"):
            work()
    for name in ("insert", "update", "clear", "__setitem__", "pop"):
        assert not hasattr(reader, name)
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(reader)
    with pytest.raises(AttributeError):
        reader.attribute = 1  # type: ignore[attr-defined]


def test_the_snapshot_of_a_reader_stays_and_is_for_any_thread() -> None:
    m = EventualMap([("a", 1)])
    reader = m.reader()
    snapshot = reader.snapshot()
    m.update("a", 2)
    m.refresh()
    reader.renew()
    assert type(snapshot) is Snapshot and snapshot == {"a": (1,)} and reader == {"a": (2,)}
    assert run_threads(lambda: snapshot["a"], lambda: hash(snapshot)) == [(1,), hash(snapshot)]
    assert pickle.loads(pickle.dumps(snapshot)) == snapshot


def test_bags_of_any_size_come_back_whole() -> None:
    m: EventualMap[int, Any] = EventualMap()
    for size in range(40):
        for n in range(size):
            m.insert(size, [n])
    m.refresh()
    reader = m.reader()
    assert 0 not in reader
    for size in range(1, 40):
        assert reader[size] == tuple([n] for n in range(size)) == reader.get(size)
        assert reader.get_one(size) is reader[size][0]


# --- Writing ---


@pytest.mark.parametrize("published", [False, True], ids=["pending", "published"])
def test_what_each_write_does(published: bool) -> None:
    def prepared() -> EventualMap[str, int]:
        m: EventualMap[str, int] = EventualMap()
        m.extend([("a", 1), ("a", 2), ("a", 1), ("b", 5)])
        if published:
            m.refresh()
        return m

    def after(write: Callable[[EventualMap[str, int]], Any]) -> tuple[Any, dict[Any, Any]]:
        m = prepared()
        result = write(m)
        m.refresh()
        return result, content(m)

    both = {"a": (1, 2, 1), "b": (5,)}
    assert after(lambda m: m.insert("a", 3)) == (None, {"a": (1, 2, 1, 3), "b": (5,)})
    assert after(lambda m: m.insert("c", 3)) == (None, {**both, "c": (3,)})
    assert after(lambda m: m.update("a", 9)) == (None, {"a": (9,), "b": (5,)})
    assert after(lambda m: m.remove_value("a", 1)) == (True, {"a": (2, 1), "b": (5,)})
    assert after(lambda m: m.remove_value("a", 7)) == (False, both)
    assert after(lambda m: m.remove_value("x", 7)) == (False, both)
    assert after(lambda m: m.remove_value("b", 5)) == (True, {"a": (1, 2, 1)})
    assert after(lambda m: m.remove("a")) == (True, {"b": (5,)})
    assert after(lambda m: m.remove("x")) == (False, both)
    assert after(lambda m: m.clear()) == (None, {})
    assert after(lambda m: (m.clear(), m.insert("a", 8), m.remove("b"))) == ((None, None, False), {"a": (8,)})
    assert after(lambda m: (m.remove("a"), m.insert("a", 8))) == ((True, None), {"b": (5,), "a": (8,)})
    assert after(lambda m: m.extend({"a": 4})) == (None, {"a": (1, 2, 1, 4), "b": (5,)})


def test_random_writes_agree_with_a_model() -> None:
    import random

    for seed in range(8):
        choose, m, model = random.Random(seed), EventualMap[int, int](), dict[int, list[int]]()
        reader, seen = m.reader(), dict[int, tuple[int, ...]]()
        for _ in range(600):
            key, value = choose.randrange(30), choose.randrange(4)
            name = choose.choice([*["insert"] * 6, *["remove_value"] * 2, "update", "remove", "refresh", "clear"])
            if name == "insert":
                m.insert(key, value)
                model.setdefault(key, []).append(value)
            elif name == "update":
                m.update(key, value)
                model[key] = [value]
            elif name == "remove_value":
                there = value in model.get(key, [])
                assert m.remove_value(key, value) is there
                if there:
                    model[key].remove(value)
            elif name == "remove":
                assert m.remove(key) is bool(model.pop(key, None))
            elif name == "clear" and choose.random() < 0.1:
                m.clear()
                model.clear()
            elif name == "refresh":
                m.refresh()
                assert reader == seen
                seen = {key: tuple(bag) for key, bag in model.items() if bag}
                reader.renew()
            assert reader == seen
        m._working._check()


def test_a_refresh_without_changes_publishes_nothing() -> None:
    m = EventualMap([("a", 1)])
    reader = m.reader()
    assert m.refresh() == m.refresh() == 1 == m.version and not reader.renew()
    m.remove_value("a", 2)
    m.remove("x")
    m.update("a", 1)
    m.refresh()
    assert content(m) == {"a": (1,)}


def test_meta_is_published_with_the_version() -> None:
    m = EventualMap([("a", 1)], meta={"at": 1})
    reader = m.reader()
    m.meta = {"at": 2}
    assert (reader.meta, m.meta) == ({"at": 1}, {"at": 2})
    m.insert("a", 2)
    assert m.refresh() == 2 and reader.meta == {"at": 1}
    reader.renew()
    assert reader.meta == {"at": 2} and reader["a"] == (1, 2)
    m.meta = "alone"
    assert m.refresh() == 3 and reader.renew() and reader.meta == "alone" and reader["a"] == (1, 2)


def test_construction() -> None:
    assert content(EventualMap()) == {} and EventualMap().version == 0
    assert content(EventualMap({"a": 1})) == {"a": (1,)} == content(EventualMap(ShardMap(a=1)))
    assert content(EventualMap(iter([("a", 1), ("a", 2)]))) == {"a": (1, 2)}
    assert EventualMap[str, int].__origin__ is EventualMap
    assert repr(EventualMap({"a": 1})) == "<EventualMap: version 1, 1 keys>"
    for garbage in (5, [5], [(1, 2, 3)], [([], 1)]):
        with pytest.raises((TypeError, ValueError)):
            EventualMap(garbage)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        EventualMap(a=1)  # type: ignore[call-arg]


def test_a_wrong_pair_inserts_none_of_the_batch() -> None:
    m: EventualMap[Any, Any] = EventualMap()
    for pairs in ([(1, 2), (3,)], [(1, 2), 5]):
        with pytest.raises((TypeError, ValueError)):
            m.extend(pairs)  # type: ignore[arg-type]
        m.refresh()
        assert content(m) == {}


def test_a_refresh_copies_only_the_shards_that_changed() -> None:
    m = EventualMap((n, n) for n in range(4_000))
    shards = len(m._working.shards)
    assert shards >= 128
    before = m._working.stats().copies
    reader = m.reader()
    for n in range(3):
        m.update(n, "new")
        m.refresh()
    assert m._working.stats().copies - before <= 3
    assert reader[0] == (0,) and m.reader()[0] == ("new",)


def test_shards_grow_with_the_square_root_of_the_keys() -> None:
    sizes = [_shards_for(n) for n in (0, 1, 3, 4, 100, 10_000, 1_000_000, 10**8)]
    assert sizes == sorted(sizes) and all(size & (size - 1) == 0 for size in sizes)
    assert sizes[0] == 8 and sizes[-1] == 65_536
    assert _shards_for(10**12) <= 65_536, "as many as a map may have"
    m = EventualMap[int, int]()
    reader = m.reader()
    for step in range(5):
        m.extend((n, step) for n in range(8**step))
        m.refresh()
        reader.renew()
        assert _shards_for(8**step) <= len(m._working.shards) <= _shards_for(2 * 8**step)
    assert list(reader) == list(range(8**4)) and reader[0] == (0, 1, 2, 3, 4)


# --- Threads ---


def test_a_reader_belongs_to_the_thread_that_uses_it_first() -> None:
    m = EventualMap([("a", 1)])
    mine, handed_over = m.reader(), m.reader()
    assert mine["a"] == (1,)
    assert run_threads(lambda: handed_over["a"]) == [(1,)]
    uses: list[Callable[[Any], Any]] = [
        lambda r: r["a"],
        lambda r: r.get("a"),
        lambda r: r.get_one("a"),
        lambda r: "a" in r,
        len,
        list,
        lambda r: list(reversed(r)),
        lambda r: list(r.items()),
        lambda r: r.renew(),
        lambda r: r.version,
        lambda r: r.meta,
        lambda r: r.snapshot(),
        repr,
        lambda r: r == {},
    ]
    for use in uses:

        def elsewhere(use: Callable[[Any], Any] = use) -> None:
            with pytest.raises(RuntimeError, match="belongs to another thread"):
                use(mine)

        run_threads(elsewhere)
    m.update("a", 2)
    m.refresh()
    assert mine["a"] == (1,) and mine.renew() and mine["a"] == (2,)


def test_writers_wait_for_each_other_and_lose_nothing() -> None:
    m: EventualMap[int, tuple[int, int]] = EventualMap()

    def work(number: int) -> None:
        for i in range(300):
            m.insert(i % 10, (number, i))
            if i % 50 == 0:
                m.refresh()

    with switching_often():
        run_alike(4, work)
    m.refresh()
    reader = m.reader()
    assert sorted(value for bag in reader.values() for value in bag) == [(n, i) for n in range(4) for i in range(300)]
    for bag in reader.values():  # each thread's order is kept
        for number in range(4):
            mine = [i for n, i in bag if n == number]
            assert mine == sorted(mine)


# --- Code of keys and values that comes back ---


def test_a_key_that_renews_its_reader_while_it_is_compared() -> None:
    m: EventualMap[Any, Any] = EventualMap()
    stored = HashKey("k", 5)
    m.insert(stored, "old")
    m.refresh()
    reader = m.reader()

    def move_on() -> None:
        stored.on_eq = None
        m.clear()
        m.insert(HashKey("other", 5), "new")
        m.refresh()
        assert reader.renew()
        gc.collect()

    for read in (lambda k: reader[k], reader.get, lambda k: (reader.get_one(k),)):
        m.clear()
        m.insert(stored, "old")
        m.refresh()
        reader.renew()
        stored.on_eq = move_on
        assert read(HashKey("k", 5)) == ("old",)
        assert reader[HashKey("other", 5)] == ("new",)
        assert HashKey("k", 5) not in reader


def test_an_error_while_comparing_goes_to_the_caller() -> None:
    m: EventualMap[Any, Any] = EventualMap()

    def fail() -> None:
        raise ZeroDivisionError

    stored = HashKey("k", 5)
    m.insert(stored, 1)
    m.refresh()
    reader = m.reader()
    stored.on_eq = fail
    other = HashKey("k", 5)
    for read in (reader.__getitem__, reader.get, reader.__contains__, reader.get_one):
        with pytest.raises(ZeroDivisionError):
            read(other)
    stored.on_eq = None
    assert reader[other] == (1,) and reader.renew() is False


def test_a_refresh_that_fails_publishes_nothing_and_loses_nothing() -> None:
    m: EventualMap[Any, Any] = EventualMap()
    stored = HashKey("k", 5)
    m.insert(stored, "old")
    m.extend((n, n) for n in range(20))
    m.refresh()
    reader = m.reader()
    before = dict(reader)
    m.insert(stored, "more")  # the same object: found without a comparison
    m.insert(HashKey("x", 5), 1)
    for n in range(20):
        m.update(n, -n)

    def fail() -> None:
        raise ZeroDivisionError

    stored.on_eq = fail
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            m.refresh()
        assert not reader.renew() and m.version == 1
        m.insert(1, "later")
        m.remove(2)
    stored.on_eq = None
    assert reader == before
    assert m.refresh() == 2 and reader.renew()
    assert reader[stored] == ("old", "more") and reader[HashKey("x", 5)] == (1,)
    assert reader[1] == (-1, "later", "later", "later") and 2 not in reader and reader[3] == (-3,)
    assert len(reader) == 21 and len(m._layers) == 1


def test_writes_from_within_a_refresh_wait_for_the_next() -> None:
    m: EventualMap[Any, Any] = EventualMap()
    stored = HashKey("k", 5)
    m.insert(stored, 1)
    m.refresh()
    done: list[Any] = []

    def write() -> None:
        stored.on_eq = None
        m.insert(stored, "from within")
        m.insert("new", 1)
        assert m.remove_value(other, 2)
        with pytest.raises(RuntimeError, match="refresh"):
            m.refresh()
        done.append(content(m))

    other = HashKey("k", 5)
    m.remove_value(stored, 1)
    m.insert(stored, 2)
    m.update("plain", 0)
    # The bag is written under the key as it was inserted last; force a comparison with the stored one.
    m._layers[0].bags[other] = m._layers[0].bags.pop(stored)
    stored.on_eq = write
    m.refresh()
    assert len(done) == 1 and done[0] == {stored: (1,)}, "half a refresh is not seen"
    assert content(m) == {stored: (2,), "plain": (0,)}
    m.refresh()
    assert content(m) == {stored: ("from within",), "plain": (0,), "new": (1,)}


def test_clearing_from_within_a_refresh() -> None:
    m: EventualMap[Any, Any] = EventualMap()
    stored = HashKey("k", 5)
    m.insert(stored, 1)
    m.refresh()

    def clear() -> None:
        stored.on_eq = None
        m.clear()
        m.insert("after", 1)

    m.update(HashKey("k", 5), 2)
    stored.on_eq = clear
    m.refresh()
    assert content(m) == {stored: (2,)}
    m.refresh()
    assert content(m) == {"after": (1,)}


@pytest.mark.parametrize(
    "write",
    [
        lambda m: m.refresh(),
        lambda m: m.insert("b", 1),
        lambda m: m.update("b", 1),
        lambda m: m.remove("a"),
        lambda m: m.remove_value("a", 1),
        lambda m: m.clear(),
        lambda m: m.extend({"b": 1}),
        lambda m: copy.copy(m),
    ],
)
def test_a_batch_keeps_other_writers_waiting_but_no_reader(write: Callable[[Any], Any]) -> None:
    m: EventualMap[str, int] = EventualMap([("a", 1)])
    with ExitStack() as stack:
        with m.batch():
            m.update("a", 2)
            assert_waits(stack.enter_context(thread(lambda: write(m))))
            assert run_threads(lambda: m.reader()["a"]) == [(1,)]
            m.update("a", 3)
            assert m.refresh() == 2
        assert run_threads(lambda: m.reader().version >= 2) == [True]


def test_values_whose_comparison_changes_the_bag() -> None:
    m: EventualMap[str, Any] = EventualMap()

    def change() -> None:
        first.on_eq = None
        m.remove_value("a", first)
        m.insert("a", "more")

    first, second = HashKey("1"), HashKey("2")
    m.insert("a", first)
    m.insert("a", second)
    first.on_eq = change
    assert m.remove_value("a", HashKey("2"))
    m.refresh()
    assert content(m) == {"a": ("more",)}


def test_refresh_from_within_a_write_is_an_error() -> None:
    m: EventualMap[Any, Any] = EventualMap()
    caught: list[str] = []

    def refresh() -> None:
        try:
            m.refresh()
        except RuntimeError as error:
            caught.append(str(error))

    for write in (
        lambda k: m.insert(k, 1),
        lambda k: m.update(k, 1),
        lambda k: m.remove(k),
        lambda k: m.remove_value(k, 1),
    ):
        write(HashKey("k", on_hash=refresh))
    assert len(caught) >= 4 and all("within a write" in message for message in caught)
    m.insert("a", 1)
    m.refresh()


# --- Copies, memory ---


@pytest.mark.parametrize(
    "how", [copy.copy, copy.deepcopy, *(lambda m, p=p: pickle.loads(pickle.dumps(m, p)) for p in range(2, 6))]
)
def test_copies_and_pickles_have_what_is_published_and_what_is_not(how: Callable[[Any], Any]) -> None:
    m = EventualMap([("a", 1), ("b", 2)], meta="published")
    m.refresh()
    m.insert("a", 3)
    m.remove("b")
    m.meta = "pending"
    other = how(m)
    assert type(other) is EventualMap and other.version == m.version
    for each in (m, other):
        assert content(each) == {"a": (1,), "b": (2,)} and each.reader().meta == "published"
    other.insert("c", 1)
    for each in (m, other):
        each.refresh()
        assert each.reader()["a"] == (1, 3) and "b" not in each.reader() and each.reader().meta == "pending"
    assert "c" in other.reader() and "c" not in m.reader()
    m.clear()
    cleared = how(m)
    assert len(cleared.reader()) == 1
    cleared.refresh()
    assert content(cleared) == {}


def test_a_map_that_holds_itself_is_pickled() -> None:
    m: EventualMap[str, Any] = EventualMap()
    m.insert("self", m)
    m.refresh()
    m.insert("pending", [m])
    for how in (copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))):
        other = how(m)
        assert other.reader().get_one("self") is other is not m
        other.refresh()
        assert other.reader()["pending"] == ([other],)


def test_old_versions_die_when_the_last_reader_moves_on() -> None:
    class Value:
        pass

    m: EventualMap[str, Any] = EventualMap([("a", Value())])
    one, other = m.reader(), m.reader()
    value = weakref.ref(one.get_one("a"))
    m.remove("a")
    m.refresh()
    assert value() is not None
    one.renew()
    assert value() is not None and other["a"] == (value(),)
    other.renew()
    gc.collect()
    assert value() is None


@pytest.mark.parametrize("where", ["value", "meta", "meta in a tuple", "key"])
def test_cycles_are_collected(where: str) -> None:
    class Node:
        content: Any = None

    node = Node()
    m: EventualMap[Any, Any] = EventualMap()
    reader = m.reader()
    node.content = [m, reader, m.reader(), m.reader().snapshot(), iter(reader)]
    if where == "value":
        m.insert("node", node)
    elif where == "key":
        m.insert(node, 1)
    else:
        m.meta = node if where == "meta" else (node, m, reader)
    m.refresh()
    reader.renew()
    m.insert("pending", node)
    references = weakref.ref(node), weakref.ref(m), weakref.ref(reader)
    del node, m, reader
    for _ in range(3):
        gc.collect()
    assert [reference() for reference in references] == [None, None, None]


def test_a_finalizer_in_the_same_garbage_can_read() -> None:
    seen: list[Any] = []

    class Last:
        def __init__(self, m: EventualMap[Any, Any]) -> None:
            self.reader = m.reader()

        def __del__(self) -> None:
            reader = self.reader
            seen.append((reader.get("x"), len(reader), list(reader), reader.version, reader.renew(), reader.meta))

    m: EventualMap[Any, Any] = EventualMap([("x", 1)])
    last = Last(m)
    m.insert("last", last)
    m.meta = (m, last)
    m.refresh()
    last.reader.renew()
    del m, last
    for _ in range(2):
        gc.collect()
    assert len(seen) == 1


def test_references_are_given_back() -> None:
    key, value = HashKey("k", 3), HashKey("v", 4)

    def work() -> None:
        m: EventualMap[Any, Any] = EventualMap([(key, value)], meta=value)
        reader = m.reader()
        equal = HashKey("k", 3)
        reader[equal], reader.get(key), reader.get_one(equal), reader.get(value, key), equal in reader
        list(reader.items()), reader.snapshot(), reader.meta, repr(m), copy.copy(m)
        for _ in range(20):
            m.insert(equal, value)
        m.refresh(), reader.renew(), reader[key], reader.get_one(key)
        m.remove_value(key, HashKey("v", 4)), m.update(equal, key), m.refresh(), m.clear()
        m.insert(key, value)

    work()
    gc.collect()
    before = sys.getrefcount(key), sys.getrefcount(value)
    for _ in range(5):
        work()
    gc.collect()
    assert (sys.getrefcount(key), sys.getrefcount(value)) == before


def test_the_core_refuses_what_is_no_published_version() -> None:
    from shardmap._core import AtomicRef, ReaderCore, Version

    for garbage in (None, 1, {}):
        with pytest.raises(TypeError):
            ReaderCore(garbage)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        ReaderCore(AtomicRef(1))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        ReaderCore(AtomicRef(None))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Version(None, None, 0)  # type: ignore[arg-type]


def test_a_reader_outlives_its_map() -> None:
    reader = EventualMap((n, n) for n in range(100)).reader()
    gc.collect()
    assert all(reader[n] == (n,) for n in range(100)) and not reader.renew()
