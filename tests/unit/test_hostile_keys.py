"""Keys and values whose own code raises, changes the map, or answers nonsense: dict is the judge."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.keys import Finalized, HashKey
from harness.threads import LONG, run_threads
from shardmap import ShardMap

pytestmark = pytest.mark.memory

Make = Callable[..., ShardMap]
Work = Callable[[Any, Any], Any]

# Each with a key, on a map or a dict.
OPERATIONS: dict[str, Work] = {
    "get": lambda m, k: m.get(k),
    "getitem": lambda m, k: m[k],
    "in": lambda m, k: k in m,
    "setitem": lambda m, k: m.__setitem__(k, "new"),
    "delitem": lambda m, k: m.__delitem__(k),
    "pop": lambda m, k: m.pop(k),
    "pop with default": lambda m, k: m.pop(k, None),
    "setdefault": lambda m, k: m.setdefault(k, "default"),
    "update from pairs": lambda m, k: m.update([(k, "new")]),
    "keys view": lambda m, k: k in m.keys(),  # noqa: SIM118
    "items view": lambda m, k: (k, "old") in m.items(),
    "keys view and": lambda m, k: m.keys() & [k],
    "isdisjoint": lambda m, k: m.keys().isdisjoint([k]),
    "in place or": lambda m, k: m.__ior__([(k, "new")]),
}
MINE_ONLY: dict[str, Work] = {
    "add": lambda m, k: m.add(k, "+", "0"),
    "snapshot get": lambda m, k: m.snapshot().get(k),
    "snapshot getitem": lambda m, k: m.snapshot()[k],
    "snapshot in": lambda m, k: k in m.snapshot(),
}
operations = pytest.mark.parametrize("name", OPERATIONS)
all_operations = pytest.mark.parametrize("name", [*OPERATIONS, *MINE_ONLY])


def operation(name: str) -> Work:
    return {**OPERATIONS, **MINE_ONLY}[name]


def outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:
        return type(error), error.args


def assert_still_usable(*maps: ShardMap) -> None:
    """Every shard's lock is free: another thread gets them all."""

    def use() -> None:
        for m in maps:
            m._check()
            m["probe"] = 1
            assert m.pop("probe") == 1
            m.snapshot()

    run_threads(use)


class Boom(Exception):
    pass


def boom() -> None:
    raise Boom("on purpose")


# --- Raising ---


@all_operations
def test_an_exception_from_hash_reaches_the_caller_and_changes_nothing(make_map: Make, name: str) -> None:
    m = make_map({HashKey(n): "old" for n in range(3)})
    before = list(m.items())
    with pytest.raises(Boom, match="on purpose"):
        operation(name)(m, HashKey(0, on_hash=boom))
    assert list(m.items()) == before
    assert_still_usable(m)


@all_operations
@pytest.mark.parametrize("shared", [False, True])
def test_an_exception_from_eq_reaches_the_caller_and_changes_nothing(make_map: Make, name: str, shared: bool) -> None:
    keys = [HashKey(n) for n in range(3)]
    m = make_map(dict.fromkeys(keys, "old"))
    snapshot = m.snapshot() if shared else None
    keys[1].on_eq = boom
    for probe in (HashKey(1), HashKey("absent")):
        with pytest.raises(Boom, match="on purpose"):
            operation(name)(m, probe)
    assert list(m.items()) == [(key, "old") for key in keys]
    del snapshot
    assert_still_usable(m)


@pytest.mark.parametrize("error", [KeyError("inner"), StopIteration(), KeyboardInterrupt(), SystemExit()])
def test_any_exception_from_eq_is_passed_on_as_it_is(make_map: Make, error: BaseException) -> None:
    def fail() -> None:
        raise error

    m = make_map({HashKey(0, on_eq=fail): 1})
    for name in OPERATIONS:
        with pytest.raises(type(error)) as caught:
            operation(name)(m, HashKey(0))
        assert caught.value is error
    assert_still_usable(m)


def test_comparing_maps_passes_on_a_key_error_from_eq(make_map: Make) -> None:
    def fail() -> None:
        raise KeyError("inner")

    def sides(make: Callable[..., Any]) -> Any:
        mine, other = make(), make()
        mine[HashKey(0, on_eq=fail)] = 1
        other[HashKey(0, on_eq=fail)] = 1
        return mine == other

    assert outcome(lambda: sides(dict)) == (KeyError, ("inner",))
    assert outcome(lambda: sides(make_map)) == (KeyError, ("inner",))


class Answer(HashKey):
    """Its __eq__ returns `answer`, whatever it is."""

    __hash__ = HashKey.__hash__
    answer: Any

    def __eq__(self, other: object) -> Any:
        return self.answer


class Truth:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __bool__(self) -> bool:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value  # type: ignore[no-any-return]


