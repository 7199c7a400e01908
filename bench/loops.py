"""The timed loops. They do as little besides the map as Python allows, and are the same for all maps.

A mix of reads and writes needs no counter and no condition: with 90 % reads, each turn of the loop takes a tuple of ten
keys, reads nine and writes one. For that reason the loops are compiled from generated text. Otherwise they are the
usual code:

    for k in keys: m[k]
    for k in keys: m[k] = value

`m` is a local or a global variable. On a free-threaded Python that makes a difference. From 3.14 on, the use of a
*local* variable borrows the object and counts no reference. Each use of a *global* variable (or of an attribute, or of
a variable in a closure) counts one. If another thread made the object, that is an atomic operation on the cache line of
the object's head, which moves between all cores. Programs that share a map rarely use it in long loops through a local
variable; they use `cache[key]` of a module's cache. So the reports show *global* first, and *local* as a variant.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Literal, Protocol

Lookup = Literal["global", "local"]
READS = (100, 99, 90, 75, 50, 0)  # the percentages of reads for which there are loops


class Loop(Protocol):
    def __call__(self, m: Any, keys: list[Any], values: tuple[Any, Any], passes: int, /) -> None: ...


def turns(reads: int) -> tuple[int, int]:
    """The number of reads and of writes in one turn of the loop."""
    if reads not in READS:
        raise ValueError(f"reads must be one of {READS}, not {reads}")
    return {100: (1, 0), 0: (0, 1)}.get(reads) or (reads // (100 - reads), 1)


def grouped(keys: list[Any], reads: int) -> list[Any]:
    """The keys in the form that the loop of that mix takes: single keys, or a tuple for each turn. The last tuple is
    filled up with keys from the beginning."""
    size = sum(turns(reads))
    if size == 1:
        return keys
    filled = keys + [keys[at % len(keys)] for at in range(-len(keys) % size)]
    return [tuple(filled[at : at + size]) for at in range(0, len(filled), size)]


def operations(groups: list[Any], reads: int) -> int:
    return len(groups) * sum(turns(reads))


@cache
def make_loop(reads: int, lookup: Lookup) -> tuple[Loop, Callable[[Any], None]]:
    """The loop, and a function that puts the map into the loop's global variable."""
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
