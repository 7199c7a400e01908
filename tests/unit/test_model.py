"""Lock-step with dict: random sequences of every operation give the same results, errors, order and objects.

Ordinary runs are short and derandomized; `make stress` runs random ones.
"""

from __future__ import annotations

import copy
import operator
import pickle
import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from harness.keys import HashKey
from shardmap import ShardMap, Snapshot

MODEL_SETTINGS = settings(
    max_examples=50,
    derandomize=True,
    stateful_step_count=50,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)

# All alike, alike in the low or the high half only, negative, at the ends.
HASHES = [0, 7, 7, 7, 7 + (1 << 32), 7 + (5 << 32), (3 << 32) + 1, (3 << 32) + 2, -2, -3, 2**63 - 1, -(2**63)]


def colliding_key(name: int) -> HashKey:
    return HashKey(name, HASHES[name])


def fresh_text(number: int) -> str:
    return "".join(["key ", str(number)])  # equal to others of the number, never the same object


KEYS = st.one_of(
    st.integers(0, 20).map(fresh_text),
    st.integers(0, 20),
    st.integers(0, 12).map(lambda n: n << 40),
    st.integers(-8, 8).map(lambda n: n * 2**61 + 5),
    st.sampled_from([-1, -2, 10**40, -(10**40), True, False, 1.0, 0.0, -0.0, 2.5, None, (), b"", ""]),
    st.integers(0, 12).map(lambda n: str(n).encode()),
    st.integers(0, 9).map(lambda n: (n, fresh_text(n))),
    st.integers(0, len(HASHES) - 1).map(colliding_key),
)
VALUES = st.one_of(st.integers(-5, 300), st.sampled_from([None, "text", 1.5, (1, 2)]))
PAIRS = st.lists(st.tuples(KEYS, VALUES), max_size=12)
WHICH = st.integers(0, 2)
VIEWS = st.sampled_from(["keys", "values", "items"])


def outcome(work: Callable[[], Any]) -> tuple[str, Any]:
    try:
        return "returned", work()
    except Exception as error:
        return type(error).__name__, error.args


