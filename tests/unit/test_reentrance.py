"""Code that runs inside an operation on a map (__eq__, __hash__, __del__) and uses the same map: as with dict."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from harness.keys import Finalized, HashKey
from shardmap import ShardMap
from test_hostile_keys import MINE_ONLY, OPERATIONS, all_operations, assert_still_usable, operation, outcome

pytestmark = pytest.mark.memory

Make = Callable[..., ShardMap]

# What __eq__ does to the map. `k` is the stored key that is being compared.
ACTIONS: dict[str, Callable[[Any, HashKey], Any]] = {
    "reads": lambda m, k: [m.get(k), k in m, len(m), m.setdefault(k, 0)],
    "overwrites": lambda m, k: m.__setitem__(k, "overwritten"),
    "removes": lambda m, k: m.pop(k),
    "removes and reinserts": lambda m, k: (m.pop(k), m.__setitem__(k, "reinserted")),
    "removes and inserts an equal key": lambda m, k: (m.pop(k), m.__setitem__(HashKey(k.name), "equal")),
    "inserts the probed key": lambda m, k: m.__setitem__(HashKey("probe"), "inserted"),
    "clears": lambda m, k: m.clear(),
    "clears and refills": lambda m, k: (m.clear(), m.update({HashKey(n): n for n in range(4)})),
    "clears and reinserts": lambda m, k: (m.clear(), m.__setitem__(k, "reinserted")),
    "grows": lambda m, k: m.update({n: n for n in range(500)}),
    "grows and shrinks": lambda m, k: (
        m.update({n: n for n in range(500)}),
        [m.pop(n) for n in range(500)],
    ),
    "grows with its hash": lambda m, k: m.update({HashKey(n): n for n in range(10, 40)}),
    "pops the last": lambda m, k: m.popitem(),
    "pops all": lambda m, k: [m.popitem() for _ in range(len(m))],
    "copies": lambda m, k: m.copy().clear(),
    "copies and writes": lambda m, k: (m.copy().update({k: 0}), m.update({k: "written"})),
    "iterates": lambda m, k: [list(m), list(reversed(m)), list(m.items()), list(m.values())],
    "compares": lambda m, k: [m == m.copy(), m.keys() == set(m)],
}
MAP_ACTIONS: dict[str, Callable[[Any, HashKey], Any]] = {
    "takes a snapshot that dies": lambda m, k: m.snapshot(),
    "takes a snapshot that lives": lambda m, k: KEPT.append(m.snapshot()),
    "snapshots and writes": lambda m, k: (KEPT.append(m.snapshot()), m.__setitem__(k, "written")),
    "snapshots and removes": lambda m, k: (KEPT.append(m.snapshot()), m.pop(k)),
    "snapshots, removes and reinserts": lambda m, k: (
        KEPT.append(m.snapshot()),
        m.pop(k),
        m.__setitem__(k, "reinserted"),
    ),
    "starts an iteration": lambda m, k: KEPT.append(iter(m.items())),
    "checks": lambda m, k: m._check(),
}
KEPT: list[Any] = []

# What the same does to a dict, where it is not called the same.
DICT_ACTION = {
    "takes a snapshot that dies": "copies",
    "takes a snapshot that lives": "copies",
    "snapshots and writes": "copies and writes",
    "snapshots and removes": "removes",
    "snapshots, removes and reinserts": "removes and reinserts",
    "starts an iteration": "copies",
    "checks": "copies",
}
# The action, the place of the key that acts among three of one hash, whether it equals the key looked for.
SCENARIOS = list(product([*ACTIONS, *MAP_ACTIONS], range(3), [True, False]))


def scenario(m: Any, name: str, action: str, position: int, equal: bool) -> Any:
    """Looks up a key that has the hash of three others, the one at `position` of which acts when compared.
    Returns the result, and what is in the map afterwards."""
    stored = [HashKey(n) for n in range(3)]
    if equal:
        stored[position].name = "probe"
    for key in stored:
        m[key] = "old"
    acted = []

    def act() -> None:
        stored[position].on_eq = None
        acted.append(action)
        (ACTIONS.get(action) or MAP_ACTIONS[action])(m, stored[position])

    stored[position].on_eq = act
    result = outcome(lambda: operation(name)(m, HashKey("probe")))
    assert acted
    return repr(result if result is not m else "itself"), [(repr(k), v) for k, v in m.items()]


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_eq_that_changes_the_map_has_the_effect_it_has_on_a_dict(make_map: Make, name: str) -> None:
    maps: list[ShardMap] = []
    for action, position, equal in SCENARIOS:
        maps.append(make_map())
        mine = scenario(maps[-1], name, action, position, equal)
        theirs = scenario({}, name, DICT_ACTION.get(action, action), position, equal)
        assert mine == theirs, f"{action}, entry {position}, {'equal' if equal else 'not equal'}"
    assert_still_usable(*maps)
    KEPT.clear()


@pytest.mark.parametrize("name", MINE_ONLY)
def test_an_eq_that_changes_the_map_meets_a_whole_map_in_operations_that_dict_has_not(
    make_map: Make, name: str
) -> None:
    maps: list[ShardMap] = []
    for action, position, equal in SCENARIOS:
        maps.append(make_map())
        result, left = scenario(maps[-1], name, action, position, equal)
        if name == "snapshot in":  # what the snapshot was, whatever happened to the map
            assert result == repr(equal)
        if name == "snapshot get":
            assert result == repr("old" if equal else None)
        assert len({key for key, _ in left}) == len(left), action
    assert_still_usable(*maps)
    KEPT.clear()


@all_operations
def test_a_hash_that_changes_the_map_has_the_effect_it_has_on_a_dict(make_map: Make, name: str) -> None:
    def run(make: Callable[[], Any], action: str) -> Any:
        m = make()
        stored = HashKey("probe")
        m[stored] = "old"
        probe = HashKey("probe")

        def act() -> None:
            probe.on_hash = None
            ACTIONS[action](m, stored)

        probe.on_hash = act
        result = outcome(lambda: operation(name)(m, probe))
        return repr(result if result is not m else "itself"), [(repr(k), v) for k, v in m.items()]

    for action in ACTIONS:
        mine = run(make_map, action)
        if name in OPERATIONS:
            assert mine == run(dict, action), action
        else:
            assert len(mine[1]) == len({key for key, _ in mine[1]}), action


@pytest.mark.parametrize("name", ["setitem", "delitem", "pop", "update from pairs", "clear", "popitem"])
@pytest.mark.parametrize("what", ["key", "value"])
def test_what_dies_in_an_operation_may_do_anything_to_the_map(make_map: Make, what: str, name: str) -> None:
    maps: list[ShardMap] = []
    for action in [*ACTIONS, *MAP_ACTIONS]:
        maps.append(m := make_map())
        key, acted = HashKey("probe"), []

        def act(m: ShardMap = m, key: HashKey = key, action: str = action, acted: list[Any] = acted) -> None:
            m._check()
            m.setdefault(key, "new")
            acted.append((ACTIONS.get(action) or MAP_ACTIONS[action])(m, key))

        if what == "value":
            m[key] = Finalized(act)
        else:
            m[Finalized(act)] = 1
        if what == "key" and name in OPERATIONS:
            m.pop(next(iter(m)))
        elif name in OPERATIONS:
            operation(name)(m, HashKey("probe"))
        else:
            getattr(m, name)()
        assert len(acted) == 1
    assert_still_usable(*maps)
    KEPT.clear()


@all_operations
@pytest.mark.parametrize("shards", [1, 2])  # the keys in the same table, and one more table
def test_the_garbage_collector_may_run_inside_eq(make_map: Make, name: str) -> None:
    stored = HashKey("probe")
    m = make_map({stored: "old", "itself": None})
    m["itself"] = m
    stored.on_eq = gc.collect
    outcome(lambda: operation(name)(m, HashKey("probe")))
    assert m["itself"] is m
    m.clear()


def test_a_map_that_dies_lets_its_values_use_other_maps_and_weak_references_to_it_are_dead(
    make_map: Make,
) -> None:
    import weakref

    other = make_map()
    seen = []
    m = ShardMap.with_capacity(shards=4)
    dying = weakref.ref(m)
    for n in range(50):
        m[n] = Finalized(lambda n=n: (other.__setitem__(n, n), seen.append(dying())))
    del m
    gc.collect()
    assert len(other) == 50
    assert seen == [None] * 50


def test_a_value_may_come_back_from_the_dead_into_the_map(make_map: Make) -> None:
    m = make_map()

    class Lazarus:
        def __del__(self) -> None:
            m["back"] = self

    m["x"] = Lazarus()
    del m["x"]
    gc.collect()
    assert isinstance(m["back"], Lazarus)
    m.clear()
    gc.collect()
    m._check()


def test_repr_of_values_may_change_the_map(make_map: Make) -> None:
    m = make_map()

    class Loud:
        def __repr__(self) -> str:
            m.clear()
            m["cleared"] = True
            return "Loud"

    m.update({n: Loud() for n in range(5)})
    text = repr(m)
    assert text == "ShardMap({" + ", ".join(f"{n}: Loud" for n in range(5)) + "})"
    assert m == {"cleared": True}


def test_comparing_values_may_change_both_maps(make_map: Make) -> None:
    a, b = make_map(), make_map()

    class Sly:
        def __eq__(self, other: object) -> bool:
            a.clear()
            b.clear()
            return True

        __hash__ = None  # type: ignore[assignment]

    for n in range(5):
        a[n], b[n] = Sly(), Sly()
    assert a == b
    assert not a
    assert not b


def test_pickling_a_value_may_change_the_map(make_map: Make) -> None:
    m = make_map()
    m.update({"first": Changer(m), "second": 2, "third": 3})
    CHANGED.append(m)
    restored = pickle.loads(pickle.dumps(m))
    CHANGED.clear()
    assert list(restored) == ["first", "second", "third"]
    assert m == {"changed": True}


CHANGED: list[ShardMap] = []


class Changer:
    def __init__(self, m: ShardMap) -> None:
        pass

    def __reduce__(self) -> Any:
        CHANGED[0].clear()
        CHANGED[0]["changed"] = True
        return str, ("changer",)


def test_adding_may_change_the_entry_meanwhile(make_map: Make) -> None:
    m = make_map()

    class Number:
        def __init__(self, value: int) -> None:
            self.value = value

        def __add__(self, other: int) -> Number:
            if self.value < 5:
                m["n"] = Number(self.value + 1)
            return Number(self.value + other)

    m["n"] = Number(0)
    assert m.add("n", 10).value == 15
    assert m["n"].value == 15
