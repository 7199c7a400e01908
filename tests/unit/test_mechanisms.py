"""The mechanisms by themselves: programs in C around the headers that hold no Python, on threads, built with the
system's compiler. What each of them asserts is in mechanisms/*.c; `program part-of-a-sentence` runs a part of one."""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which

import pytest

from harness.threads import LONG

PROGRAMS = Path(__file__).parent / "mechanisms"
NAMES = sorted(path.stem for path in PROGRAMS.glob("*.c"))
HEADERS = Path(__file__).parents[2] / "src" / "shardmap"
if not HEADERS.is_dir():
    pytest.skip("a wheel is tested without its sources", allow_module_level=True)

ALWAYS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-pthread", f"-I{HEADERS}")
BUILDS = {
    "plain": ("-O2",),
    "O0": ("-O0",),
    "pauses": ("-O2", "-DSHARDMAP_PAUSES"),
    "macos": ("-O2", "-DSHARDMAP_AS_ON_MACOS"),
    "tsan": ("-O1", "-g", "-fsanitize=thread", "-Wno-error"),  # gcc warns of fences, which it does not follow
    "asan": ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
}
FENCED = {"SHARDMAP_READS": "fenced"}
COUNTER = {"SHARDMAP_STAMP": "counter"}
SLOW = {"SHARDMAP_STAMP": "slow:10"}  # a tick is a microsecond
VARIABLES: dict[str, tuple[dict[str, str], ...]] = {
    "readers": ({}, FENCED),
    "records": ({}, FENCED, {"SHARDMAP_READS": "locked"}),
    "stamps": ({}, COUNTER, SLOW),
}
NO_THREADS = ("hashing", "memory")
NOT_OPTIMIZED = ("atomics", "hashing", "readers", "stamps")  # where it could make a difference


def compiler() -> list[str] | None:
    for candidate in (os.environ.get("CC"), sysconfig.get_config_var("CC"), "cc", "gcc", "clang"):
        words = shlex.split(candidate or "")
        if words and which(words[0]):
            return words
    return None