class LockStep(RuleBasedStateMachine):
    """Up to three maps that were copied from each other, each beside its dict."""

    shards = 1

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[ShardMap, dict[Any, Any]]] = [
            (ShardMap.with_capacity(shards=self.shards), {}),
        ]
        self.snapshots: list[tuple[Snapshot, dict[Any, Any]]] = []
        self.iterators: list[tuple[Iterator[Any], Iterator[Any]]] = []

    def pick(self, which: int) -> tuple[ShardMap, dict[Any, Any]]:
        return self.pairs[which % len(self.pairs)]

    def put(self, which: int, m: ShardMap, d: dict[Any, Any]) -> None:
        if len(self.pairs) < 3:
            self.pairs.append((m, d))
        else:
            self.pairs[which % 3] = (m, d)

    def alike(self, which: int, work: Callable[[Any], Any]) -> None:
        m, d = self.pick(which)
        mine, theirs = outcome(lambda: work(m)), outcome(lambda: work(d))
        assert mine == theirs
        if type(mine[1]) is not tuple:
            assert type(mine[1]) is type(theirs[1])

    # --- one key ---

    @rule(which=WHICH, key=KEYS)
    def reads(self, which: int, key: Any) -> None:
        self.alike(which, lambda x: x.get(key))
        self.alike(which, lambda x: x.get(key, "default"))
        self.alike(which, lambda x: x[key])
        self.alike(which, lambda x: key in x)

    @rule(which=WHICH, key=KEYS, value=VALUES)
    def sets(self, which: int, key: Any, value: Any) -> None:
        self.alike(which, lambda x: operator.setitem(x, key, value))

    @rule(which=WHICH, key=KEYS)
    def deletes(self, which: int, key: Any) -> None:
        self.alike(which, lambda x: operator.delitem(x, key))

    @rule(which=WHICH, key=KEYS, value=VALUES)
    def pops(self, which: int, key: Any, value: Any) -> None:
        self.alike(which, lambda x: x.pop(key))
        self.alike(which, lambda x: x.pop(key, value))

    @rule(which=WHICH, times=st.integers(1, 4))
    def pops_items(self, which: int, times: int) -> None:
        for _ in range(times):
            self.alike(which, lambda x: x.popitem())

    @rule(which=WHICH, key=KEYS, value=VALUES)
    def sets_defaults(self, which: int, key: Any, value: Any) -> None:
        self.alike(which, lambda x: x.setdefault(key, value))
        self.alike(which, lambda x: x.setdefault(key))

    @rule(which=WHICH, key=KEYS, delta=st.integers(-3, 3))
    def adds(self, which: int, key: Any, delta: int) -> None:
        m, d = self.pick(which)

        def add_to_dict() -> Any:
            d[key] = total = d.get(key, 10) + delta
            return total

        assert outcome(lambda: m.add(key, delta, 10)) == outcome(add_to_dict)
        if key in d:  # the sum is another object in each
            m[key] = d[key]

    # --- many keys ---

    @rule(which=WHICH, pairs=PAIRS, form=st.integers(0, 5))
    def updates(self, which: int, pairs: list[Any], form: int) -> None:
        source: Any = [
            pairs,
            dict(pairs),
            iter(pairs),
            ShardMap(pairs),
            ShardMap(pairs).snapshot(),
            {fresh_text(n): v for n, (_, v) in enumerate(pairs)},
        ][form]
        m, d = self.pick(which)
        if form == 5:
            m.update(**source)
            d.update(**source)
        else:
            m.update(source)
            d.update(pairs)

    @rule(which=WHICH, other=WHICH)
    def updates_from_another(self, which: int, other: int) -> None:
        m, d = self.pick(which)
        source_m, source_d = self.pick(other)
        m.update(source_m)
        d.update(source_d)

    @rule(which=WHICH, pairs=PAIRS)
    def updates_in_place(self, which: int, pairs: list[Any]) -> None:
        m, d = self.pick(which)
        before = m
        m |= pairs
        d |= pairs
        assert m is before

    @rule(which=WHICH, pairs=PAIRS, side=st.booleans())
    def unions(self, which: int, pairs: list[Any], side: bool) -> None:
        m, d = self.pick(which)
        other = dict(pairs)
        self.put(which, other | m if side else m | other, other | d if side else d | other)

    @rule(which=WHICH)
    def clears(self, which: int) -> None:
        self.alike(which, lambda x: x.clear())

    @rule(which=WHICH, keys=st.lists(KEYS, max_size=12), value=VALUES)
    def makes_from_keys(self, which: int, keys: list[Any], value: Any) -> None:
        self.put(which, ShardMap.fromkeys(keys, value), dict.fromkeys(keys, value))

    # --- copies ---

    @rule(which=WHICH, how=st.sampled_from([ShardMap.copy, copy.copy, ShardMap]))
    def copies(self, which: int, how: Callable[[ShardMap], ShardMap]) -> None:
        m, d = self.pick(which)
        self.put(which, how(m), d.copy())

    @rule(which=WHICH, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
    def pickles(self, which: int, protocol: int) -> None:
        m, d = pickle.loads(pickle.dumps(self.pick(which), protocol))
        assert list(m.items()) == list(d.items())
        self.put(which, m, dict(list(m.items())))  # numbers were loaded twice

    @rule(which=WHICH)
    def copies_deeply(self, which: int) -> None:
        self.put(which, *copy.deepcopy(self.pick(which)))

    @precondition(lambda self: len(self.snapshots) < 4)
    @rule(which=WHICH)
    def takes_a_snapshot(self, which: int) -> None:
        m, d = self.pick(which)
        self.snapshots.append((m.snapshot(), d.copy()))

    @precondition(lambda self: self.snapshots)
    @rule(which=WHICH, key=KEYS)
    def reads_a_snapshot_and_drops_it(self, which: int, key: Any) -> None:
        snapshot, d = self.snapshots.pop(which % len(self.snapshots))
        assert outcome(lambda: snapshot[key]) == outcome(lambda: d[key])
        assert (key in snapshot) == (key in d)
        assert list(reversed(snapshot)) == list(reversed(d))
        assert snapshot == d
        assert hash(snapshot) == hash(ShardMap(list(d.items())[::-1]).snapshot())

    # --- iteration, views, comparison ---

    @precondition(lambda self: len(self.iterators) < 4)
    @rule(which=WHICH, view=VIEWS, backward=st.booleans())
    def starts_iterating(self, which: int, view: str, backward: bool) -> None:
        m, d = self.pick(which)
        expected = list(getattr(d, view)())
        iterator = (reversed if backward else iter)(getattr(m, view)())
        self.iterators.append((iterator, iter(expected[::-1] if backward else expected)))

    @precondition(lambda self: self.iterators)
    @rule(which=WHICH, steps=st.integers(0, 8))
    def goes_on_iterating(self, which: int, steps: int) -> None:
        mine, expected = self.iterators[which % len(self.iterators)]
        assert operator.length_hint(mine) == operator.length_hint(expected)
        wanted = list(islice(expected, steps))
        assert list(islice(mine, steps)) == wanted
        if len(wanted) < steps:
            self.iterators.pop(which % len(self.iterators))

    @rule(which=WHICH, keys=st.lists(KEYS, max_size=8))
    def operates_on_key_views(self, which: int, keys: list[Any]) -> None:
        for sign in (operator.and_, operator.or_, operator.sub, operator.xor):
            self.alike(which, lambda x, sign=sign: sign(x.keys(), keys))
            self.alike(which, lambda x, sign=sign: sign(set(keys), x.keys()))
        for sign in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
            self.alike(which, lambda x, sign=sign: sign(x.keys(), set(keys)))
        self.alike(which, lambda x: x.keys().isdisjoint(keys))

    @rule(which=WHICH, pairs=PAIRS)
    def operates_on_item_views(self, which: int, pairs: list[Any]) -> None:
        for sign in (operator.and_, operator.or_, operator.sub, operator.xor):
            self.alike(which, lambda x, sign=sign: sign(x.items(), pairs))
        self.alike(which, lambda x: [pair in x.items() for pair in pairs])
        self.alike(which, lambda x: [value in x.values() for _, value in pairs])

    @rule(which=WHICH, other=WHICH, pairs=PAIRS)
    def compares(self, which: int, other: int, pairs: list[Any]) -> None:
        (m, d), (m2, d2) = self.pick(which), self.pick(other)
        wanted = d == d2
        assert (m == m2) == (m == d2) == (d == m2) == (m.snapshot() == d2) == wanted
        assert (m != m2) == (m != d2) == (d != m2) == (not wanted)
        assert (m == dict(pairs)) == (d == dict(pairs))

    # --- always ---

    @invariant()
    def is_what_the_dict_is(self) -> None:
        for m, d in self.pairs:
            m._check()
            assert len(m) == len(d)
            assert bool(m) == bool(d)
            assert_same_objects(m, d)
        for snapshot, d in self.snapshots:
            assert len(snapshot) == len(d)
            assert_same_objects(snapshot, d)


def assert_same_objects(m: ShardMap | Snapshot, d: dict[Any, Any]) -> None:
    mine, theirs = list(m.items()), list(d.items())
    assert mine == theirs
    for (key, value), (wanted_key, wanted_value) in zip(mine, theirs, strict=True):
        assert key is wanted_key
        assert value is wanted_value


def run_in_lock_step(shards: int, settings: settings) -> None:
    machine = type("Machine", (LockStep,), {"shards": shards})
    run_state_machine_as_test(machine, settings=settings)  # type: ignore[no-untyped-call]


def grow_and_shrink(shards: int, seed: int) -> None:
    # Past the sizes at which a table is given room by eighths and gives memory back.
    pick = random.Random(seed)
    m, d = ShardMap.with_capacity(shards=shards), dict[Any, Any]()
    snapshots = []
    kinds: list[Callable[[int], Any]] = [
        lambda n: n,
        fresh_text,
        lambda n: n << 32,
        lambda n: (n, -n),
        lambda n: HashKey(n, n // 3),
    ]
    for inserting in (0.9, 0.15, 0.8, 0.0):
        for _ in range(12_000 if inserting else 40_000):
            key = kinds[pick.randrange(5)](pick.randrange(4000))
            if pick.random() < inserting:
                m[key] = d[key] = object()
            elif pick.random() < 0.8:
                assert m.pop(key, None) is d.pop(key, None)
            elif d:
                assert m.popitem() == d.popitem()
            if pick.random() < 0.0005:
                snapshots.append((m.snapshot(), d.copy()))
        m._check()
        assert_same_objects(m, d)
    for snapshot, kept in snapshots:
        assert_same_objects(snapshot, kept)


def test_random_operations_do_what_they_do_to_a_dict(shards: int) -> None:
    run_in_lock_step(shards, MODEL_SETTINGS)


def test_maps_that_grow_and_shrink_by_thousands_stay_like_a_dict(shards: int) -> None:
    grow_and_shrink(shards, seed=shards)
