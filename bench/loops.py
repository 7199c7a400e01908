"""The timed loops: as little besides the map as Python allows, and the same for all maps.

A mix of reads and writes is written out, without a counter or a condition: of 90 % reads, each turn of the loop takes a
tuple of ten keys, reads nine and writes one. The loops are made from text for that reason. For the rest they are what
one would write:

    for k in keys: m[k]
    for k in keys: m[k] = value

`m` is looked up in one of two ways, which on a free-threaded Python is not the same. As a *local* variable it is, from
3.14 on, borrowed: using it counts no reference. As a *global* (or as an attribute, or in a closure) each use counts
one, which for an object that another thread made is an atomic operation on the line of the object's own head, moved
between all cores. Long loops over a local variable are rare where a map is shared; `cache[key]` of a module's cache is
what programs have. So *global* is what is reported first, *local* stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Literal, Protocol

Lookup = Literal["global", "local"]
READS = (100, 99, 90, 75, 50, 0)  # per cent, which the loops can do


class Loop(Protocol):
    def __call__(self, m: Any, keys: list[Any], values: tuple[Any, Any], passes: int, /) -> None: ...


def turns(reads: int) -> tuple[int, int]:
    """How many reads and writes one turn of the loop does."""
    if reads not in READS:
        raise ValueError(f"reads must be one of {READS}, not {reads}")
    return {100: (1, 0), 0: (0, 1)}.get(reads) or (reads // (100 - reads), 1)


def grouped(keys: list[Any], reads: int) -> list[Any]:
    """The keys as the loop of that mix takes them: singly, or in tuples of one turn each; what is left over at the
    end is filled up from the beginning."""
    size = sum(turns(reads))
    if size == 1:
        return keys
    filled = keys + [keys[at % len(keys)] for at in range(-len(keys) % size)]
    return [tuple(filled[at : at + size]) for at in range(0, len(filled), size)]


def operations(groups: list[Any], reads: int) -> int:
    return len(groups) * sum(turns(reads))


@cache
def make_loop(reads: int, lookup: Lookup) -> tuple[Loop, Callable[[Any], None]]:
    """The loop, and what puts the map into its global variable."""
    read, write = turns(reads)
    names = [f"k{number}" for number in range(read + write)]
    body = [f"m[{name}]" for name in names[:read]] + [f"m[{name}] = value" for name in names[read:]]
    text = "\n".join(
        [
            f"def loop({'m' if lookup == 'local' else '_'}, keys, values, passes):",
            "    for turn in range(passes):",
            "        value = values[turn & 1]",
            f"        for {', '.join(names)} in keys:",
            *(f"            {line}" for line in body),
        ]
    )
    space: dict[str, Any] = {"m": None}
    exec(compile(text, f"<{reads} % reads, {lookup}>", "exec"), space)

    def place(m: Any) -> None:
        space["m"] = m

    return space["loop"], place
