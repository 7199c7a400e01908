"""The tools behind `make`: what decides, without a network, a build or an emulator."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "tools").is_dir():
    pytest.skip("the tools are not part of a wheel's tests", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from harness import arm64  # noqa: E402
from tools import commands, debian, free_threaded, run  # noqa: E402
from tools.commands import Failure  # noqa: E402


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache, no programs but a shell's, and a log directory of its own."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PYTHON_FREETHREADED", raising=False)
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    monkeypatch.setattr(free_threaded, "NAMES", ("python3.14t-here", "python3.13t-here"))
    return tmp_path


# --- the free-threaded CPython --------------------------------------------------------------------


def python_t(path: Path, version: str) -> Path:
    """Answers as a free-threaded CPython does."""
    return program(path, f"echo {version}")


def test_the_newest_on_the_path_is_taken_then_what_uv_and_a_build_left(machine: Path) -> None:
    assert free_threaded.find() == (free_threaded.MISSING, free_threaded.MISSING)
    built = python_t(machine / "cache/shardmap/python/cpython-3.13.5t-here/bin/python3.13t", "3.13t")
    assert free_threaded.find() == (str(built), "3.13t")
    by_uv = python_t(machine / "cache/shardmap/uv/python/cpython-3.14.2/bin/python3.14t", "3.14t")
    assert free_threaded.find() == (str(by_uv), "3.14t")
    older = python_t(machine / "bin/python3.13t-here", "3.13t")
    assert free_threaded.find() == (str(older), "3.13t")
    newer = python_t(machine / "bin/python3.14t-here", "3.14t")
    assert free_threaded.find() == (str(newer), "3.14t")
    program(newer, "exit 1")
    assert free_threaded.find() == (str(older), "3.13t")


def test_the_one_that_is_named_is_taken_or_refused(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_FREETHREADED", str(python_t(machine / "mine", "3.15t")))
    assert free_threaded.find() == (str(machine / "mine"), "3.15t")
    monkeypatch.setenv("PYTHON_FREETHREADED", str(machine / "none"))
    with pytest.raises(Failure, match="is not a working free-threaded CPython"):
        free_threaded.find()


def test_this_python_is_free_threaded_or_not() -> None:
    is_free_threaded = "t" in sys.abiflags
    wanted = "{}.{}t".format(*sys.version_info) if is_free_threaded else None
    assert free_threaded.version(sys.executable) == wanted


def test_uv_is_asked_before_one_is_built(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = machine / "cache/shardmap/uv/python/cpython-3.14.2/bin/python3.14t"
    monkeypatch.setattr(debian, "build_cpython", lambda: pytest.fail("built, although uv has one"))
    program(
        machine / "bin/uv", f'mkdir -p {result.parent}; printf "#!/bin/sh\\necho 3.14t" > {result}; chmod +x {result}'
    )
    assert free_threaded.get(Path("no-pip-is-needed")) == str(result)


def test_one_is_built_where_uv_fails(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    result = machine / "cache/shardmap/python/cpython-3.13.5t-here/bin/python3.13t"
    program(machine / "bin/uv", "echo no network; exit 2")
    monkeypatch.setattr(debian, "build_cpython", lambda: python_t(result, "3.13t"))
    assert free_threaded.get(Path("no-pip-is-needed")) == str(result)
    assert "uv cannot install one here" in capfd.readouterr().out


# --- Debian -------------------------------------------------------------------------------------


def test_packages_that_are_missing_are_named_once(machine: Path) -> None:
    debian.require("a shell", {"sh": "dash"})
    with pytest.raises(Failure, match=r"for both, Debian's packages are needed: apt-get install one two$"):
        debian.require("both", {"no-such-1": "one", "no-such-2": "two", "no-such-3": "one"})


def test_packages_are_unpacked_once_and_whole(machine: Path) -> None:
    """apt-get and dpkg-deb write what they were told."""
    told = machine / "told"
    download = 'for each; do case "$each" in -oDir::Cache=*) touch "${each#*=}/archives/a.deb";; esac; done'
    program(machine / "bin/apt-get", f'echo "$@" >> {told}; {download}')
    program(machine / "bin/dpkg-deb", 'mkdir -p "$3"; touch "$3/file"')
    for _ in range(2):
        assert debian.unpacked(["a", "b"], machine / "target", "Of::It=yes") == machine / "target"
    assert [each.name for each in (machine / "target").iterdir()] == ["file"]
    update, install = told.read_text().splitlines()
    assert update.endswith(" -oOf::It=yes update")
    assert install.endswith(" --yes --download-only install a b")
    program(machine / "bin/dpkg-deb", "exit 1")
    with pytest.raises(subprocess.CalledProcessError):
        debian.unpacked(["a"], machine / "other")
    assert not (machine / "other").exists()
    assert list((machine / "cache/shardmap").iterdir()) == []


def test_a_machine_without_an_archive_of_debian(machine: Path) -> None:
    program(machine / "bin/apt-get", "echo http://archive.example/ubuntu/")
    with pytest.raises(Failure, match="not set up with an archive of Debian"):
        debian.source("python3.13", machine)


def test_a_program_is_run_under_the_name_of_its_script(machine: Path) -> None:
    program(machine / "bin" / arm64.QEMU, "printf '%s\\n' \"$@\"")
    script, link = machine / "a folder" / "python", machine / "link"
    program(script, arm64.script_of(machine / "a folder" / "python3.11"))
    link.symlink_to(script)  # as an environment's
    command = [str(link), "-c", "an argument; $more"]
    done = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert done[:3] == ["-0", str(link), "-L"]
    assert done[4:] == [str(machine / "a folder" / "python3.11"), "-c", "an argument; $more"]


# --- running ------------------------------------------------------------------------------------


def test_a_command_that_fails_shows_the_end_of_its_log(machine: Path) -> None:
    with pytest.raises(
        Failure, match=r"two words: failed \(exit status 3\)\nlast line\nthe whole log: .*two-words\.log"
    ):
        commands.run_logged("two words", ["sh", "-c", "echo last line; exit 3"])
    commands.run_logged("variables", ["sh", "-c", 'test "$HERE" = yes'], env={"HERE": "yes"})


def test_a_slow_command_shows_progress(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "PROGRESS_SECONDS", 0.05)
    commands.run_logged("slow", ["sleep", "0.3"])
    assert re.search(r"==> slow\n    \.\.\. \d+ s\n", capfd.readouterr().out)


PAGE = "CONTRIBUTING.md"
ENDS_OF_TASKS = {"wheel-test"}  # `make wheel` runs it last
FOR_USERS = {"demo", "web", "clean", "help", "sdist"}

NOX = """
case "$*" in
  *--list*) cat "$0.listed" ;;
  *) echo "$@" >> "$0.ran"; if test -n "$PYTHON_FREETHREADED"; then echo "with $PYTHON_FREETHREADED" >> "$0.ran"; fi ;;
