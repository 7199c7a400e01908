"""What is explored: two or three threads with an operation or two each, around every mechanism that works without locks
or hands something from thread to thread."""

from __future__ import annotations

from array import array
from types import SimpleNamespace

from harness.history import READS, WRITES
from harness.keys import HashKey
from harness.schedules import Scenario
from parts import (
    MIXED,
    both_locks,
    cache,
    cached,
    change_and_invalidate,
    change_invalidate_and_load,
    expiring_cache,
    full,
    handled,
    in_their_order,
    interrupted,
    interrupting,
    linearizable,
    linearizable_as_a_whole,
    load,
    look_later,
    look_up_twice,
    made,
    mixed,
    nobody_locks,
    overwrite,
    overwrite_twice,
    own_key,
    scenario,
    split_again_and_again,
    store_and_look,
    under_a_snapshot,
    unread,
    used_cache,
    whole_cache,
    with_lock,
)
from shardmap import _core

KEY, COLLIDING = HashKey("key", 7), HashKey("another", 7)
TWO = {0: "zero", 1: "one"}

SCENARIOS: dict[str, Scenario] = {
    "read beside overwrite": scenario(
        made(TWO), linearizable(TWO), [("set", 0, "a"), ("set", 0, "b")], [("get", 0), ("get", 0)], bound=3
    ),
    "read beside delete and insert": scenario(
        made(TWO), linearizable(TWO), [("del", 0), ("set", 0, "a")], [("get", 0), ("in", 0)], bound=3
    ),
    "a key is removed beside reads": scenario(
        made({}),
        linearizable({}, ("key",)),
        own_key(("set", "key", "a"), ("del", "key")),
        own_key(("get", "key")),
    ),
    "two writers of a key": scenario(
        made({}), linearizable({}), [("setdefault", 0, 1), ("pop", 0)], [("add", 0, 5), ("exchange", 0, 7)]
    ),
    "growth beside reads": scenario(
        full(10), linearizable({0: "zero"}, (0, -1)), [("set", -1, "a"), ("set", 0, "b")], [("get", 0), ("get", -1)]
    ),
    "a large block is freed beside reads": scenario(
        full(700), linearizable({0: "zero"}, (0, -1)), [("set", -1, "a"), ("set", 0, "b")], [("get", 0), ("get", -1)]
    ),
    "copy-on-write beside reads": scenario(
        under_a_snapshot(TWO), linearizable(TWO), [("set", 0, "a")], [("get", 0), ("set", 1, "b"), ("get", 0)]
    ),
    "a large table is copied beside reads": scenario(
        under_a_snapshot(dict.fromkeys(range(700), "x")),
        linearizable({0: "x", 1: "x"}),
        [("set", 0, "a"), ("del", 1)],
        [("get", 0), ("in", 1)],
    ),
    "split beside writes": scenario(
        made(TWO, None),
        linearizable_as_a_whole(TWO),
        lambda r: _core._split(r.target, 1) and None,
        [("set", 0, "a"), ("get", 0), ("set", 2, "b")],
    ),
    "split beside another": scenario(
        made(TWO, None),
        linearizable(TWO),
        lambda r: _core._split(r.target, 1) and None,
        [("set", 0, "a"), ("del", 1)],
        [("get", 0)],
        bound=1,
    ),
    "snapshot beside writes": scenario(
        made(TWO, 2), linearizable_as_a_whole(TWO), [("set", 0, "a"), ("set", 1, "b")], [("snapshot",)]
    ),
    "iteration beside writes": scenario(
        made(TWO, 2), linearizable_as_a_whole(TWO), [("set", 2, "a"), ("del", 0)], [("iterate",)]
    ),
    "clear beside writes": scenario(
        made(TWO, 2), linearizable_as_a_whole(TWO), [("clear",)], [("get", 0), ("get", 1), ("get", 0), ("set", 0, "a")]
    ),
    "clear of a large map beside reads": scenario(
        full(700), linearizable({0: "zero", 1: "other"}), [("clear",), ("set", 1, "a")], [("get", 0), ("get", 1)]
    ),
    "len beside insertions and removals": scenario(
        made(TWO, 2), linearizable_as_a_whole(TWO), [("set", 2, "a"), ("del", 0)], [("len",), ("len",)]
    ),
    "len beside a removal": scenario(made(TWO, 2), linearizable_as_a_whole(TWO), [("del", 0)], [("in", 0), ("len",)]),
    "insertion order of two threads": scenario(
        made({}, 2), linearizable_as_a_whole({}), [("set", 0, "a")], [("set", 1, "b"), ("get", 0)]
    ),
    "popitem beside writes": scenario(
        made(TWO, 2), linearizable_as_a_whole(TWO), [("popitem",)], [("set", 1, "a"), ("set", 2, "b")]
    ),
    "keys that Python compares": scenario(
        made({COLLIDING: "other", KEY: "zero"}),
        linearizable({COLLIDING: "other", KEY: "zero"}, (KEY, COLLIDING)),
        [("del", KEY), ("set", KEY, "a")],
        [("get", HashKey("key", 7)), ("pop", HashKey("key", 7))],
    ),
    "one key by three threads": scenario(
        made(TWO), linearizable(TWO), [("pop", 0)], [("setdefault", 0, "a")], [("get", 0)], bound=2
    ),
    **{
        f"equal keys of one {name} beside writers": scenario(
            unread(0), in_their_order(0, "a"), look_up_twice(0, keys), [("del", 0)], [("set", 0, "a")]
        )
        for name, keys in (("list", list), ("array", lambda keys: array("q", keys)))
    },
    "two key locks": scenario(
        made(TWO), nobody_locks(linearizable(TWO)), with_lock(0, "a"), with_lock(0, "b"), bound=2
    ),
    "a key lock beside a write": scenario(
        made(TWO), nobody_locks(linearizable(TWO)), with_lock(0, "a"), [("set", 0, "b"), ("get", 0)]
    ),
    "a key lock with a time-out": scenario(
        made(TWO), nobody_locks(linearizable(TWO)), with_lock(0, "a"), with_lock(0, "b", timeout=1)
    ),
    "a key lock and a signal": scenario(made(TWO), nobody_locks(handled), interrupted, interrupting, bound=1),
    "eviction": scenario(
        cache({1: 1, 2: 2}), whole_cache(lambda s: None), cached(store_and_look(3)), cached(store_and_look(4)), bound=1
    ),
    "eviction beside hits": scenario(
        cache({1: 1, 2: 2}),
        whole_cache(lambda s: None),
        cached(store_and_look(3)),
        cached(lambda s: s.cache.get(1)),
        bound=2,
    ),
    "overwrite beside reads of what expires": scenario(
        expiring_cache,
        whole_cache(lambda s: "it was there all the time" if s.seen[1:] == s.seen[:1] else None),
        cached(overwrite),
        cached(look_later),
    ),
    "a value beside another's deadline": scenario(
        expiring_cache,
        whole_cache(lambda s: "it has expired" if 0 in s.seen else None),
        cached(overwrite_twice),
        cached(look_later),
    ),
    "two loads of a key": scenario(
        cache({}),
        whole_cache(lambda s: None if s.loads == 1 and s.seen == ["old", "old"] else f"{s.loads}, {s.seen}"),
        cached(load),
        cached(load),
        bound=1,
    ),
    "a load beside an invalidation": scenario(
        cache({}),
        whole_cache(lambda s: None if s.cache.get(0) in (None, "new") else "what was invalid is there"),
        cached(load),
        cached(change_and_invalidate),
        bound=2,
    ),
    "many operations of four threads": scenario(
        made({0: 7, 1: 8}, 2),
        linearizable({0: 7, 1: 8}, (0, 1, "two")),
        *(mixed(n, MIXED, (0, 1, "two"), 6) for n in range(4)),
        bound=0,
    ),
    "many operations on keys that Python compares": scenario(
        made({}), linearizable({}, (KEY, COLLIDING)), *(mixed(n, MIXED, (KEY, COLLIDING), 5) for n in range(3)), bound=0
    ),
    "many operations beside splits": scenario(
        split_again_and_again,
        linearizable({}, tuple(range(8))),
        *(mixed(n, (*READS, *WRITES, "iterate"), tuple(range(8)), 8) for n in range(3)),
        bound=0,
    ),
    "loads beside an invalidation, and one after it": scenario(
        cache({}),
        whole_cache(lambda s: "what was invalid was given" if "asked old" in s.seen else None),
        cached(load),
        cached(load),
        cached(change_invalidate_and_load),
        bound=0,
    ),
    "many operations of a cache": scenario(
        cache({}, 3), whole_cache(lambda s: None), *(cached(used_cache(n)) for n in range(3)), bound=0
    ),
}


# What is wrong in these is the scenario itself: that it is noticed.
FAULTY = {
    "a deadlock": scenario(
        lambda: SimpleNamespace(m=made(TWO)(), a=_core.allocate_lock(), b=_core.allocate_lock()),
        lambda state, operations: None,
        both_locks("a", "b"),
        both_locks("b", "a"),
    ),
}
