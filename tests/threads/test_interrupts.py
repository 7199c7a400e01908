"""Interrupts and errors at any moment leave nothing locked and nothing half made."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable
from typing import Any

import pytest

from harness.locks import assert_free, assert_waits, thread
from harness.process import run_python
from harness.threads import run_threads
from shardmap import ShardMap

pytestmark = pytest.mark.concurrent

MakeMap = Callable[..., ShardMap]

BLOCKS = {
    "lock": "with m.lock('a') as entries: pass",
    "lock_many": "with m.lock_many(KEYS) as entries: pass",
    "compute": "m.compute('a', lambda key, value: 1)",
    "set": "m['a'] = 1",
}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers")
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("contended", [False, True], ids=["", "contended"])
def test_keyboard_interrupts_at_any_moment_leave_no_key_locked(block: str, contended: bool) -> None:
    run_python(
        f"""
        import contextlib, random, signal, threading, time
        from harness.locks import assert_free
        from harness.threads import meanwhile
        from shardmap import ShardMap
        KEYS = ["a", "b", "c"]
        m = ShardMap.with_capacity(shards=2)
        inside = False
        def handler(*_):
            if inside:
                raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, handler)
        def other():
            with m.lock_many(KEYS):
                pass
            time.sleep(0.00005)
        interrupts = 0
        end = time.monotonic() + 1
        with meanwhile(other) if {contended} else contextlib.nullcontext():
            while time.monotonic() < end:
                entries = None
                try:
                    inside = True
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 3e-4))
                    while True:
                        {block}
                except KeyboardInterrupt:
                    inside = False
                    interrupts += 1
                if not {contended} and interrupts % 10 == 0:
                    assert_free(m, *KEYS)
        del entries
        assert interrupts > 20, interrupts
        assert_free(m, *KEYS)
        m._check()
        """
    )


class RaisesAt:
    """A key whose hash raises at its nth call."""

    def __init__(self, nth: int) -> None:
        self.nth, self.calls = 0, 0
        self.nth = nth

    def __hash__(self) -> int:
        self.calls += 1
        if self.calls == self.nth:
            raise ZeroDivisionError
        return 5


def test_a_hash_that_raises_leaves_no_key_locked(make_map: MakeMap) -> None:
    m = make_map()
    nth, raised = 0, True
    while raised:
        nth += 1
        key = RaisesAt(nth)
        raised = False
        try:
            many: Any = m.lock_many(["a", key, "b"])
            with many as entries:
                key.nth = 0
                entries[key].set(1)
        except ZeroDivisionError:
            raised = True
        key.nth = 0
        run_threads(lambda key=key: m.lock_many([key, "a", "b"], timeout=0).__enter__().clear())
        gc.collect()
        assert_free(m, key, "a", "b")
    assert nth > 1


def test_what_a_waiting_popitem_will_return_is_not_seen_half_made(make_map: MakeMap) -> None:
    m = make_map(k=1)
    with m.lock("k") as entry, thread(m.popitem) as popping:
        assert_waits(popping)
        pairs = [each for each in gc.get_objects() if type(each) is tuple and len(each) == 2]
        assert all(pair[0] is not pair for pair in pairs)  # a NULL item would be a crash
        entry.__exit__()
        popping.join()
        entry.__enter__()


def test_popped_pairs_are_seen_by_the_collector(make_map: MakeMap) -> None:
    m = make_map()
    m["k"] = value = []
    pair = m.popitem()
    assert gc.is_tracked(pair) and pair == ("k", value)