@operations
@pytest.mark.parametrize(
    "answer", [[], [0], "", 0.0, Truth(True), Truth(False), Truth(Boom("bool")), Truth("no bool"), NotImplemented]
)
def test_eq_may_answer_anything_that_has_a_truth(make_map: Make, name: str, answer: Any) -> None:
    results = []
    for make in (dict, make_map):
        stored = Answer("stored")
        stored.answer = answer
        m = make([(stored, "old")])
        results.append((outcome(lambda m=m: operation(name)(m, HashKey("other"))), len(m)))
        if isinstance(m, ShardMap):
            assert_still_usable(m)
    if name != "keys view and":  # whose result holds the keys themselves
        assert repr(results[0]) == repr(results[1]) or name == "in place or"
    assert results[0][1] == results[1][1]


class Unhashable:
    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("key", [[], {}, set(), bytearray(), Unhashable(), ([],), ShardMap()], ids=repr)
@pytest.mark.parametrize("full", [False, True])
def test_unhashable_keys_are_a_type_error_but_for_pop_of_an_empty_map(make_map: Make, full: bool, key: Any) -> None:
    m = make_map({1: "old"} if full else {})
    for name in [*OPERATIONS, *MINE_ONLY]:
        if not full and name.startswith("pop"):
            # As dict: it does not ask for the hash then.
            assert outcome(lambda: operation(name)(m, key)) == outcome(lambda: operation(name)({}, key))
            continue
        with pytest.raises(TypeError, match="unhashable"):
            operation(name)(m, key)
    assert dict(m.items()) == ({1: "old"} if full else {})
    assert_still_usable(m)


def test_key_errors_carry_the_key_itself(make_map: Make) -> None:
    m = make_map()
    for key in [("a", "b"), (), None, HashKey("x"), KeyError("k")]:
        for name in ("getitem", "delitem", "pop"):
            with pytest.raises(KeyError) as caught:
                operation(name)(m, key)
            assert caught.value.args == (key,)
            assert caught.value.args[0] is key


# --- Updates that break off ---


@pytest.mark.parametrize(
    "bad",
    [
        (5, TypeError),
        ((1, 2, 3), ValueError),
        ((1,), ValueError),
        (([], 1), TypeError),
        ((HashKey("x", on_hash=boom), 1), Boom),
        (Boom, Boom),
    ],
    ids=["no pair", "three", "one", "unhashable", "raising hash", "raising source"],
)
def test_what_an_update_did_before_it_broke_off_stays_done(make_map: Make, bad: tuple[Any, Any]) -> None:
    item, error = bad

    def source() -> Iterator[Any]:
        yield from [("a", 1), ("b", 2)]
        if item is Boom:
            raise Boom
        yield item
        yield "never", 0

    for work in (lambda x: x.update(source(), c=3), lambda x: x.__ior__(source()), lambda x: x.__init__(source())):
        m, d = make_map(), dict[Any, Any]()
        with pytest.raises(error):
            work(d)
        with pytest.raises(error):
            work(m)
        assert list(m.items()) == list(d.items()) == [("a", 1), ("b", 2)]
        assert_still_usable(m)


def test_a_mapping_that_raises_half_way_breaks_an_update_off(make_map: Make) -> None:
    class Broken:
        def keys(self) -> list[str]:
            return ["a", "b", "c"]

        def __getitem__(self, key: str) -> int:
            if key == "b":
                boom()
            return 1

    class NoKeys:
        @property
        def keys(self) -> Any:
            raise Boom

    m = make_map()
    with pytest.raises(Boom):
        m.update(Broken())
    assert m == {"a": 1}
    with pytest.raises(Boom):
        m.update(NoKeys())
    with pytest.raises(TypeError):
        m.update(1)
    with pytest.raises(TypeError):
        m.update([], [])
    assert m == {"a": 1}


def test_an_iterable_that_uses_the_map_may_update_it(make_map: Make) -> None:
    m = make_map(a=1)

    def source() -> Iterator[tuple[str, int]]:
        for n in range(100):
            m.clear()
            yield f"k{n}", n
            assert m == {f"k{n}": n}

    m.update(source())
    assert m == {"k99": 99}


# --- Strange but legal keys ---


def test_equal_keys_of_other_types_are_one_key(make_map: Make) -> None:
    class Text(str):
        __slots__ = ()

    class Number(int):
        __slots__ = ()

    for group in ([1, 1.0, True, Number(1), 1 + 0j], ["ab", Text("ab")], [b"ab", type("B", (bytes,), {})(b"ab")]):
        for first in group:
            m = make_map({first: "old"})
            for other in group:
                assert m[other] == "old"
                assert other in m
                m[other] = "old"
                assert m.setdefault(other, "new") == "old"
                assert m.add(other, "") == "old"
                [stored] = m
                assert stored is first
            assert m.pop(group[-1]) == "old"
            assert not m
    assert make_map({1: 0, -1: 0, -2: 0, 2**61 - 1: 0, 0: 0}) == {1: 0, -1: 0, -2: 0, 2**61 - 1: 0, 0: 0}