def compile_c(source: Path, program: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    cc = compiler()
    if cc is None:
        pytest.skip("there is no C compiler")
    return subprocess.run(
        [*cc, *ALWAYS, *flags, str(source), "-o", str(program)],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )


Build = Callable[..., Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Compiles a program, once for each set of flags; skips where the system lacks a sanitizer."""
    folder = tmp_path_factory.mktemp("mechanisms")
    empty = folder / "empty.c"
    empty.write_text("int main(void) { return 0; }\n")

    @functools.cache
    def can_run(*flags: str) -> bool:
        program = folder / "empty"
        if compile_c(empty, program, *flags).returncode != 0:
            return False
        return run(program).returncode == 0

    @functools.cache
    def build(name: str, *flags: str) -> Path:
        sanitizers = [flag for flag in flags if flag.startswith("-fsanitize=")]
        if sanitizers and not can_run(*sanitizers):
            pytest.skip(f"nothing that was compiled with {' '.join(sanitizers)} runs here")
        program = folder / "-".join((name, *(flag.strip("-").replace("=", "-") for flag in flags)))
        done = compile_c(PROGRAMS / f"{name}.c", program, *flags)
        assert done.returncode == 0, done.stderr
        return program

    return build


def inherited() -> dict[str, str]:
    """The environment's variables without those that are for the tests' own process."""
    own = ("LD_PRELOAD",)  # a sanitizer's library, for the interpreter
    return {name: value for name, value in os.environ.items() if not (name.startswith("SHARDMAP_") or name in own)}


def run(program: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    options = {"ASAN_OPTIONS": "allocator_may_return_null=1", "TSAN_OPTIONS": "halt_on_error=1"}
    return subprocess.run(
        [str(program), *arguments],
        env={**inherited(), **options, **variables},
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )


def is_worth_running(name: str, build: str, variables: dict[str, str]) -> bool:
    if build == "tsan" and name in ("readers", "records"):
        return variables != {}  # it knows nothing of membarrier()
    if build == "O0":
        return name in NOT_OPTIMIZED
    return not (name in NO_THREADS and build in ("pauses", "tsan"))


RUNS = [
    pytest.param(name, how, variables, id="-".join((name, how, *variables.values())))
    for name in NAMES
    for how in BUILDS
    for variables in VARIABLES.get(name, ({},))
    if is_worth_running(name, how, variables)
]


@pytest.mark.parametrize(("name", "how", "variables"), RUNS)
def test_mechanism(name: str, how: str, variables: dict[str, str], build: Build) -> None:
    done = run(build(name, *BUILDS[how]), **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    if variables == FENCED:
        assert f"{name}: with a barrier of their own\n" in done.stdout
    if variables in (COUNTER, SLOW):
        assert f"stamps: from {variables['SHARDMAP_STAMP'].partition(':')[0]}\n" in done.stdout


NOTICED = [
    ("readers", "MUTANT_NO_WAIT", "a block is not freed while a reader looks at it"),
    ("readers", "MUTANT_NO_WAIT", "a reader that stays inside keeps who waits waiting"),
    ("readers", "MUTANT_SAYS_NOTHING", "a block is not freed while a reader looks at it"),
    ("readers", "MUTANT_SAYS_NOTHING", "many readers inside are all waited for"),
    ("hashing", "MUTANT_LOW_BITS", "patterns are spread over the shards"),
    ("stamps", "MUTANT_OWN_STAMPS", "a later insertion has the greater stamp, after a flag"),
    ("stamps", "MUTANT_OWN_STAMPS", "a later insertion has the greater stamp, after a mutex"),
    ("system", "MUTANT_NO_MUTEX", "a mutex lets in one thread at a time"),
]


@pytest.mark.parametrize(("name", "mutant", "sentence"), NOTICED)
def test_what_is_wrong_is_noticed(name: str, mutant: str, sentence: str, build: Build) -> None:
    """With the mechanism left out: else the tests above would say nothing."""
    done = run(build(name, "-O2", "-DSHARDMAP_PAUSES", f"-D{mutant}"), sentence)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{name}: {sentence} ... FAILED\n{PROGRAMS / name}.c:" in done.stdout


def test_a_stamp_that_is_taken_before_the_clock_has_gone_on_is_noticed(build: Build) -> None:
    sentence = "a later insertion has the greater stamp, after a mutex"
    program = build("stamps", "-O2", "-DMUTANT_NO_TICK")
    assert run(program, sentence, **SLOW).returncode == 1
    assert run(build("stamps", "-O2"), sentence, **SLOW).returncode == 0


# What the pages of the whole process show is about the emulator.
ONLY = {"memory": ("memory is aligned and ours", "tables of any size")}
ARM64 = ("aarch64-linux-gnu-gcc", "qemu-aarch64-static")  # of Debian: gcc-aarch64-linux-gnu, qemu-user-static


@pytest.mark.skipif(not all(map(which, ARM64)), reason=f"needs {' and '.join(ARM64)}")
@pytest.mark.parametrize("name", NAMES)
def test_mechanism_on_arm64_by_emulation(name: str, tmp_path: Path) -> None:
    """What it shows is that the code is right there as far as one processor sees it: an emulator on x86-64 reorders no
    memory accesses."""
    program = tmp_path / name
    compiled = [ARM64[0], *ALWAYS, "-O2", "-static", str(PROGRAMS / f"{name}.c"), "-o", str(program)]
    subprocess.run(compiled, check=True, timeout=LONG)
    for sentence in ONLY.get(name, ("",)):
        command = [ARM64[1], str(program), *filter(None, [sentence])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=False, env={**FENCED})
        assert done.returncode == 0, done.stdout + done.stderr
        assert name != "stamps" or "stamps: from cntvct_el0\n" in done.stdout


WINDOWS = ("x86_64-w64-mingw32-gcc", "wine", "wineserver")  # of Debian: gcc-mingw-w64-x86-64, wine
needs_wine = pytest.mark.skipif(not all(map(which, WINDOWS)), reason=f"needs {', '.join(WINDOWS)}")
WINDOWS_BUILDS = {
    "plain": ("-O2",),
    # By the intrinsics that Microsoft's compiler has, as far as others have them, too.
    "msvc": ("-O2", "-DSM_USE_MSVC_INTRINSICS", "-DSHARDMAP_PAUSES"),
    "debug": ("-O1", "-DSHARDMAP_DEBUG"),
}
NOT_PLAIN = {"msvc": ("atomics", "readers"), "debug": ("records", "system")}
WINDOWS_RUNS = [
    pytest.param(name, how, variables, id="-".join((name, how, *variables.values())))
    for name in NAMES
    for how in WINDOWS_BUILDS
    for variables in VARIABLES.get(name, ({},))
    # Not every version of wine has FlushProcessWriteBuffers(): what readers are without it is not tested.
    if name in NOT_PLAIN.get(how, (name,)) and not (name == "readers" and variables == {})
]


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Compiles a program for Windows and runs it, in a Windows of its own."""
    folder = tmp_path_factory.mktemp("wine")
    prefix = {"WINEPREFIX": str(folder), "WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree,mshtml="}

    @functools.cache
    def compiled(name: str, *flags: str) -> Path:
        program = folder / ("-".join((name, *(flag.strip("-") for flag in flags))) + ".exe")
        command = [WINDOWS[0], *ALWAYS, "-static", *flags, str(PROGRAMS / f"{name}.c"), "-o", str(program)]
        subprocess.run(command, check=True, timeout=LONG)
        return program

    def run_there(
        name: str, flags: tuple[str, ...], *arguments: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        # Into a file: services that wine starts have a pipe open for seconds after the program has ended.
        with (folder / "output.txt").open("w+") as output:
            done = subprocess.run(
                [WINDOWS[1], str(compiled(name, *flags)), *arguments],
                env={**inherited(), **prefix, **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                timeout=LONG,
                check=False,
            )
            output.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, output.read(), "")

    yield run_there
    subprocess.run([WINDOWS[2], "-k"], env={**inherited(), **prefix}, check=False, timeout=LONG)


Wine = Callable[..., subprocess.CompletedProcess[str]]


@needs_wine
@pytest.mark.parametrize(("name", "how", "variables"), WINDOWS_RUNS)
def test_mechanism_on_windows_by_wine(name: str, how: str, variables: dict[str, str], wine: Wine) -> None:
    """What it shows is that the functions of Windows are called right, as wine has them."""
    done = wine(name, WINDOWS_BUILDS[how], **variables)
    assert done.returncode == 0, done.stdout
    assert name != "stamps" or variables == SLOW or "stamps: from counter\n" in done.stdout


@needs_wine
@pytest.mark.parametrize(("name", "mutant", "sentence"), [NOTICED[1], NOTICED[-1]])
def test_what_is_wrong_is_noticed_on_windows_by_wine(name: str, mutant: str, sentence: str, wine: Wine) -> None:
    done = wine(name, ("-O2", "-DSHARDMAP_PAUSES", f"-D{mutant}"), sentence, **FENCED)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{name}: {sentence} ... FAILED\n" in done.stdout


def test_a_sentence_that_no_test_has_is_an_error(build: Build) -> None:
    done = run(build("hashing", "-O2"), "no such sentence")
    assert (done.returncode, done.stdout) == (1, "hashing: no test is called that: no such sentence\n")
