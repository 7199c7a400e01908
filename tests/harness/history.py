"""Histories of concurrent operations, and whether they are linearizable.

The search is Wing and Gong's (Testing and verifying concurrent objects, 1993) with the memory of Lowe
(Testing for linearizability, 2017): a pair of (operations done, state) that led nowhere is not tried again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.threads import LONG, run_alike
from shardmap import MISSING

ABSENT = "<absent>"
ONE_BY_ONE = "the machine, too busy, ran the threads one after the other: their histories show nothing"

State = Hashable
Model = Callable[[Any, "Operation"], tuple[bool, Any]]
"""From a state and an operation to (was its result right, the state after it)."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What one thread called, what came back, and between which times."""

    name: str
    arguments: tuple[Any, ...]
    result: Any
    start: int
    end: int


class Recorder:
    """Calls a map and records it; one for each thread. KeyError counts as the result ABSENT."""

    def __init__(self, target: Any, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self.target = target
        self.clock = clock
        self.operations: list[Operation] = []

    def __call__(self, name: str, *arguments: Any) -> Any:
        call = CALLS[name]
        target, clock = self.target, self.clock
        start = clock()
        try:
            result = call(target, *arguments)
        except KeyError:
            result = ABSENT
        end = clock()
        self.operations.append(Operation(name, arguments, result, start, end))
        return result


def _delete(m: Any, key: Any) -> None:
    del m[key]


def _store(m: Any, key: Any, value: Any) -> None:
    m[key] = value


def _stored(value: Any) -> Any:
    return ABSENT if value is MISSING else value


def _compare_and_set(m: Any, key: Any, expected: Any, new: Any) -> Any:
    return m.compare_and_set(key, MISSING if expected == ABSENT else expected, new)


def computed(value: Any, more: int) -> Any:
    """What the tests compute from a value: sometimes nothing."""
    if value == ABSENT:
        return more
    return ABSENT if value % 5 == 0 else value + more


def _compute(m: Any, key: Any, more: int) -> Any:
    def function(key: Any, value: Any) -> Any:
        after = computed(_stored(value), more)
        return MISSING if after == ABSENT else after

    return _stored(m.compute(key, function))


def _lock_and_compute(m: Any, key: Any, more: int) -> Any:
    with m.lock(key) as entry:
        after = computed(entry.get(ABSENT), more)
        if after == ABSENT:
            entry.delete()
        else:
            entry.set(after)
    return after


COMPOUND = (
    "exchange",
    "replace",
    "compare_and_set",
    "compare_and_delete",
    "compute",
    "compute_if_absent",
    "compute_if_present",
    "merge",
    "update_max",
    "update_min",
    "lock",
)

CALLS: dict[str, Callable[..., Any]] = {
    "exchange": lambda m, key, value: _stored(m.exchange(key, value)),
    "replace": lambda m, key, value: _stored(m.replace(key, value)),
    "compare_and_set": _compare_and_set,
    "compare_and_delete": lambda m, key, expected: m.compare_and_delete(key, expected),
    "compute": _compute,
    "compute_if_absent": lambda m, key, value: m.compute_if_absent(key, lambda _: value),
    "compute_if_present": lambda m, key, more: _stored(m.compute_if_present(key, lambda _, value: value + more)),
    "merge": lambda m, key, value: m.merge(key, value, lambda old, new: old + new),
    "update_max": lambda m, key, value: m.update_max(key, value),
    "update_min": lambda m, key, value: m.update_min(key, value),
    "lock": _lock_and_compute,
    "[]": lambda m, key: m[key],
    "get": lambda m, key: m.get(key, ABSENT),
    "in": lambda m, key: key in m,
    "set": _store,
    "del": _delete,
    "pop": lambda m, key: m.pop(key, ABSENT),
    "setdefault": lambda m, key, value: m.setdefault(key, value),
    "add": lambda m, key, delta: m.add(key, delta),
    "get_many": lambda m, keys: m.get_many(keys, ABSENT),
    "get_many, large": lambda m, keys: m.get_many(keys + _NOT_THERE, ABSENT)[: len(keys)],
    "contains_many": lambda m, keys: m.contains_many(keys),
    "pop_many": lambda m, keys: m.pop_many(keys, ABSENT),
    "set_many": lambda m, keys, value: m.set_many(keys, [value] * len(keys)),
    "count": lambda m, keys: m.count(keys),
    "popitem": lambda m: m.popitem(),
    "clear": lambda m: m.clear(),
    "len": lambda m: len(m),
    "snapshot": lambda m: tuple(m.snapshot().items()),
    "iterate": lambda m: tuple(m.items()),
    "copy": lambda m: tuple(m.copy().items()),
}


# Operations on several keys, and what each is to one of them.
BULK = {
    "get_many": "get",
    "get_many, large": "get",
    "contains_many": "in",
    "pop_many": "pop",
    "set_many": "set",
    "count": "count",
}
_NOT_THERE = tuple(range(-700, -1))  # so many that with a GIL it is released

READS = ("[]", "get", "in")
WRITES = ("set", "del", "pop", "setdefault", "add")
WHOLE = ("popitem", "clear", "len", "snapshot", "iterate", "copy")


# --- Recording ---


def one_of_them(
    choices: random.Random, record: Recorder, names: Sequence[str], keys: Sequence[Any], fresh: int
) -> None:
    """Any one operation. `fresh` is a number that nobody else writes."""
    name = choices.choice(names)
    if name in WHOLE:
        record(name)
        return
    if name in BULK:
        some = tuple(choices.sample(keys, choices.randint(1, len(keys))))
        record(name, some, *([fresh] if name == "set_many" else []))
        return
    key = choices.choice(keys)
    if name in ("compare_and_set", "compare_and_delete"):
        expected = record("get", key)
        record(name, key, expected, *([fresh] if name == "compare_and_set" else []))
    elif name in ("set", "setdefault", *COMPOUND):
        record(name, key, fresh)
    elif name == "add":
        record(name, key, 1_000_000_007)
    else:
        record(name, key)


def recorded(
    target: Any,
    names: Sequence[str],
    keys: Sequence[Any],
    *,
    threads: int,
    count: int,
    seed: int = 0,
    recorder: Callable[[Any], Recorder] = Recorder,
    timeout: float = LONG,
) -> list[Operation]:
    """The history of `threads` threads doing `count` random operations each."""
    ready: list[int] = []

    def work(number: int) -> list[Operation]:
        choices = random.Random(f"{seed} {number}")
        record = recorder(target)
        ready.append(number)
        while len(ready) < threads:  # a barrier would let the first be done before the last has woken up
            time.sleep(0)  # but the last may need this core
        for i in range(count):
            one_of_them(choices, record, names, keys, i * threads + number)
        return record.operations

    return [o for operations in run_alike(threads, work, timeout=timeout) for o in operations]


# --- Models: dict's sequential behaviour ---


def one_key(value: Any, operation: Operation) -> tuple[bool, Any]:
    """One key; the state is its value or ABSENT."""
    name, result = operation.name, operation.result
    if name in ("[]", "get"):
        return result == value, value
    if name == "in":
        return result == (value != ABSENT), value
    if name == "set":
        return True, operation.arguments[1]
    if name == "del":
        return (result is None) == (value != ABSENT), ABSENT
    if name == "pop":
        return result == value, ABSENT
    if name == "setdefault":
        after = operation.arguments[1] if value == ABSENT else value
        return result == after, after
    if name == "add":
        after = operation.arguments[1] + (0 if value == ABSENT else value)
        return result == after, after
    if name == "count":
        return True, 1 + (0 if value == ABSENT else value)
    if name == "clear":
        return True, ABSENT
    return compound(value, operation)


def compound(value: Any, operation: Operation) -> tuple[bool, Any]:
    """The operations that a dict lacks."""
    name, result, new = operation.name, operation.result, operation.arguments[-1]
    if name == "exchange":
        return result == value, new
    if name == "replace":
        return result == value, ABSENT if value == ABSENT else new
    if name == "compare_and_set":
        return result == (value == operation.arguments[1]), new if result else value
    if name == "compare_and_delete":
        return result == (value == new != ABSENT), ABSENT if result else value
    if name in ("compute", "lock"):
        after = computed(value, new)
    elif name == "compute_if_absent":
        after = new if value == ABSENT else value
    elif name == "compute_if_present":
        after = ABSENT if value == ABSENT else value + new
    elif name == "merge":
        after = new if value == ABSENT else value + new
    elif name in ("update_max", "update_min"):
        after = new if value == ABSENT else (max if name == "update_max" else min)(value, new)
    else:
        raise ValueError(name)
    return result == after, after


def whole_map(items: tuple[tuple[Any, Any], ...], operation: Operation) -> tuple[bool, Any]:
    """The whole map; the state is its items in insertion order."""
    name, result = operation.name, operation.result
    if name == "len":
        return result == len(items), items
    if name in ("snapshot", "iterate", "copy"):
        return result == items, items
    if name == "clear":
        return True, ()
    if name == "popitem":
        return (result == items[-1], items[:-1]) if items else (result == ABSENT, items)
    entries = dict(items)
    key = operation.arguments[0]
    right, value = one_key(entries.get(key, ABSENT), operation)
    if value == ABSENT:
        entries.pop(key, None)
    else:
        entries[key] = value
    return right, tuple(entries.items())


def by_key(operations: Iterable[Operation], keys: Iterable[Any]) -> dict[Any, list[Operation]]:
    """The history as each key saw it: `clear`, `popitem` and `snapshot` as the operations they are on one key.
    That each of these is linearizable follows from the whole being so, not the other way round."""
    histories: dict[Any, list[Operation]] = {key: [] for key in keys}
    for o in operations:
        if o.name == "clear":
            for history in histories.values():
                history.append(o)
        elif o.name in ("snapshot", "iterate", "copy"):
            entries = dict(o.result)
            for key, history in histories.items():
                history.append(Operation("get", (key,), entries.get(key, ABSENT), o.start, o.end))
        elif o.name == "popitem":
            if o.result == ABSENT:
                for key, history in histories.items():
                    history.append(Operation("get", (key,), ABSENT, o.start, o.end))
            else:
                key, value = o.result
                histories[key].append(Operation("pop", (key,), value, o.start, o.end))
        elif o.name in BULK:
            for number, key in enumerate(o.arguments[0]):
                result = None if o.result is None else o.result[number]
                histories[key].append(Operation(BULK[o.name], (key, *o.arguments[1:]), result, o.start, o.end))
        elif o.name != "len":
            histories[o.arguments[0]].append(o)
    return histories


def overlapping(history: Iterable[Operation]) -> int:
    """How many operations began before an earlier one had ended. A history with none shows nothing."""
    count, latest = 0, -1
    for o in sorted(history, key=lambda o: o.start):
        count += o.start < latest
        latest = max(latest, o.end)
    return count


# --- The search ---


def violation(history: Iterable[Operation], model: Model, state: Any) -> str | None:
    """None if the history is linearizable from `state`; else the operations where no order explains it."""
    operations = sorted(history, key=lambda o: o.start)
    # A list of calls and returns by time, doubly linked, with a head. At one time calls come first: then the
    # operations overlap, which excuses more.
    events = sorted(
        [(o.start, 0, n) for n, o in enumerate(operations)] + [(o.end, 1, n) for n, o in enumerate(operations)]
    )
    size = len(events)
    following = list(range(1, size + 2))
    previous = list(range(-1, size + 1))
    number = [-1] + [n for _, _, n in events]
    is_call = [False] + [kind == 0 for _, kind, _ in events]
    return_of = [0] * len(operations)
    for place in range(1, size + 1):
        if not is_call[place]:
            return_of[number[place]] = place

    def unlink(place: int) -> None:
        following[previous[place]] = following[place]
        if following[place] <= size:
            previous[following[place]] = previous[place]

    def relink(place: int) -> None:
        following[previous[place]] = place
        if following[place] <= size:
            previous[following[place]] = place

    # Operations done: all before `first`, and first + i where bit i of `done` is set.
    first, done = 0, 0
    tried: set[Any] = set()
    chosen: list[tuple[int, Any, int, int]] = []
    furthest = 0
    place = following[0]
    while following[0] <= size:
        n = number[place]
        if is_call[place]:
            right, after = model(state, operations[n])
            if right:
                new_first, new_done = first, done | (1 << (n - first))
                while new_done & 1:
                    new_done >>= 1
                    new_first += 1
                if (new_first, new_done, after) not in tried:
                    tried.add((new_first, new_done, after))
                    chosen.append((place, state, first, done))
                    state, first, done = after, new_first, new_done
                    unlink(place)
                    unlink(return_of[n])
                    place = following[0]
                    furthest = max(furthest, first)
                    continue
            place = following[place]
        else:
            if not chosen:
                around = operations[max(0, furthest - 5) : furthest + 8]
                return "no order explains:\n" + "\n".join(map(str, around))
            place, state, first, done = chosen.pop()
            relink(return_of[number[place]])
            relink(place)
            place = following[place]
    return None
