"""Locks of keys and what happens to processes: Ctrl-C, fork, exit."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable

import pytest

from harness.locks import assert_free, assert_waits, thread
from harness.process import fork_and_wait, run_python
from harness.threads import LONG, run_threads
from shardmap import ShardMap

MakeMap = Callable[..., ShardMap]

# --- fork ---


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_process_has_its_own_locks_and_not_those_of_lost_threads(make_map: MakeMap) -> None:
    m = make_map(mine=1, theirs=1)
    theirs, waited = m.lock("theirs"), m.lock("mine", LONG)
    finish = threading.Event()

    def hold() -> None:
        with theirs:
            finish.wait(LONG)

    def child() -> None:
        with pytest.raises(TimeoutError):
            run_threads(lambda: m.lock("mine", timeout=0).__enter__())
        assert mine.value == 1
        m["theirs"] = 2
        for use in (lambda: theirs.value, theirs.__exit__):
            with pytest.raises(RuntimeError, match="not held"):
                use()
        with theirs:  # free, and as good as new
            assert theirs.value == 2
            theirs.set(3)
        mine.__exit__()
        assert_free(m, "mine", "theirs")
        m.clear()

    with m.lock("mine") as mine, thread(hold), thread(lambda: waited.__enter__().__exit__()) as waiting:
        assert_waits(waiting)
        try:
            fork_and_wait(child)
        finally:
            finish.set()
            mine.__exit__()
            waiting.join(LONG)
            mine.__enter__()
    assert m == {"mine": 1, "theirs": 1}


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_process_may_drop_the_entries_of_lost_threads(make_map: MakeMap) -> None:
    m = make_map()
    held = [m.lock(key) for key in "abc"]
    run_threads(lambda: [entry.__enter__() for entry in held])  # nobody ever lets them go

    def child() -> None:
        held.clear()
        gc.collect()
        assert_free(m, *"abc")

    fork_and_wait(child)


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_an_entry_that_another_thread_entered_is_lost_in_a_child_of_the_thread_that_uses_it(make_map: MakeMap) -> None:
    m = make_map(k=1)
    entry = m.lock("k")
    run_threads(entry.__enter__)
    assert entry.value == 1

    def child() -> None:
        for use in (lambda: entry.value, lambda: entry.set(2), entry.delete, entry.__exit__):
            with pytest.raises(RuntimeError, match="not held"):
                use()
        assert_free(m, "k")
        with entry:
            entry.set(3)
        assert m["k"] == 3

    fork_and_wait(child)
    entry.value += 1
    entry.__exit__()
    assert m == {"k": 2}
    assert_free(m, "k")


@needs_fork
def test_a_handler_that_forks_while_its_thread_waits() -> None:
    """In the child the thread whose lock the main thread waits for is gone: the wait ends."""
    done = run_python(
        """
        import os, signal, threading, time
        from harness.threads import LONG
        from shardmap import ShardMap
        m = ShardMap()
        child = None
        def handler(*_):
            global child
            child = os.fork()
        signal.signal(signal.SIGUSR1, handler)
        held, finish = threading.Event(), threading.Event()
        def hold():
            with m.lock("k"):
                held.set()
                time.sleep(0.2)
                os.kill(os.getpid(), signal.SIGUSR1)
                finish.wait(LONG)
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        def end():
            while child is None:
                time.sleep(0.01)
            finish.set()
        threading.Thread(target=end, daemon=True).start()
        with m.lock("k") as entry:
            entry.set(1)
        if child == 0:
            m["k"] = 2
            m.clear()
            os._exit(0)
        thread.join()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        """.replace("import os,", "import warnings; warnings.simplefilter('ignore', DeprecationWarning); import os,"),
    )
    assert done.stderr == ""


# --- Ctrl-C ---

PRELUDE = """
import os, signal, threading, time
from harness.threads import LONG
from shardmap import ShardMap
m = ShardMap.with_capacity(shards=2)
m["k"] = 1
held, finish = threading.Event(), threading.Event()
def hold():
    with m.lock("k"):
        held.set()
        finish.wait(LONG)
