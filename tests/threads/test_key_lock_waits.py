"""Code of the user's that runs in a thread while it waits for a key's lock: handlers of signals, finalizers."""

from __future__ import annotations

import signal

import pytest

from harness.process import run_python

needs_signals = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals to threads")
pytestmark = [pytest.mark.concurrent, needs_signals]

# The main thread waits for the lock of "A"; meanwhile its handler of SIGUSR1 runs, and then the holder goes on.
PRELUDE = """
import gc, os, signal, threading, time
from harness.locks import assert_free
from harness.threads import LONG
from shardmap import MISSING, ShardMap
m = ShardMap.with_capacity(shards=2)
m["A"] = 0
m["B"] = 0
main = threading.main_thread().ident
ran = []
began = False           # no Event: a second signal would find its lock taken, by set() of the first

def interrupt():
    global began
    began = False
    while not began:                    # the main thread may not wait yet, or just be between two waits
        signal.pthread_kill(main, signal.SIGUSR1)
        for _ in range(50):
            if not began:
                time.sleep(0.001)
    time.sleep(0.02)                    # so that what the handler does has begun

class Holder:
    def __init__(self, *keys, then=interrupt):
        self.keys, self.then, self.holds, self.errors = keys, then, threading.Event(), []
        self.started = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        self.holds.wait(LONG)
        self.started.set()              # no signal before: it would be handled while the thread is started
    def run(self):
        try:
            with m.lock_many(self.keys) as entries:
                self.holds.set()
                self.started.wait(LONG)
                time.sleep(0.05)
                self.then()
                for entry in entries.values():
                    entry.set(10)
        except BaseException as error:
            self.errors.append(error)
    def join(self):
        self.thread.join(LONG)
        assert not self.thread.is_alive() and not self.errors, self.errors

def handle(work, times=1):
    def handler(*_):
        global began
        if len(ran) < times:            # later signals find the work begun
            ran.append("begun")
            began = True
            work()
            ran.append("done")
        began = True
    signal.signal(signal.SIGUSR1, handler)

def finish(*holders, done=1):
    for holder in holders:
        holder.join()
    assert ran.count("done") == done, ran
    assert_free(m, "A", "B", "C")
    m._check()
"""

WRITES = {
    "set": "m.__setitem__('A', 5)",
    "add": "m.add('A')",
    "pop": "m.pop('A', None)",
    "popitem": "m.popitem()",
    "clear": "m.clear()",
    "compute": "m.compute('A', lambda key, value: 5)",
    "merge": "m.merge('A', 1, max)",
    "lock": "with_lock(m.lock('A'))",
    "lock with a time-out": "with_lock(m.lock('A', timeout=LONG))",
    "lock_many": "with_lock(m.lock_many('AB'))",
    "another key": "m.__setitem__('B', 1)",
    "retain": "m.retain(lambda key, value: True)",
    "delete_many": "m.delete_many(['A', 'B'])",
    "read": "(m.get('A'), len(m), list(m.items()), m.copy())",
}
WITH_LOCK = """
def with_lock(lock):
    with lock:
        ran.append("held")
"""


@pytest.mark.parametrize("inner", WRITES.values(), ids=WRITES)
def test_a_handler_may_use_the_key_that_its_thread_waits_for(inner: str) -> None:
    run_python(
        PRELUDE
        + WITH_LOCK
        + f"""
handle(lambda: {inner})
holder = Holder("A")
m["A"] = 1
assert m["A"] == 1
finish(holder)
"""
    )


@pytest.mark.parametrize("wait", ["m.pop('A', None)", "m.compute('A', lambda k, v: 1)", "m.clear()", "m.popitem()"])
def test_whatever_waits_lets_a_handler_use_its_key(wait: str) -> None:
    run_python(
        PRELUDE
        + f"""
handle(lambda: m.add("A"))
m["A"] = m.pop("A")                     # the last entry, for popitem()
holder = Holder("A")
{wait}
finish(holder)
"""
    )


