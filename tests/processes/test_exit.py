"""The interpreter exits in time, with status 0 and without a word, whatever daemon threads do with maps."""

from __future__ import annotations

import pytest

from harness.process import run_python

PRELUDE = """
import atexit, gc, sys, threading, time
from harness.stops import collect_and_pause
from harness.threads import LONG
from shardmap import ShardMap
sys.setswitchinterval(1e-6)

started = threading.Semaphore(0)

def daemons(*works):
    def forever(work):
        work()
        started.release()
        while True:
            work()
    for work in works:
        threading.Thread(target=forever, args=(work,), daemon=True).start()
    for _ in works:
        assert started.acquire(timeout=LONG / 2)

class Key:
    def __init__(self, name): self.name = name
    def __hash__(self): return 7
    def __eq__(self, other): return self.name == other.name
"""


def exits_without_a_word(source: str) -> str:
    """Runs it; returns what it printed to the standard output."""
    done = run_python(PRELUDE + source)
    assert done.stderr == ""
    return done.stdout


WORKS = {
    "single keys": "[lambda n=n: [m.update({i: n}) or m.get(i) or m.pop(i, 0) for i in range(99)] for n in range(4)]",
    "one hot key": "[lambda: m.add('hot')] * 12",
    "snapshots": "[m.snapshot, lambda: list(m), lambda: m.__setitem__('k', 1), lambda: m.copy()]",
    "len and clear": "[lambda: len(m), m.clear, lambda: m.update({i: i for i in range(50)}), lambda: len(m)]",
    "popitem": "[lambda: [m.__setitem__(n, 1), m.popitem() if m else None] for n in range(1)]",
    "compared by Python": "[lambda: [m.__setitem__(Key(i), i) for i in range(5)] and m.pop(Key(1), 0)] * 4",
    "collections": "[collect_and_pause, lambda: m.__setitem__('self', m), lambda: ShardMap(a=m), lambda: m.add('n')]",
    "births and deaths": "[lambda: ShardMap.with_capacity(shards=2).update({i: i for i in range(9)})] * 4",
}


@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
@pytest.mark.parametrize("shards", [1, 64])
def test_daemon_threads_that_use_a_map_do_not_hold_up_the_exit(work: str, shards: int) -> None:
    exits_without_a_word(f"m = ShardMap.with_capacity(shards={shards})\ndaemons(*{work})\n")


def test_daemon_threads_in_the_middle_of_a_comparison_do_not_hold_up_the_exit() -> None:
    exits_without_a_word(
        """
m = ShardMap.with_capacity(shards=1)
comparing = threading.Event()

class Slow(Key):
    __hash__ = Key.__hash__
    def __eq__(self, other):
        comparing.set()
        time.sleep(3600)

m[Slow("k")] = 1
threading.Thread(target=lambda: m.get(Key("k")), daemon=True).start()
assert comparing.wait(LONG / 2)
m["k"] = 1
m.clear()
"""
    )


def test_atexit_handlers_use_maps_while_daemon_threads_do() -> None:
    said = exits_without_a_word(
        """
m = ShardMap.with_capacity(shards=2)

def at_exit():
    for i in range(1000):
        m["exit", i] = i
    assert sum(1 for key in m.snapshot() if isinstance(key, tuple)) == 1000
    assert m.add("mine") == 1 and len(m) >= 1000
    m._check()
    print("handled")

atexit.register(at_exit)
daemons(*[lambda n=n: [m.__setitem__(i, n) for i in range(100)] for n in range(4)])
"""
    )
    assert said == "handled\n"


def test_finalizers_at_module_teardown_use_a_global_map() -> None:
    exits_without_a_word(
        """
class Late:
    def __del__(self, m=ShardMap.with_capacity(shards=2)):
        m["deleted"] = Late if len(m) < 3 else None
        assert m.add("n") >= 1
        list(m.items()); len(m); m.snapshot(); m.copy(); repr(m)
        m.pop("deleted"); m.popitem(); m.clear()

m = ShardMap.with_capacity(shards=2)
m["late"] = Late()
m["self"] = m
m["more"] = [Late(), m, m.snapshot(), iter(m.items()), m.keys()]
late = Late()
sys.kept_to_the_very_end = m
"""
    )


def test_maps_in_globals_classes_thread_locals_and_default_arguments() -> None:
    exits_without_a_word(
        """
class Holder:
    shared = ShardMap(a=1)
local = threading.local()
local.m = ShardMap(b=Holder)
def function(m=ShardMap(c=local)): return m
function()["function"] = function
Holder.shared["holder"] = Holder()
import builtins
builtins.leaked = ShardMap(d=function)
sys.modules["a map"] = ShardMap(e=1)
generator = (key for key in ShardMap(f=1, g=2))
next(generator)
del sys.modules["a map"]
"""
    )


def test_threads_that_are_waited_for_may_use_maps_until_they_end() -> None:
    said = exits_without_a_word(
        """
m = ShardMap.with_capacity(shards=2)

def late(number):
    threading.main_thread().join()
    for i in range(2000):
        m[number, i] = i
        m.add("sum")
    m.snapshot()
    if m["sum"] == 6000:
        print("all")

for number in range(3):
    threading.Thread(target=late, args=(number,)).start()
"""
    )
    assert "all" in said


def test_sys_exit_from_the_main_thread_while_others_wait_for_one_shard() -> None:
    exits_without_a_word(
        """
m = ShardMap.with_capacity(shards=1)
daemons(*[lambda n=n: m.__setitem__(n, len(m.snapshot())) for n in range(16)])
sys.exit(0)
"""
    )