esac
"""


def test_sessions_that_wait_for_a_free_threaded_python_run_last(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nox = program(machine / "nox", NOX)
    listed = machine / "nox.listed"
    missing = f'{{"session": "test(none)", "python": "{free_threaded.MISSING}"}}'
    listed.write_text(f'[{missing}, {{"session": "test(3.11)", "python": "/here"}}]')
    monkeypatch.setattr(run, "install_nox", lambda: str(nox))

    def get(pip_python: Path) -> str:
        listed.write_text(listed.read_text().replace(free_threaded.MISSING, "/there").replace("none", "3.14t"))
        return "/there"

    monkeypatch.setattr(free_threaded, "get", get)
    before = dict(os.environ)
    try:
        assert run.main(["test", "--", "-x"]) == 0
    finally:
        os.environ.clear()
        os.environ.update(before)
    first, second, python = (machine / "nox.ran").read_text().splitlines()
    assert first.endswith("--session test(3.11) -- -x")
    assert second.endswith("--session test(3.14t) -- -x")
    assert python == "with /there"


def test_an_old_python_is_refused_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 2))
    with pytest.raises(Failure, match=r"is older than Python 3\.11\. Name another: make test PYTHON="):
        run.main(["test", "--"])


def test_every_session_has_a_task_and_every_task_is_described() -> None:
    makefile, noxfile, page = ((ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "noxfile.py", PAGE))
    tasks = set(re.findall(r"^TASKS := (.*)$", makefile, re.MULTILINE)[0].split())
    functions = re.findall(r"^def (?:on_)?(\w+)\(session: nox.Session\) -> None:", noxfile, re.MULTILINE)
    assert {name.replace("_", "-") for name in functions} - ENDS_OF_TASKS == tasks - {"clean", "help", "workflows"}
    assert [each for each in sorted(tasks - FOR_USERS) if f"make {each}`" not in page] == []


def test_no_process_is_left_when_a_task_is_ended(machine: Path) -> None:
    """The session's command has a child, which ends only if it is killed."""
    child = f"trap '' INT TERM; echo $$ > {machine / 'child'}; while :; do sleep 0.1; done"
    nox = program(machine / "nox", f'sh -c "{child.replace("$", chr(92) + "$")}" & wait')
    handler = "import signal; signal.signal(signal.SIGTERM, signal.default_int_handler)"
    script = f"{handler}\nfrom tools import run\nrun.run_nox([{str(nox)!r}])"
    nothing, pipe = subprocess.DEVNULL, subprocess.PIPE
    task = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdin=nothing, stdout=pipe, stderr=nothing)
    while not (machine / "child").exists() or not (machine / "child").read_text().strip():
        assert task.poll() is None
    task.terminate()
    task.communicate(timeout=30)  # The last process that has the pipe ends it.
    assert task.returncode != 0
