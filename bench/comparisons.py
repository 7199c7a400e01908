"""What bench/run.py measures: the comparisons that users ask about, from the works of the other benchmarks.

A *group* has one task, done by several libraries with several numbers of threads. In each round, all cases of a group
are measured one after another, so that the machine is the same for all of them. Older versions of shardmap lack some
classes and methods. Groups that need them are left out, with the reason, so that bench/history.py can measure any
version with the same program.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import alone
import counting
import threads
from alone import Timed
from bulk import batches, fresh
from environment import cpu_count
from loops import Lookup
from maps import DICT, SHARDMAP, Competitor, competitors
from results import LOOP, Case, Role
from rounds import Calibrated, Region, region
from shardmap import ShardMap
from workloads import EmptyLoop, Insert, Mix, Wrong

THREADS, ALONE, MANY, CACHES, COUNTING = "several threads", "one thread", "many keys", "caches", "counting"
KINDS = ("str", "int", "bytes", "tuple", "date", "frozen dataclass")  # of keys
TOGETHER, BY_ITSELF = 0.05, 0.02  # seconds of a region: of several threads, of one thread
ENTRIES = 100_000  # of a large map
LOCAL: Lookup = "local"

# The modules of the libraries that are compared, with the names of the packages.
PEERS = {
    "cereggii": "cereggii",
    "ft_utils": "ft_utils",
    "cachetools": "cachetools",
    "cachebox": "cachebox",
    "moka_py": "moka-py",
    "theine": "theine",
}


class Group(NamedTuple):
    section: str
    task: str
    cases: dict[Case, Callable[[], Region]]


class Member(NamedTuple):
    library: str
    threads: int
    role: Role
    measure: Callable[[], Region]


class NotInThisVersion(Exception):
    """What the installed shardmap lacks."""


def missing_peers() -> list[str]:
    """Packages that could be compared on this Python, but are not installed."""
    wanted = dict(PEERS)
    if sys.version_info >= (3, 14):
        del wanted["ft_utils"]  # It has no release for 3.14.
    return [package for module, package in wanted.items() if find_spec(module) is None]


def thread_numbers() -> list[int]:
    """One, two, as many as CPUs, and more than CPUs, as servers have."""
    cpus = cpu_count()
    return sorted({1, 2, cpus, max(8, 2 * cpus)})


def _group(section: str, task: str, members: list[Member]) -> Group:
    cases = {Case(section, task, one.library, one.threads, one.role): one.measure for one in members}
    return Group(section, task, cases)


def _role(library: str, ours: str) -> Role:
    return "ours" if library == ours else "loop" if library == LOOP else "peer"


def _measurement(work: Any, make: Callable[[], Any], number: int) -> Calibrated:
    shortest = TOGETHER if number > 1 else BY_ITSELF
    return Calibrated(partial(work.measure, make, number), shortest=shortest, most=getattr(work, "most", None))


def _loops(numbers: list[int]) -> list[Member]:
    """An empty loop: what the machine gives to threads that share nothing."""
    return [Member(LOOP, number, "loop", _measurement(EmptyLoop(), dict, number)) for number in numbers]


def of_threads() -> Iterator[Group]:
    works: dict[str, Mix | Insert] = {f"{title}, 1,000 str keys": work for title, work in threads.WORK.items()}
    works[f"inserts of {ENTRIES:,} str keys into an empty map"] = Insert(ENTRIES)
    for task, work in works.items():
        numbers = [1, 2] if isinstance(work, Insert) else thread_numbers()
        members = [
            Member(one.name, number, _role(one.name, SHARDMAP), _measurement(work, one.make, number))
            for number in numbers
            for one in competitors()[0]
        ]
        yield _group(THREADS, task, members + _loops(numbers))


def of_one_thread() -> Iterator[Group]:
    """The map is made and used by one thread only."""

    def group(task: str, measure: Callable[[Callable[..., Any]], Calibrated]) -> Group:
        makes = {SHARDMAP: ShardMap, DICT: dict}
        return _group(ALONE, task, [Member(name, 1, _role(name, SHARDMAP), measure(m)) for name, m in makes.items()])

    def timed(operation: alone.Operation) -> Callable[[Callable[..., Any]], Calibrated]:
        return lambda make: Calibrated(partial(Timed(operation).measure, make), shortest=BY_ITSELF)

    def repeated(mix: Mix) -> Callable[[Callable[..., Any]], Calibrated]:
        return lambda make: _measurement(mix, make, 1)

    own = Mix(identity="equal", lookup=LOCAL, own=True)
    for kind in KINDS:
        for operation, reads in (("m[k]", 100), ("m[k] = v", 0)):
            mix = replace(own, kind=kind, reads=reads)
            yield group(f"{operation}, 1,000 {kind} keys", repeated(mix))
    for kind in ("str", "int", "tuple"):
        yield group(f"k in m, 1,000 {kind} keys", timed(partial(alone.contained, kind=kind)))
    mix = replace(own, keys=ENTRIES)
    yield group(f"m[k], {ENTRIES:,} str keys", repeated(mix))
    yield group(f"iteration over {ENTRIES:,} str keys", timed(partial(alone.iterated, size=ENTRIES)))
    yield group("creation of a map, and 10 inserts", timed(alone.make_and_fill))
    yield group("list(m), 10 entries", timed(alone.listed))


Bulk = Callable[[Any, list[str]], object]  # processes a batch of keys


def _need(kind: Any, *methods: str) -> None:
    for method in methods:
        if not hasattr(kind, method):
            raise NotInThisVersion(f"{kind.__name__} has no {method}")


def _in_batches(work: Bulk, number: int) -> Calibrated:
    """Each thread processes batches of keys, which it made, of a map that it shares with the others."""

    def measure(repetitions: int) -> Region:
        m: ShardMap[str, int] = ShardMap((key, number) for number, key in enumerate(fresh(range(ENTRIES))))

        def prepare(number: int) -> Callable[[], int]:
            mine = batches(ENTRIES, 3, number)

            def part() -> int:
                for _ in range(repetitions):
                    for batch in mine:
                        work(m, batch)
                return repetitions * sum(map(len, mine))

            return part

        measured = region(prepare, number)
        if len(m) != ENTRIES:
            raise Wrong(f"{len(m)} entries, not {ENTRIES}")
        return measured

    return Calibrated(measure, shortest=TOGETHER)


def get_many(m: Any, keys: list[str]) -> None:
    m.get_many(keys)


def get_in_loop(m: Any, keys: list[str]) -> None:
    for key in keys:
        m[key]


def set_in_loop(m: Any, keys: list[str]) -> None:
    for value, key in enumerate(keys):
        m[key] = value


def set_many(m: Any, keys: list[str]) -> None:
    m.set_many(keys, range(len(keys)))


def of_many_keys() -> Iterator[Group]:
    _need(ShardMap, "get_many", "set_many", "count", "add")
    size = f"10,000 of {ENTRIES:,} str keys in one call"
    calls: dict[str, dict[str, Bulk]] = {
        "get_many": {"ShardMap.get_many": get_many, "a loop with m[k]": get_in_loop},
        "set_many": {"ShardMap.set_many": set_many, "a loop with m[k] = v": set_in_loop},
    }
    for name, ways in calls.items():
        yield _group(MANY, f"{name}, {size}", [
            Member(library, number, _role(library, f"ShardMap.{name}"), _in_batches(work, number))
            for number in (1, 2)
            for library, work in ways.items()
        ])  # fmt: skip
    counters = [counter for counter in counting.counters() if counter[1] in (counting.by_count, counting.by_reduce)]
    counters.append((Competitor("a loop with ShardMap.add", ShardMap, ""), counting.by_add))
    yield _counted(MANY, "count, 10,000 words in one call, 1,000 different ones", counters, "ShardMap.count")


def _counted(section: str, task: str, ways: list[counting.Tally], ours: str) -> Group:
    def measurement(one: Competitor, tally: Any, number: int) -> Calibrated:
        measure = partial(counting.Counting(1_000).measure, one.make, tally, number)
        return Calibrated(measure, shortest=TOGETHER)

    return _group(section, task, [
        Member(one.name, number, _role(one.name, ours), measurement(one, tally, number))
        for number in (1, 2)
        for one, tally in ways
    ])  # fmt: skip


def of_counting() -> Iterator[Group]:
    _need(ShardMap, "add", "count")
    names = {counting.into_locked_dict: None, counting.into_locked_counter: None, counting.by_add: "ShardMap.add"}
    ways = [(one._replace(name=names[by] or one.name), by) for one, by in counting.counters() if by in names]
    yield _counted(COUNTING, "counts of single words, 1,000 different ones", ways, "ShardMap.add")
    import sets_and_counters as collections  # here, because versions without ShardCounter cannot import it

    yield _group(COUNTING, "counts of texts of 1,000 words", [
        Member(name, number, _role(name, "ShardCounter"), collections.counting(name, number, TOGETHER))
        for number in (1, 2)
        for name in collections.COUNTERS
    ])  # fmt: skip


def of_caches() -> Iterator[Group]:
    import caches  # here, because versions without ShardCache cannot import it

    functions = {"@cached", "lru_cache"}

    def plain(row: str) -> bool:
        return row not in ("ShardMap.get", "ShardCache.get, ttl")

    # The title of a table of caches.py, the task, our row, and which rows are compared.
    tasks: tuple[tuple[str, str, str, Callable[[str], bool]], ...] = (
        ("hits", "hits of a cache, 1,000 str keys", "ShardCache.get", plain),
        ("functions, hits", "hits of a cached function, 1,000 str keys", "@cached", lambda row: True),
        ("a fifth misses", "a cache, one look-up in five is a miss", "ShardCache", lambda row: row not in functions),
        ("a fifth misses", "a cached function, one call in five is a miss", "@cached", lambda row: row in functions),
    )
    for title, task, ours, compared in tasks:
        make, draw = caches.PARTS[title]
        rows = {name: loop for name, loop in make().items() if name != "loop" and compared(name)}
        yield _group(CACHES, task, [
            Member(name, number, _role(name, ours), caches.timed(loop, number, draw, TOGETHER))
            for number in (1, 2)
            for name, loop in rows.items()
        ])  # fmt: skip


SECTIONS: dict[str, Callable[[], Iterator[Group]]] = {
    THREADS: of_threads,
    ALONE: of_one_thread,
    MANY: of_many_keys,
    CACHES: of_caches,
    COUNTING: of_counting,
}


def without_peers(group: Group) -> Group:
    """Only shardmap and what Python itself has."""
    others = tuple(PEERS.values())
    return group._replace(cases={case: one for case, one in group.cases.items() if not case.library.startswith(others)})


def groups(sections: list[str]) -> tuple[list[Group], list[str]]:
    """The groups of the sections, and sentences about those that this version of shardmap lacks."""
    found: list[Group] = []
    left_out: list[str] = []
    for section in sections:
        try:
            found += SECTIONS[section]()
        except (ImportError, NotInThisVersion) as error:
            why, _, _ = str(error).partition(" (")  # what follows is the path of a module
            left_out.append(f"{section}: {why}")
    return found, left_out
