"""Keys of every type, and the patterns that are best for a dict, compared with a dict. Each has its goal.

    python bench/every_key.py [--quick] [--only tuple-get,overwrite] [--output build/bench]

One thread uses a map, keys and values that it made. Two threads use one map, and keys that each made itself, unless the
line says otherwise. Rounds, bars and lines are as in goals.py. "loop" is the speed-up of an empty loop by the second
thread.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from goals import Bar, Goal, faster, main
from keys import KINDS, PATTERNS
from maps import DICT
from workloads import FillAndLookUp, Mix

ALONE = Mix(identity="equal", lookup="local", own=True)
TOGETHER = Mix(identity="equal")
LOCAL = Mix(identity="same", lookup="local")


def _most(ratio: float) -> tuple[Bar, ...]:
    return (Bar(DICT, 1, ratio, of_time=True),)


GOALS = (
    *(
        Goal(
            f"{kind}-{name}",
            f"1 thread, 1,000 {kind} keys: {name}",
            replace(ALONE, kind=kind, reads=reads),
            1,
            _most(most),
            gil=None,
        )
        for kind in KINDS
        for name, reads, most in (("get", 100, 1.3), ("set", 0, 1.5))
    ),
    *(
        Goal(
            f"pattern-{pattern}",
            f"1 thread, ints: {pattern}",
            FillAndLookUp(pattern),
            1,
            _most(2 if pattern == "crafted" else 1.8),
            gil=None,
        )
        for pattern in PATTERNS
    ),
    Goal("tuple-reads", "2 threads, reads of 1,000 tuple keys", replace(TOGETHER, kind="tuple"), 2, (faster(2),)),
    Goal(
        "tuple-writes",
        "2 threads, overwrite 1,000 tuple keys",
        replace(TOGETHER, kind="tuple", reads=0),
        2,
        (faster(1.3),),
    ),
    Goal("overwrite", "2 threads, overwrite 1,000 str keys", replace(TOGETHER, reads=0), 2, (faster(1.6),)),
    Goal(
        "unchanged",
        "2 threads, store what is there, 1,000 str keys",
        replace(TOGETHER, reads=0, unchanged=True),
        2,
        (faster(3),),
    ),
    Goal("same-keys", "2 threads, the very same 1,000 keys, the map in a local", LOCAL, 2, (faster(1.3),)),
    Goal(
        "one-key",
        "2 threads, one and the same key, the map in a local",
        replace(LOCAL, keys=1, draw="hot"),
        2,
        (faster(1),),
    ),
)


if __name__ == "__main__":
    sys.exit(main(GOALS, __doc__ or "", "every-key"))
