"""Keys whose code uses the same map and waits for other threads that use it: nothing is locked meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from harness.keys import Finalized, HashKey
from harness.threads import LONG, Trap, run_threads
from shardmap import ShardMap

pytestmark = [pytest.mark.concurrent, pytest.mark.usefixtures("many_switches")]

MakeMap = Callable[..., ShardMap]


def _delete(m: ShardMap, key: Any) -> None:
    with suppress(KeyError):
        del m[key]


def _subscript(m: ShardMap, key: Any) -> Any:
    try:
        return m[key]
    except KeyError:
        return None


OPERATIONS: dict[str, Callable[[ShardMap, Any], Any]] = {
    "[]": _subscript,
    "get": lambda m, key: m.get(key),
    "in": lambda m, key: key in m,
    "set": lambda m, key: m.__setitem__(key, 1),
    "del": _delete,
    "pop": lambda m, key: m.pop(key, None),
    "setdefault": lambda m, key: m.setdefault(key, 2),
    "add": lambda m, key: m.add(key, 1),
    "update": lambda m, key: m.update([(key, 3)]),
    "update from a map": lambda m, key: m.update(ShardMap([(key, 3)])),
    "|=": lambda m, key: m.__ior__({key: 4}),
    "==": lambda m, key: m == {key: 1},
    "== a map": lambda m, key: m == ShardMap([(key, 1)]),
    "keys &": lambda m, key: m.keys() & [key],
    "in items": lambda m, key: (key, 1) in m.items(),
    "snapshot": lambda m, key: m.snapshot().get(key),
}

WHOLE: dict[str, Callable[[ShardMap], Any]] = {
    "len": len,
    "iterate": list,
    "reversed": lambda m: list(reversed(m)),
    "copy": lambda m: m.copy(),
    "repr": repr,
    "items": lambda m: list(m.items()),
    "stats": lambda m: m.stats(),
    "snapshot": lambda m: m.snapshot(),
    "check": lambda m: m._check(),
    "values": lambda m: list(m.values()),
    "popitem": lambda m: m.popitem() if m.snapshot() else None,
    "clear": lambda m: m.clear(),
}


def do_everything(m: ShardMap) -> Callable[[], None]:
    def work() -> None:
        for operation in OPERATIONS.values():
            for key in (HashKey("k"), HashKey("other"), 0, "elsewhere"):
                operation(m, key)
        for whole in WHOLE.values():
            with suppress(KeyError):  # popitem, from a map that the others have just emptied
                whole(m)

    return work


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_other_threads_do_everything_during_eq_of_a_key(
    make_map: MakeMap, operation: Callable[[ShardMap, Any], Any]
) -> None:
    m = make_map()
    trap = Trap(do_everything(m), do_everything(m))
    m[HashKey("k", on_eq=trap)] = 1
    operation(m, HashKey("k", on_eq=trap))
    trap.assert_sprung()


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_other_threads_do_everything_during_hash_of_the_key_looked_for(
    make_map: MakeMap, operation: Callable[[ShardMap, Any], Any]
) -> None:
    m = make_map({HashKey("k"): 1})
    trap = Trap(do_everything(m))
    operation(m, HashKey("k", on_hash=trap))
    trap.assert_sprung()


def removals() -> dict[str, Callable[[ShardMap], Any]]:
    return {
        "overwrite": lambda m: m.__setitem__("k", 1),
        "del": lambda m: m.__delitem__("k"),
        "pop": lambda m: m.pop("k"),
        "popitem": lambda m: m.popitem(),
        "clear": lambda m: m.clear(),
        "update": lambda m: m.update(k=2),
        "the last snapshot": lambda m: (m.snapshot(), m.clear()),
    }


@pytest.mark.parametrize("remove", removals().values(), ids=removals())
def test_other_threads_do_everything_during_del_of_a_value(
    make_map: MakeMap, remove: Callable[[ShardMap], Any]
) -> None:
    m = make_map()
    trap = Trap(do_everything(m), do_everything(m))
    m["k"] = Finalized(trap)
    remove(m)
    trap.assert_sprung()


@pytest.mark.parametrize("remove", [lambda m, k: m.pop(k), lambda m, k: m.clear()], ids=["pop", "clear"])
def test_other_threads_do_everything_during_del_of_a_key(
    make_map: MakeMap, remove: Callable[[ShardMap, Any], Any]
) -> None:
    m = make_map()
    trap = Trap(do_everything(m))
    m[Finalized(trap)] = 1
    remove(m, next(iter(m)))
    trap.assert_sprung()


def test_other_threads_do_everything_during_the_addition_of_add(make_map: MakeMap) -> None:
    m = make_map()

    class Number:
        def __add__(self, other: int) -> int:
            trap()
            return 100 + other

    trap = Trap(do_everything(m))
    m["n"] = Number()
    # The trap's clear() took the entry away, so the addition is done again, from nothing.
    assert m.add("n", 1) == 1
    trap.assert_sprung()


def test_other_threads_do_everything_while_update_reads_its_source(make_map: MakeMap) -> None:
    m = make_map()
    trap = Trap(do_everything(m))

    class Source:
        def keys(self) -> Iterator[Any]:
            yield "k"
            trap()
            yield HashKey("k")

        def __getitem__(self, key: Any) -> int:
            return 1

    m.update(Source())
    trap.assert_sprung()
    assert m.get(HashKey("k")) == 1


def test_comparisons_that_use_each_others_maps_in_opposite_orders(make_map: MakeMap) -> None:
    one, other = make_map(), make_map()
    both = threading.Barrier(2)

    def meet_and_use(m: ShardMap) -> Callable[[], None]:
        used = threading.local()

        def act() -> None:
            if not hasattr(used, "once"):
                used.once = True
                both.wait(LONG)
                do_everything(m)()

        return act

    one[HashKey("k", on_eq=meet_and_use(other))] = 1
    other[HashKey("k", on_eq=meet_and_use(one))] = 1
    run_threads(lambda: one.setdefault(HashKey("k"), 2), lambda: other.setdefault(HashKey("k"), 2))


# --- A comparison that takes long: what others did meanwhile counts ---


class Slow:
    """A stored key whose first comparison lets another thread change the map before it goes on."""

    def __init__(self, m: ShardMap, change: Callable[[], Any]) -> None:
        self.change = change
        self.key = HashKey("k", on_eq=self._compared)
        m[self.key] = "old"

    def _compared(self) -> None:
        self.key.on_eq = None
        run_threads(self.change)


def insert_many(m: ShardMap) -> None:
    for i in range(2000):
        m[i] = i
        if i < 100:
            m[HashKey(i)] = i


def test_a_key_cleared_during_its_comparison_is_not_found(make_map: MakeMap) -> None:
    for operation in (lambda: m.get(HashKey("k")), lambda: m.pop(HashKey("k"), None)):
        m = make_map()
        Slow(m, m.clear)
        assert operation() is None
        assert len(m) == 0


def test_a_key_deleted_and_inserted_again_during_its_comparison_has_the_new_value(make_map: MakeMap) -> None:
    m = make_map()

    def replace() -> None:
        del m[HashKey("k")]
        m[HashKey("k")] = "new"

    Slow(m, replace)
    assert m[HashKey("k")] == "new"
    assert len(m) == 1


def test_a_key_overwritten_during_its_comparison_has_the_new_value(make_map: MakeMap) -> None:
    m = make_map()
    Slow(m, lambda: m.__setitem__(HashKey("k"), "new"))
    assert m[HashKey("k")] == "new"


def test_growth_during_a_comparison_does_not_lose_the_key(make_map: MakeMap) -> None:
    m = make_map()
    Slow(m, lambda: insert_many(m))
    assert m[HashKey("k")] == "old"
    assert len(m) == 2101


def test_an_equal_key_inserted_during_a_comparison_is_not_inserted_twice(make_map: MakeMap) -> None:
    m = make_map()
    Slow(m, lambda: m.__setitem__(HashKey("x"), "theirs"))
    assert m.setdefault(HashKey("x"), "mine") == "theirs"
    assert len(m) == 2


def test_an_insert_after_clear_and_growth_during_its_comparison_is_there_once(make_map: MakeMap) -> None:
    m = make_map()

    def change() -> None:
        insert_many(m)
        m.clear()
        insert_many(m)

    Slow(m, change)
    m[HashKey("k")] = "mine"
    assert [value for key, value in m.items() if key == HashKey("k")] == ["mine"]
    assert len(m) == 2101


def test_a_key_popped_by_popitem_during_its_comparison_goes_to_one_thread(make_map: MakeMap) -> None:
    m = make_map()
    popped: list[Any] = []

    def change() -> None:
        popped.append(m.popitem())
        m["an entry of the same number"] = 1

    Slow(m, change)
    assert m.pop(HashKey("k"), "gone") == "gone"
    assert [value for _, value in popped] == ["old"]
    assert len(m) == 1


def test_a_snapshot_taken_during_a_comparison_keeps_what_was(make_map: MakeMap) -> None:
    m = make_map()
    snapshots: list[Any] = []
    Slow(m, lambda: snapshots.append(m.snapshot()))
    m[HashKey("k")] = "new"
    assert list(snapshots[0].values()) == ["old"]
    assert list(m.values()) == ["new"]


def test_an_exception_after_others_changed_the_map_changes_nothing_itself(make_map: MakeMap) -> None:
    m = make_map()

    def change_and_raise() -> None:
        stored.on_eq = None
        run_threads(lambda: insert_many(m))
        raise ArithmeticError

    stored = HashKey("k", on_eq=change_and_raise)
    m[stored] = "old"
    with pytest.raises(ArithmeticError):
        m[HashKey("k")] = "new"
    assert m[stored] == "old"
    assert len(m) == 2101


def test_a_thread_in_a_comparison_holds_up_nobody(make_map: MakeMap) -> None:
    m = make_map()

    def others() -> None:
        do_everything(m)()
        insert_many(m)
        m[HashKey("k")] = "theirs"

    trap = Trap(others)
    m[HashKey("k", on_eq=trap)] = "old"
    assert m.setdefault(HashKey("k"), "mine") == m[HashKey("k")] == "theirs"
    trap.assert_sprung()