def test_a_wait_with_a_time_out_lets_a_handler_use_its_key_and_still_times_out() -> None:
    run_python(
        PRELUDE
        + """
handle(lambda: m.__setitem__("A", 5))
holder = Holder("A")
with m.lock("A", timeout=LONG) as entry:
    assert entry.value == 5, m
finish(holder)
ran.clear()
handle(lambda: m.get("A"))
leave = threading.Event()
holder = Holder("A", then=lambda: (interrupt(), leave.wait(LONG)))
try:
    with m.lock("A", timeout=0.2):
        raise AssertionError
except TimeoutError as error:
    assert "'A' within 0.2 s" in str(error), error
leave.set()
finish(holder)
"""
    )


def test_a_handler_may_wait_for_a_key_whose_holder_waits_behind_its_thread() -> None:
    """The handler wants B; B's holder wants A, which the handler's thread was to get before."""
    run_python(
        PRELUDE
        + """
b_held, a_asked = threading.Event(), threading.Event()
def behind():
    with m.lock("B"):
        b_held.set()
        a_asked.wait(LONG)
        m.add("A", 100)
handle(lambda: m.__setitem__("B", 7))
holder = Holder("A", then=lambda: (time.sleep(0.05), a_asked.set(), time.sleep(0.05), interrupt()))
other = threading.Thread(target=behind, daemon=True)
other.start()
b_held.wait(LONG)
m["A"] = 1
other.join(LONG)
assert not other.is_alive() and m["A"] == 1 and m["B"] == 7, m
finish(holder)
"""
    )


def test_threads_that_wait_beside_an_interrupted_one_get_their_turn() -> None:
    run_python(
        PRELUDE
        + """
got = []
def ask(name):
    with m.lock("A"):
        got.append(name)
def ask_in_order():
    for name in "abc":
        threads.append(threading.Thread(target=ask, args=(name,), daemon=True))
        threads[-1].start()
        time.sleep(0.03)
    interrupt()
threads = []
handle(lambda: ask("handler"))
holder = Holder("A", then=ask_in_order)
with m.lock("A"):
    got.append("main")
for thread in threads:
    thread.join(LONG)
assert sorted(got) == ["a", "b", "c", "handler", "main"] and got.index("handler") > got.index("c"), got
finish(holder)
"""
    )


def test_a_thread_that_handled_a_signal_keeps_its_place_in_the_queue() -> None:
    run_python(
        PRELUDE
        + """
got = []
def ask():
    with m.lock("A"):
        got.append("other")
def then():
    interrupt()
    thread.start()
    time.sleep(0.05)
thread = threading.Thread(target=ask, daemon=True)
handle(lambda: None)
holder = Holder("A", then=then)
with m.lock("A"):
    got.append("main")
thread.join(LONG)
assert got == ["main", "other"], got
finish(holder)
"""
    )


def test_a_handler_that_raises_ends_the_wait_and_leaves_the_queue_whole() -> None:
    run_python(
        PRELUDE
        + """
class Stop(Exception):
    pass
def work():
    m["A"] = 5
    ran.append("done")
    raise Stop
handle(work)
for wait in (lambda: m.__setitem__("A", 1), lambda: m.lock("A").__enter__(), lambda: m.lock_many("BA").__enter__()):
    ran.clear()
    holder = Holder("A")
    try:
        wait()
    except Stop:
        pass
    else:
        raise AssertionError
    finish(holder)
    assert m["A"] == 5, m
"""
    )


def test_handlers_may_be_nested() -> None:
    """A handler waits for the key, and is interrupted by another one that waits for it as well."""
    run_python(
        PRELUDE
        + """
handle(lambda: m.add("A"), times=4)
def then():
    interrupt()
    interrupt()
holder = Holder("A", then=then)
m["A"] = 1
assert m["A"] == 1
holder.join()
assert ran.count("done") >= 2, ran
assert_free(m, "A", "B")
"""
    )


