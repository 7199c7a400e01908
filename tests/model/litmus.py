"""Translates orders.txt to litmus tests and runs herd7: are the orders of accesses strong enough?"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

NEVER, SOMETIMES = "Never", "Sometimes"
HERD_SECONDS = 300.0

ARM64_LOADS = {"load": "LDR", "acquire": "LDAPR"}
ARM64_STORES = {"store": "STR", "release": "STLR"}
ARM64_ADDITIONS = {"add": "LDADD", "add-acquire": "LDADDA", "add-release": "LDADDL"}
RELAXED = {"acquire": "load", "release": "store", "add-acquire": "add", "add-release": "add"}


@dataclass(frozen=True)
class Access:
    kind: str
    variable: str = ""
    value: str = ""  # of a store or an addition: the number; of a load: the name of the loaded value
    result: str = ""  # of an addition: the name of the value before it
    is_needed: bool = False


@dataclass(frozen=True)
class Litmus:
    name: str
    threads: tuple[tuple[Access, ...], ...]
    never: tuple[tuple[str, int], ...]

    def with_one_relaxed(self) -> Iterator[Litmus]:
        """For each access whose order is needed: the test in which that access is relaxed."""
        number = 0
        for i, thread in enumerate(self.threads):
            for j, access in enumerate(thread):
                if access.is_needed:
                    number += 1
                    kept = (replace(access, kind=RELAXED[access.kind]),) if access.kind in RELAXED else ()
                    changed = (*thread[:j], *kept, *thread[j + 1 :])
                    threads = (*self.threads[:i], changed, *self.threads[i + 1 :])
                    yield Litmus(f"{self.name}-without-{number}", threads, self.never)


def read_tests(file: Path) -> list[Litmus]:
    lines = file.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line.rstrip() for line in lines if not line.startswith("#"))
    return [parse(part) for part in re.split(r"\n\s*\n", text) if part.strip()]


def parse(text: str) -> Litmus:
    name, *lines = text.strip().splitlines()
    threads: list[tuple[Access, ...]] = []
    never: list[tuple[str, int]] = []
    for line in lines:
        label, _, rest = line.strip().partition(": ")
        if label == "never":
            never = [(found, int(value)) for found, value in re.findall(r"(\w+)=(\d+)", rest)]
        else:
            threads.append(tuple(parse_access(part.strip()) for part in rest.split(";")))
    return Litmus(name, tuple(threads), tuple(never))


def parse_access(text: str) -> Access:
    kind, *words = text.removesuffix("!").split()
    known = {"fence", *ARM64_LOADS, *ARM64_STORES, *ARM64_ADDITIONS}
    if kind not in known or len(words) != (0 if kind == "fence" else 3 if kind.startswith("add") else 2):
        raise ValueError(f"orders.txt: what is {text!r}?")
    variable, value, result = (*words, "", "", "")[:3]
    return Access(kind, variable, value, result, text.endswith("!"))


def registers(test: Litmus) -> dict[str, tuple[int, int]]:
    """For each name of a loaded value: the thread, and the number of the load in that thread."""
    found = {}
    for i, thread in enumerate(test.threads):
        names = [each.result or each.value for each in thread if each.kind in ARM64_LOADS or each.result]
        found.update({name: (i, number) for number, name in enumerate(names)})
    return found


def columns(programs: list[list[str]]) -> str:
    numbers = [f"P{i}" for i in range(len(programs))]
    return "\n".join(f" {' | '.join(row)} ;" for row in (numbers, *zip_longest(*programs, fillvalue="")))


def arm64(test: Litmus) -> str:
    where = registers(test)
    initial, programs = [], []
    for i, thread in enumerate(test.threads):
        variables = sorted({access.variable for access in thread if access.variable})
        address = {name: f"X{10 + number}" for number, name in enumerate(variables)}
        initial += [f"{i}:{register}={name};" for name, register in address.items()]
        lines = []
        for access in thread:
            place = f"[{address[access.variable]}]" if access.variable else ""
            if access.kind == "fence":
                lines.append("DMB ISH")
            elif access.kind in ARM64_LOADS:
                lines.append(f"{ARM64_LOADS[access.kind]} W{where[access.value][1]},{place}")
            elif access.kind in ARM64_STORES:
                lines += [f"MOV W20,#{access.value}", f"{ARM64_STORES[access.kind]} W20,{place}"]
            else:
                addition = ARM64_ADDITIONS[access.kind]
                lines += [f"MOV W20,#{access.value}", f"{addition} W20,W{where[access.result][1]},{place}"]
        programs.append(lines)
    wanted = " /\\ ".join(f"{where[name][0]}:X{where[name][1]}={value}" for name, value in test.never)
    return f"AArch64 {test.name}\n{{ {' '.join(initial)} }}\n{columns(programs)}\nexists ({wanted})\n"


def x86_64(test: Litmus) -> str:
    """Every load and store is a MOV on x86-64. herd7 has no XADD, so additions become XCHG. That is a locked
    instruction, too, and all additions to one variable add the same number."""
    where = registers(test)
    names = ("AX", "BX", "CX")
    programs = []
    for thread in test.threads:
        lines = []
        for access in thread:
            if access.kind == "fence":
                lines.append("MFENCE")
            elif access.kind in ARM64_LOADS:
                lines.append(f"MOV E{names[where[access.value][1]]},[{access.variable}]")
            elif access.kind in ARM64_STORES:
                lines.append(f"MOV [{access.variable}],${access.value}")
            else:
                register = f"E{names[where[access.result][1]]}"
                lines += [f"MOV {register},${access.value}", f"XCHG [{access.variable}],{register}"]
        programs.append(lines)
    wanted = " /\\ ".join(f"{i}:E{names[number]}={value}" for name, value in test.never for i, number in [where[name]])
    return f"X86 {test.name}\n{{ }}\n{columns(programs)}\nexists ({wanted})\n"


def check(herd7: str, tests: list[Litmus], folder: Path) -> list[str]:
    """Runs all tests; returns a message for each unexpected result."""
    expected = {}
    files: list[Path] = []
    for test in tests:
        programs = {f"{test.name}-arm64": (arm64(test), NEVER), f"{test.name}-x86-64": (x86_64(test), NEVER)}
        programs |= {f"{weaker.name}-arm64": (arm64(weaker), SOMETIMES) for weaker in test.with_one_relaxed()}
        for name, (program, answer) in programs.items():
            expected[name] = answer
            files.append(folder / f"{name}.litmus")
            files[-1].write_text(program.replace(program.split()[1], name, 1), encoding="utf-8")
    done = subprocess.run([herd7, *files], capture_output=True, text=True, timeout=HERD_SECONDS, check=False)
    assert done.returncode == 0, f"herd7 cannot read what is in {folder}: {done.stderr}"
    found = dict(re.findall(r"^Observation (\S+) (\w+) ", done.stdout, re.MULTILINE))
    return [
        f"{name}: herd7 says {found.get(name, 'nothing')}, not {answer}"
        for name, answer in expected.items()
        if found.get(name) != answer
    ]