def test_nan_is_found_by_identity_only(make_map: Make) -> None:
    nan, other = float("nan"), float("nan")
    m = make_map({nan: 1})
    assert nan in m
    assert other not in m
    m[other] = 2
    m[nan] = 3
    assert list(m.values()) == [3, 2]
    assert m == {nan: 3, other: 2}
    assert m.pop(nan) == 3
    assert nan not in m


def test_a_value_equal_to_nothing_is_found_by_identity(make_map: Make) -> None:
    nan = float("nan")
    m = make_map(a=nan)
    assert m == {"a": nan}
    assert m == m.copy()
    assert ("a", nan) in m.items()
    assert m != {"a": float("nan")}


@pytest.mark.parametrize("hashes", [1, 2, 7])
def test_thousands_of_keys_may_share_a_hash(make_map: Make, hashes: int) -> None:
    count = 1200
    keys = [HashKey(n, (n % hashes) << 33) for n in range(count)]
    m = make_map({key: key.name for key in keys})
    assert len(m) == count
    m._check()
    assert [m[key] for key in keys[::7]] == list(range(0, count, 7))
    assert m.get(HashKey("absent", 0)) is None
    for key in keys[::2]:
        del m[key]
    m._check()
    assert list(m.values()) == list(range(1, count, 2))
    for key in keys[:50:2]:
        m[key] = -1
    assert list(m.keys())[-25:] == keys[:50:2]


def test_a_hash_that_changes_loses_the_key_but_not_the_map(make_map: Make) -> None:
    key = HashKey("k", 1)
    m = make_map({key: 1})
    for key.hashed in range(2, 40):
        m[key] = key.hashed
        assert m[key] == key.hashed
    # Where it meets itself on its way it is found, in dict as well: so it is there many times, or fewer.
    values = list(m.values())
    assert sorted(set(values)) == sorted(values)
    assert len(m) == len(values) > 1
    while m:
        assert m.popitem()[1] == values.pop()


def test_a_key_that_waits_in_eq_for_another_thread_that_uses_the_map_gets_through(make_map: Make) -> None:
    started, done = threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        assert done.wait(LONG)

    m = make_map({HashKey("a", on_eq=wait): 1})

    def use() -> None:
        assert started.wait(LONG)
        m[HashKey("other", hashed=1)] = 2
        m["same map"] = 3
        assert len(m.copy()) == len(m.snapshot()) == len(list(m)) == 3
        m._check()
        done.set()

    found, _ = run_threads(lambda: m.get(HashKey("a")), use)
    assert found == 1


def test_a_value_whose_del_uses_the_map_may_die_in_any_operation(make_map: Make) -> None:
    m = make_map()
    died: list[str] = []

    def put_back(name: str) -> None:
        died.append(name)
        m[f"after {name}"] = name
        assert m[f"after {name}"] == name
        m._check()
        m.snapshot()

    for name, work in {
        "set": lambda: m.__setitem__("x", 1),
        "del": lambda: m.__delitem__("x"),
        "pop": lambda: m.pop("x") and None,
        "popitem": lambda: m.popitem() and None,
        "clear": lambda: m.clear(),
        "update": lambda: m.update(x=1),
    }.items():
        m.pop("x", None)
        m["x"] = Finalized(lambda name=name: put_back(name))
        work()
        assert died[-1] == name
        assert m.pop(f"after {name}") == name


@pytest.mark.parametrize("name", ["get", "in", "set", "setdefault", "add", "get_many", "set_many", "count", "pop"])
def test_an_equal_key_that_comes_into_a_place_already_passed_is_found(make_map: Make, name: str) -> None:
    """While B is compared, A, which stands before it, goes, and an equal of the key takes A's place in the index."""
    a, b, equal, key = HashKey("a", 7), HashKey("b", 7), HashKey("key", 7), HashKey("key", 7)
    m = make_map([(a, 1), (b, 1)])

    def change() -> None:
        b.on_eq = None
        del m[a]
        m[equal] = 10

    b.on_eq = change
    uses: dict[str, Callable[[], Any]] = {
        "get": lambda: m.get(key) == 10,
        "in": lambda: key in m,
        "set": lambda: m.__setitem__(key, 11),
        "setdefault": lambda: m.setdefault(key, 11) == 10,
        "add": lambda: m.add(key) == 11,
        "get_many": lambda: m.get_many([key]) == [10],
        "set_many": lambda: m.set_many([key], [11]),
        "count": lambda: m.count([key]),
        "pop": lambda: m.pop(key) == 10,
    }
    assert uses[name]() in (True, None)
    assert b.on_eq is None
    left = {"get": 10, "in": 10, "setdefault": 10, "get_many": 10, "pop": None}.get(name, 11)
    assert list(m.items()) == [(b, 1)] + [(equal, left)] * (left is not None)
    m._check()
