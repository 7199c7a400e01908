"""Instructions per operation, counted by valgrind's callgrind. The counts are repeatable, also on a busy machine.

Each operation is a loop over 1,000 keys that are equal to the keys in the map but not the same objects. The
instructions of an empty loop are subtracted.

    python bench/instructions.py [--map dict] [--json FILE] [--record] [operation ...]

`--record` keeps the counts of the hot operations for this interpreter, compiler and C library in instructions.json,
with which tests/programs/test_instructions.py compares.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from environment import gil_enabled

KEYS = 1000
WARM_UP = 3
ROUNDS = 10
MARK = "*_has_pauses"
RECORDED = Path(__file__).with_name("instructions.json")
HOT = ["[]", "get", "[]=", "in", "add", "get_many"]

Loop = Callable[[Any, list[Any]], None]


def empty(m: Any, keys: list[Any]) -> None:
    for _ in keys:
        pass


def get(m: Any, keys: list[Any]) -> None:
    for key in keys:
        m[key]


def get_method(m: Any, keys: list[Any]) -> None:
    for key in keys:
        m.get(key)


def store(m: Any, keys: list[Any]) -> None:
    for key in keys:
        m[key] = None


def store_same(m: Any, keys: list[Any]) -> None:
    for key in keys:
        m[key] = 0


def contains(m: Any, keys: list[Any]) -> None:
    for key in keys:
        key in m  # noqa: B015


def add(m: Any, keys: list[Any]) -> None:
    for key in keys:
        m.add(key)


def insert_and_delete(m: Any, keys: list[Any]) -> None:
    for key in keys:
        m["x"] = key
        del m["x"]


def get_many(m: Any, keys: list[Any]) -> None:
    m.get_many(keys)


def lock(m: Any, keys: list[Any]) -> None:
    for key in keys:
        with m.lock(key):
            pass


def keep(key: Any, value: Any) -> Any:
    return value


def compute(m: Any, keys: list[Any]) -> None:
    for key in keys:
        m.compute(key, keep)


def setdefault(m: Any, keys: list[Any]) -> None:
    for key in keys:
        m.setdefault(key, 0)


OPERATIONS: dict[str, Loop] = {
    "[]": get,
    "get": get_method,
    "[]=": store,
    "[]= the same": store_same,
    "in": contains,
    "add": add,
    "insert, del": insert_and_delete,
    "setdefault": setdefault,
    "get_many": get_many,
    "lock": lock,
    "compute": compute,
}
KINDS: dict[str, Callable[[int], Any]] = {
    "str": lambda n: f"key-{n}",
    "int": lambda n: n * 7 + 1000,
    "tuple": lambda n: (n, f"x{n}"),
}
NOT_OF_DICT = ("add", "get_many", "lock", "compute")
ONLY_STR = ("add", "get_many", "lock", "compute", "setdefault", "insert, del")


def cases(target: str, wanted: list[str]) -> list[tuple[str, str]]:
    """(operation, kind of keys); the empty loop first."""
    operations = wanted or [name for name in OPERATIONS if target != "dict" or name not in NOT_OF_DICT]
    return [("empty", "str")] + [
        (operation, kind) for operation in operations for kind in (["str"] if operation in ONLY_STR else KINDS)
    ]


def run(target: str, wanted: list[str]) -> None:
    """The program that is counted. callgrind writes a part of its output each time _has_pauses() is entered."""
    from shardmap import ShardMap, _core

    for operation, kind in cases(target, wanted):
        make = KINDS[kind]
        m: Any = {} if target == "dict" else ShardMap()
        for n in range(KEYS):
            m[make(n)] = 0
        keys = [make(n) for n in range(KEYS)]
        loop = OPERATIONS.get(operation, empty)
        for _ in range(WARM_UP):  # until the interpreter has specialized the loop
            loop(m, keys)
        _core._has_pauses()
        for _ in range(ROUNDS):
            loop(m, keys)
        _core._has_pauses()


def measure(target: str, wanted: list[str]) -> dict[str, int]:
    """Instructions by operation and kind of keys."""
    with tempfile.TemporaryDirectory() as directory:
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/out", f"--dump-before={MARK}"]
        done = subprocess.run(
            [*valgrind, sys.executable, str(Path(__file__).resolve()), "--map", target, "--run", *wanted],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        parts = sorted(Path(directory).glob("out.*"), key=lambda part: int(part.suffix[1:]))
        totals = [int(re.findall(r"^totals: (\d+)", part.read_text(), re.MULTILINE)[0]) for part in parts]
    # Between two marks there is a loop, or the preparation of the next loop. The last part comes after the last mark.
    each = [total / ROUNDS / KEYS for total in totals[1::2]]
    found = cases(target, wanted)
    if len(each) < len(found):
        raise RuntimeError(f"callgrind wrote {len(parts)} parts: has the extension been stripped of its symbols?")
    costs = {f"{operation} {kind}": cost for (operation, kind), cost in zip(found, each, strict=False)}
    return {name: round(cost - costs["empty str"]) for name, cost in costs.items() if name != "empty str"}


def toolchain() -> str:
    """Everything on which the counts depend, except the sources."""
    gil = "GIL on" if gil_enabled() else "GIL off"
    compiler = subprocess.run(["cc", "-dumpfullversion"], capture_output=True, text=True, check=False).stdout.strip()
    made_by = platform.python_compiler()
    return f"CPython {platform.python_version()} ({gil}, {made_by}), cc {compiler}, {'-'.join(platform.libc_ver())}"


def recorded() -> dict[str, dict[str, int]]:
    """By toolchain, then by operation and kind of keys."""
    found: dict[str, dict[str, int]] = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.is_file() else {}
    return found


def record() -> None:
    everywhere = recorded()
    everywhere[toolchain()] = measure("shardmap", HOT)
    RECORDED.write_text(json.dumps(everywhere, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--map", default="shardmap", choices=["shardmap", "dict"])
    parser.add_argument("--json", type=Path, help="where to write what was counted")
    parser.add_argument("--record", action="store_true", help="keep the counts of the hot operations")
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("operations", nargs="*", help=f"of: {', '.join(OPERATIONS)}; all")
    arguments = parser.parse_args()
    if arguments.run:
        run(arguments.map, arguments.operations)
        return
    if arguments.record:
        record()
        return
    print(f"instructions per operation of a {arguments.map}, Python {sys.version.split()[0]}", flush=True)
    found = measure(arguments.map, arguments.operations)
    for name, count in found.items():
        print(f"{name:20} {count:8,}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