holder = threading.Thread(target=hold, daemon=True)
holder.start()
held.wait()
def press():
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)
"""

WAITS = {
    "lock": "m.lock('k').__enter__()",
    "lock with a time-out": "m.lock('k', timeout=LONG).__enter__()",
    "lock_many": "m.lock_many('ak').__enter__()",
    "set": "m['k'] = 2",
    "add": "m.add('k')",
    "pop": "m.pop('k')",
    "popitem": "m.popitem()",
    "clear": "m.clear()",
    "compute": "m.compute('k', lambda k, v: 2)",
    "retain": "m.retain(lambda k, v: False)",
    "exchange": "m.exchange('k', 2)",
}


def test_ctrl_c_ends_each_wait_in_the_main_thread() -> None:
    source = PRELUDE
    for wait in WAITS.values():
        source += f"""
waits = False
while not waits:        # again, if a starved machine did not come so far before Ctrl-C was pressed
    try:
        threading.Thread(target=press).start()
        waits = True
        {wait}
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError({wait!r})
"""
    source += """
assert m == {"k": 1}
finish.set()
holder.join(LONG)
with m.lock_many("ak", timeout=1): pass     # those who gave up left nothing behind
m._check()
"""
    assert run_python(source).stderr == ""


def test_a_handler_that_returns_does_not_end_a_wait() -> None:
    source = (
        PRELUDE
        + """
calls = []
def handler(*_):
    calls.append(m["k"])
    if len(calls) == 3:
        finish.set()
signal.signal(signal.SIGINT, handler)
def presses():
    while len(calls) < 3:
        press()
threading.Thread(target=presses).start()
m["k"] = 2
assert len(calls) >= 3 and m["k"] == 2
"""
    )
    assert run_python(source).stderr == ""


def test_an_interrupted_function_changes_nothing_and_lets_the_key_go() -> None:
    source = (
        PRELUDE
        + """
finish.set()
holder.join()
def function(*_):
    signal.raise_signal(signal.SIGINT)
    return 2
for use in (
    lambda: m.compute("k", function),
    lambda: m.compute_if_absent("new", function),
    lambda: m.compute_if_present("k", function),
    lambda: m.merge("k", 1, function),
    lambda: m.retain(function),
):
    try:
        use()
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError
assert m == {"k": 1}
def others():
    with m.lock_many(["k", "new"], timeout=1): m["k"] = 3
other = threading.Thread(target=others)
other.start()
other.join()
assert m == {"k": 3}
"""
    )
    assert run_python(source).stderr == ""


# --- Exit ---


def test_daemon_threads_that_wait_for_a_lock_do_not_hold_up_the_exit() -> None:
    source = (
        PRELUDE
        + f"""
def short():
    try:
        m.lock("k", timeout=0.3).__enter__()
    except TimeoutError:
        pass
started = threading.Semaphore(0)
def daemon(wait):
    started.release()
    exec(wait)
for wait in {[*WAITS.values(), "short()"]} * 2:
    threading.Thread(target=daemon, args=(wait,), daemon=True).start()
    started.acquire()
time.sleep(0.05)
"""
    )
    assert run_python(source).stderr == ""


def test_daemon_threads_whose_time_is_over_at_exit_have_left_the_queue() -> None:
    """Before 3.14 a daemon thread that comes back from waiting at exit is ended, and its stack is gone."""
    source = """
        import builtins, threading, time
        from shardmap import ShardMap
        m = ShardMap(k=1)
        waiting = threading.Semaphore(0)
        def wait():
            waiting.release()
            try:
                with m.lock("k", timeout=0.15):
                    pass
            except TimeoutError:
                pass
        class AtEnd:
            def __init__(self, *keep):
                self.keep = keep
            def __del__(self):
                sleep, entry, show = self.keep
                sleep(0.3)              # the threads' time is over; they cannot attach any more
                entry.__exit__()
                show("let go", flush=True)
        entry = m.lock("k")
        entry.__enter__()
        for _ in range(20):
            threading.Thread(target=wait, daemon=True).start()
            waiting.acquire()
        time.sleep(0.02)
        builtins.kept_to_the_end = AtEnd(time.sleep, entry, print)
    """
    done = run_python(source)
    assert (done.stdout, done.stderr) == ("let go\n", "")


def test_locks_held_at_exit_do_no_harm() -> None:
    source = (
        PRELUDE
        + """
finish.set()
holder.join()
entry = m.lock("held")
entry.__enter__()
m["entry"] = m.lock("also held")
m["entry"].__enter__()
many = m.lock_many("ab")
many.__enter__()
"""
    )
    assert run_python(source).stderr == ""
