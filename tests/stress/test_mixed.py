"""Everything at once for as long as SHARDMAP_STRESS_SECONDS says (`make stress`)."""

from __future__ import annotations

import itertools
import os
import pickle
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from harness.keys import Finalized, HashKey
from harness.process import fork_and_wait, resident, run_python
from harness.stops import collect_and_pause
from harness.threads import LONG, meanwhile, switching_often
from shardmap import ShardMap

SECONDS = float(os.environ.get("SHARDMAP_STRESS_SECONDS") or 0)

pytestmark = [
    pytest.mark.skipif(not SECONDS, reason="set SHARDMAP_STRESS_SECONDS, or run `make stress`"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

LASTING = {("lasting", i): i for i in range(200)}
MOST_GROWTH = 96 * 2**20


class OwnRandom(threading.local):
    """A generator for each thread: forked children must not find one that others contend for (fork_and_wait)."""

    def __init__(self) -> None:
        self.randrange = random.Random().randrange


class Mixed:
    """Two maps: `kept`, of which it is always known what must be in it, and `wild`, where anything goes."""

    def __init__(self, shards: int) -> None:
        self.kept = ShardMap.with_capacity(shards=shards)
        self.kept.update(LASTING, a=0, b=0)
        self.wild = ShardMap.with_capacity(shards=shards)
        self.rounds: Counter[str] = Counter()
        self.additions: Counter[int] = Counter()
        self.numbers = itertools.count(1)
        self.tokens = itertools.count()
        self.random = OwnRandom()

    # Each of these is run again and again by a thread of its own.

    def write_pair(self) -> None:
        for number in itertools.islice(self.numbers, 50):
            self.kept["a"] = number
            time.sleep(0)  # lets others run here, with a GIL too
            self.kept["b"] = number

    def insert_and_delete(self) -> None:
        me = threading.get_ident()
        for i in range(200):
            self.kept[me, i] = (i,)  # a list has a lock, and children pickle it
        for i in range(200):
            assert self.kept[me, i] == (i,)
            if i % 2:
                del self.kept[me, i]
            else:
                assert self.kept.pop((me, i)) == (i,)

    def add(self) -> None:
        me = threading.get_ident()
        for _ in range(100):
            self.kept.add("additions")
            self.additions[me] += 1

    def come_and_go(self) -> None:
        number = next(self.tokens)
        assert self.kept.setdefault(("token", number), number) == number
        assert self.kept.pop(("token", number)) == number

    def look(self) -> None:
        for picture in (
            dict(self.kept.snapshot()),
            dict(self.kept.items()),
            dict(self.kept.copy().items()),
            dict(reversed(self.kept.items())),
            dict(pickle.loads(pickle.dumps(self.kept.snapshot()))),
        ):
            assert picture["b"] <= picture["a"] <= picture["b"] + 1
            assert LASTING.items() <= picture.items()
        assert self.kept != {} and len(self.kept) >= 202
        self.kept._check()

    def hostile(self) -> None:
        for i in range(8):
            key = HashKey(i, hashed=i % 2, on_eq=lambda: self.wild.get(self.random.randrange(50)))
            self.wild[key] = Finalized(lambda: self.wild.pop(self.random.randrange(50), None))
            self.wild.add(("hostile", i % 2))
            self.wild.pop(HashKey(i, hashed=i % 2), None)

    def fill(self) -> None:
        self.wild.update({i: i for i in range(1000)}, x=1, y=self.wild)
        self.wild.update(self.wild.copy())
        self.wild |= {i: str(i) for i in range(50)}

    def empty(self) -> None:
        for _ in range(50):
            try:
                self.wild.popitem()
            except KeyError:
                break
        self.wild.clear()
        self.wild._check()

    def cycles(self) -> None:
        m = ShardMap.with_capacity(shards=2)
        m["self"], m["snapshot"], m["wild"] = m, m.snapshot(), self.wild.snapshot()
        m["iterator"] = iter(m.items())
        self.wild["cycle"] = m

    def collect(self) -> None:
        collect_and_pause()

    def in_child(self) -> None:
        self.look()
        self.wild._check()
        for work in (self.insert_and_delete, self.hostile, self.fill, self.empty, self.add):
            work()
        with meanwhile(self.insert_and_delete, self.fill, self.empty, timeout=LONG / 2):
            self.look()


def exit_while_in_use() -> None:
    run_python(
        """
        import threading
        from shardmap import ShardMap
        m = ShardMap.with_capacity(shards=1)
        def use():
            while True:
                m.add(1); m.snapshot(); m[threading.get_ident()] = 1; len(m)
        for _ in range(6):
            threading.Thread(target=use, daemon=True).start()
        while len(m) < 6:
            pass
        """
    )


@pytest.mark.parametrize("shards", [1, 64])
def test_everything_at_once(shards: int, capsys: pytest.CaptureFixture[str]) -> None:
    state = Mixed(shards)

    def counted(work: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            work()
            state.rounds[work.__name__] += 1

        return run

    works = [state.write_pair, *[state.insert_and_delete] * 2, state.add, state.come_and_go, state.look, state.hostile]
    works += [state.fill, state.empty, state.cycles, state.collect]
    began = time.monotonic()
    duration = SECONDS / 2  # for each number of shards
    settled = 0
    with switching_often(), meanwhile(*map(counted, works)):
        reported = began
        while (now := time.monotonic()) < began + duration:
            fork_and_wait(state.in_child)
            exit_while_in_use()
            if not settled and now > began + duration / 4:
                settled = resident()
            if now > reported + 5:
                reported = now
                rounds = ", ".join(f"{name} {count}" for name, count in state.rounds.items())
                with capsys.disabled():
                    print(f"{now - began:5.0f} s, {resident() >> 20} MiB: {rounds}", flush=True)
    state.look()
    state.wild._check()
    assert state.kept["additions"] == sum(state.additions.values())
    assert set(state.kept) == {*LASTING, "a", "b", "additions"}
    assert set(state.rounds) == {work.__name__ for work in works}
    if settled:
        assert resident() < settled + MOST_GROWTH