@pytest.mark.parametrize("outer", ["m.lock('B')", "m.lock_many(['B'])"])
def test_a_handler_that_asks_for_what_its_own_thread_holds_gets_an_error(outer: str) -> None:
    run_python(
        PRELUDE
        + f"""
errors = []
def work():
    m["B"] = 3                          # plain writes of the same thread pass
    try:
        m.lock("B").__enter__()
    except RuntimeError as error:
        errors.append(str(error))
handle(work)
holder = Holder("A")
with {outer}:
    m["A"] = 1
assert len(errors) == 1 and "'B' is already held" in errors[0], errors
finish(holder)
"""
    )


def test_a_handler_that_closes_a_cycle_over_other_threads_gets_an_error() -> None:
    """The thread holds A and waits for B; the handler asks for C, whose holder waits for A."""
    run_python(
        PRELUDE
        + """
errors = []
def work():
    try:
        m["C"] = 1
    except RuntimeError as error:
        errors.append(str(error))
handle(work)
c_held = threading.Event()
def hold_c():
    with m.lock("C"):
        c_held.set()
        m.add("A", 1)
other = threading.Thread(target=hold_c, daemon=True)
with m.lock("A"):
    other.start()
    c_held.wait(LONG)
    holder = Holder("B", then=lambda: (time.sleep(0.05), interrupt()))
    m["B"] = 1
other.join(LONG)
assert len(errors) == 1 and "deadlock: the lock of 'C'" in errors[0], errors
finish(holder)
"""
    )


def test_a_handler_that_keeps_the_lock_makes_the_wait_an_error_and_not_endless() -> None:
    run_python(
        PRELUDE
        + """
kept = m.lock("A")
handle(kept.__enter__)
holder = Holder("A")
try:
    with m.lock("A"):
        raise AssertionError
except RuntimeError as error:
    assert "already held" in str(error) or "deadlock" in str(error), error
kept.__exit__()
finish(holder)
"""
    )


FINALIZED = """
class Cycle:
    def __init__(self, work):
        self.me, self.work = self, work
    def __del__(self):
        global began
        ran.append("begun")
        began = True
        self.work()
        ran.append("done")
"""


@pytest.mark.parametrize("inner", ["m.pop('A', None)", "m.add('A')", "m.clear()", "m.compute('A', lambda k, v: 5)"])
def test_a_finalizer_that_the_collector_runs_may_use_the_key_that_its_thread_waits_for(inner: str) -> None:
    """By a collection in a handler, which works on every version; from 3.12 on the wait itself runs collections."""
    run_python(
        PRELUDE
        + FINALIZED
        + f"""
def collect(*_):
    gc.collect()
signal.signal(signal.SIGUSR1, collect)
gc.disable()
holder = Holder("A")
Cycle(lambda: {inner})
m["A"] = 1
holder.join()
assert "done" in ran and m["A"] == 1, (ran, m)
assert_free(m, "A", "B")
"""
    )


def test_a_search_for_deadlocks_ends_though_waits_form_a_circle_beside_it() -> None:
    """Two threads with time-outs wait for each other, which is no deadlock; a third waits for one of them."""
    run_python(
        PRELUDE
        + """
both = threading.Barrier(2)
late = []
def work(mine, other):
    with m.lock(mine):
        both.wait(LONG)
        try:
            with m.lock(other, timeout=0.3):
                pass
        except TimeoutError:
            late.append(mine)
threads = [threading.Thread(target=work, args=pair, daemon=True) for pair in ("AB", "BA")]
for thread in threads:
    thread.start()
time.sleep(0.1)
m["A"] = 1
m["B"] = 1
for thread in threads:
    thread.join(LONG)
assert late and m == {"A": 1, "B": 1}
"""
    )
