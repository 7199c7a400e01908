"""Unit tests of the set-up tooling: what decides, without network or subprocess where possible."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "tools").is_dir():
    pytest.skip("the tools are not part of the sdist", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from tools import (  # noqa: E402
    cpython_build,
    debian_source,
    environments,
    freethreaded,
    instrumented,
    interpreters,
    libraries,
    python_headers,
    release,
    runs,
    shell,
    tasks,
    wheels,
    workflows,
)
from tools.debian_source import AptSource  # noqa: E402
from tools.shell import Failure  # noqa: E402

DEFAULT = interpreters.Interpreter(
    executable="/usr/bin/python3",
    identity="3.11.2 /usr/bin/python3.11 1",
    implementation="CPython",
    version="3.11.2",
    major_minor=(3, 11),
    free_threaded=False,
    zlib=True,
    ssl=True,
    ensurepip=True,
    pip=True,
    headers=True,
    stdlib="/usr/lib/python3.11",
)
FREE = replace(DEFAULT, version="3.13.5", major_minor=(3, 13), free_threaded=True)


# --- apt's source lists -------------------------------------------------------------------------


def test_one_line_sources() -> None:
    text = """
    # deb http://commented.invalid/debian trixie main
    deb http://a.invalid/debian/ bookworm main contrib # the archive
    deb [arch=amd64 signed-by=/etc/key.gpg] https://b.invalid/apt stable main
    deb-src http://c.invalid/debian bookworm main
    nonsense
    """
    assert debian_source.parse_list(text) == [
        AptSource("http://a.invalid/debian", ("bookworm",), ("main", "contrib")),
        AptSource("https://b.invalid/apt", ("stable",), ("main",)),
        AptSource("http://c.invalid/debian", ("bookworm",), ("main",)),
    ]


def test_deb822_sources() -> None:
    text = """Types: deb deb-src
# URIs: http://commented.invalid/debian
URIs: http://a.invalid/debian/ http://b.invalid/debian
Suites: bookworm
 bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 URIs: http://key.invalid

Enabled: no
Types: deb
URIs: http://disabled.invalid/debian
Suites: bookworm
Components: main
"""
    suites = ("bookworm", "bookworm-updates")
    assert debian_source.parse_deb822(text) == [
        AptSource("http://a.invalid/debian", suites, ("main",)),
        AptSource("http://b.invalid/debian", suites, ("main",)),
    ]


def test_likely_archives_come_first_and_once() -> None:
    sources = [
        AptSource("https://vendor.invalid/apt", ("stable",), ("main",)),
        AptSource("http://a.invalid/debian-security", ("bookworm-security",), ("main",)),
        AptSource("http://a.invalid/debian", ("bookworm",), ("main",)),
        AptSource("http://a.invalid/debian", ("bookworm-updates",), ("main",)),
        AptSource("cdrom:[Debian]/debian", ("bookworm",), ("main",)),
        AptSource("http://b.invalid/debian", ("bookworm",), ("contrib",)),
    ]
    assert debian_source.archive_uris(sources) == [
        "http://a.invalid/debian",
        "https://vendor.invalid/apt",
        "http://a.invalid/debian-security",
    ]


def test_all_of_apts_configuration_is_read(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    mirrors = tmp_path / "mirrors"
    mirrors.write_text("http://m.invalid/debian/ priority:1\n# none\n\nhttp://n.invalid/debian\n")
    (tmp_path / "sources.list").write_text("deb http://a.invalid/debian bookworm main\n")
    (parts / "b.list").write_text("deb http://b.invalid/debian bookworm main\n")
    (parts / "c.sources").write_text(
        f"Types: deb\nURIs: mirror+file:{mirrors}\nSuites: bookworm\nComponents: main\n"
    )
    assert debian_source.configured_uris(tmp_path) == [
        "http://a.invalid/debian",
        "http://b.invalid/debian",
        "http://m.invalid/debian",
        "http://n.invalid/debian",
    ]


def test_no_apt_configuration(tmp_path: Path) -> None:
    assert debian_source.configured_uris(tmp_path) == []


# --- the archive's indexes ----------------------------------------------------------------------

SOURCES = """\
Package: python3.13-extras
Directory: pool/main/p/wrong
Checksums-Sha256:
 00 1 python3.13-extras_1.orig.tar.xz

Package: python3.13
Binary: python3.13,
 python3.13-venv
Version: 3.13.5-2+deb13u5
Directory: pool/main/p/python3.13
Files:
 d8 22856016 python3.13_3.13.5.orig.tar.xz
Checksums-Sha256:
 4b 4298 python3.13_3.13.5-2.dsc
 93 22856016 python3.13_3.13.5.orig.tar.xz
 da 963 python3.13_3.13.5.orig.tar.xz.asc
 a5 299640 python3.13_3.13.5-2.debian.tar.xz

Package: native
Directory: pool/main/n/native
Checksums-Sha256:
 11 1 native_1.tar.xz
"""


def test_tarball_of_a_source_package() -> None:
    tarball = debian_source.parse_sources(SOURCES, "python3.13")
    assert tarball == debian_source.Tarball(
        "python3.13", "3.13.5", "pool/main/p/python3.13/python3.13_3.13.5.orig.tar.xz", "93"
    )
    assert tarball.name == "python3.13_3.13.5.orig.tar.xz"


def test_first_package_of_the_index() -> None:
    tarball = debian_source.parse_sources(SOURCES, "python3.13-extras")
    assert (tarball.version, tarball.sha256) == ("1", "00")


@pytest.mark.parametrize("package", ["python3", "pythonX13", "native"])
def test_package_without_upstream_tarball(package: str) -> None:
    with pytest.raises(Failure, match=package):
        debian_source.parse_sources(SOURCES, package)


def test_release_file() -> None:
    text = """-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

Origin: Debian
Suite: stable
MD5Sum:
 ee 10 main/source/Sources.xz
SHA256:
 aa 12 main/binary-amd64/Packages.xz
 bb 10 main/source/Sources.xz
-----BEGIN PGP SIGNATURE-----

iQIz
-----END PGP SIGNATURE-----
"""
    origin, indexes = debian_source.parse_release(text)
    assert origin == "Debian"
    assert indexes == {"main/binary-amd64/Packages.xz": "aa", "main/source/Sources.xz": "bb"}
    assert debian_source.parse_release("<html>proxy</html>") == ("", {})


@pytest.mark.parametrize(
    ("status", "valid"),
    [
        ("[GNUPG:] GOODSIG 1 Debian\n[GNUPG:] VALIDSIG 1 2\n[GNUPG:] NO_PUBKEY 3", True),
        ("[GNUPG:] VALIDSIG 1 2\n[GNUPG:] BADSIG 4", False),
        ("[GNUPG:] EXPKEYSIG 1\n[GNUPG:] VALIDSIG 1 2", True),
        ("[GNUPG:] NO_PUBKEY 3", False),
        ("", False),
    ],
)
def test_signature_status(status: str, valid: bool) -> None:
    assert debian_source.has_valid_signature(status) is valid


def make_archive(root: Path, *, origin: str = "Debian", damage: str = "") -> None:
    """A tiny archive in files, reached by file: URIs."""
    content = b"the tarball"
    checksum = hashlib.sha256(content).hexdigest()
    index = lzma.compress(SOURCES.replace(" 93 ", f" {checksum} ").encode())
    index_row = f"{hashlib.sha256(index).hexdigest()} {len(index)} main/source/Sources.xz"
    release = f"Origin: {origin}\nSHA256:\n {index_row}\n"
    files = {
        "dists/trixie/InRelease": release.encode(),
        "dists/trixie/main/source/Sources.xz": index,
        "pool/main/p/python3.13/python3.13_3.13.5.orig.tar.xz": content,
    }
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data + b"!" if damage and name.endswith(damage) else data)


def open_archive(monkeypatch: pytest.MonkeyPatch, *roots: Path) -> debian_source.Archive:
    monkeypatch.setattr(debian_source, "configured_uris", lambda: [root.as_uri() for root in roots])
    monkeypatch.setattr(debian_source, "check_signature", lambda release: None)
    monkeypatch.setattr(debian_source, "ATTEMPTS", 1)
    return debian_source.Archive()


def test_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_archive(tmp_path / "vendor", origin="Vendor")
    make_archive(tmp_path / "debian")
    archive = open_archive(
        monkeypatch, tmp_path / "missing", tmp_path / "vendor", tmp_path / "debian"
    )
    assert archive.uri == (tmp_path / "debian").as_uri()
    tarball = archive.find("python3.13")
    target = archive.download(tarball, tmp_path / "downloads")
    assert target.read_bytes() == b"the tarball"
    # Verified earlier, so not fetched again.
    (tmp_path / "debian" / tarball.path).unlink()
    assert archive.download(tarball, tmp_path / "downloads") == target
    target.write_bytes(b"cut off")
    with pytest.raises(Failure, match="cannot download"):
        archive.download(tarball, tmp_path / "downloads")


def test_damaged_tarball_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_archive(tmp_path / "debian", damage=".orig.tar.xz")
    archive = open_archive(monkeypatch, tmp_path / "debian")
    with pytest.raises(Failure, match="SHA256"):
        archive.download(archive.find("python3.13"), tmp_path / "downloads")
    assert not list((tmp_path / "downloads").iterdir())


def test_damaged_index_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_archive(tmp_path / "debian", damage="Sources.xz")
    archive = open_archive(monkeypatch, tmp_path / "debian")
    with pytest.raises(Failure, match="SHA256"):
        archive.find("python3.13")


def test_no_archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no archive is configured"):
        open_archive(monkeypatch)
    with pytest.raises(Failure, match="missing"):
        open_archive(monkeypatch, tmp_path / "missing")


# --- interpreters -------------------------------------------------------------------------------


def test_probe_of_this_interpreter() -> None:
    found = interpreters.probe(sys.executable)
    assert found is not None
    assert found.major_minor == sys.version_info[:2]
    assert Path(found.executable).exists()


def test_probe_of_what_does_not_run(tmp_path: Path) -> None:
    shim = tmp_path / "python3.13t"
    shim.write_text("#!/bin/sh\necho 'pyenv: not installed' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert interpreters.probe(shim) is None
    assert interpreters.probe(tmp_path / "missing") is None


@pytest.mark.parametrize("output", ["", "{}", "[]", "not json", json.dumps({"version": "3.13"})])
def test_probe_output_that_is_none(output: str) -> None:
    assert interpreters.parse_probe(output) is None


def test_tags_and_titles() -> None:
    assert (DEFAULT.tag, FREE.tag) == ("cp311", "cp313t")
    assert FREE.title == "CPython 3.13.5 (free-threaded build)"


def test_usable_free_threaded() -> None:
    usable = interpreters.is_usable_free_threaded
    assert usable(FREE)
    assert not usable(None)
    assert not usable(replace(FREE, free_threaded=False))
    assert not usable(replace(FREE, zlib=False))
    assert not usable(replace(FREE, headers=False))
    assert not usable(replace(FREE, implementation="PyPy"))


def test_default_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "probe", lambda executable: DEFAULT)
    assert interpreters.default_interpreter() == DEFAULT
    for unfit in (FREE, replace(DEFAULT, implementation="PyPy"), None):
        monkeypatch.setattr(interpreters, "probe", lambda executable, unfit=unfit: unfit)
        with pytest.raises(Failure):
            interpreters.default_interpreter()


def test_executables_by_name_then_by_path(tmp_path: Path) -> None:
    expected = []
    for place in ("two/python3.14t", "one/python3.13t", "two/python3.13t"):
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
        path.chmod(0o755)
        expected.append(str(path))
    (tmp_path / "one" / "python3.15t").write_text("not executable")
    path_variable = os.pathsep.join([str(tmp_path / "one"), "", str(tmp_path / "two")])
    names = interpreters.FREE_THREADED_NAMES
    assert interpreters.executables_on_path(names, path_variable) == expected


def test_explicit_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_FREETHREADED", "some-python")
    monkeypatch.setattr(freethreaded, "probe", lambda executable: FREE)
    assert freethreaded.find(None) == FREE
    monkeypatch.setattr(freethreaded, "probe", lambda executable: DEFAULT)
    with pytest.raises(Failure, match="some-python"):
        freethreaded.find(None)


def test_missing_headers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert python_headers.build_variables(DEFAULT) == {}
    without = replace(DEFAULT, headers=False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(Failure, match=r"install python3\.11-dev"):
        python_headers.build_variables(without)
    monkeypatch.setattr(python_headers, "_fetched", lambda interpreter: Path("/got"))
    monkeypatch.setenv("CPATH", "/mine")
    variables = python_headers.build_variables(without)
    assert variables == {"CPATH": "/got/usr/include/python3.11:/got/usr/include:/mine"}


def test_order_of_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHON_FREETHREADED", raising=False)
    asked: list[str] = []

    def step(name: str) -> None:
        asked.append(name)

    monkeypatch.setattr(freethreaded, "executables_on_path", lambda names: ["path"])
    monkeypatch.setattr(freethreaded, "_cached", lambda: ["cache"])
    monkeypatch.setattr(freethreaded, "first_usable", lambda names: step(names[0]))
    monkeypatch.setattr(freethreaded, "_with_uv", lambda python: step("uv"))
    monkeypatch.setattr(freethreaded, "_built", lambda: step("build"))
    freethreaded.find(None)
    assert asked == ["path", "cache", "uv", "build"]


def test_installations_newest_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for version in ("3.13.5", "3.13.12"):
        path = tmp_path / "shardmap" / "python" / f"cpython-{version}t-x86_64" / "bin"
        path.mkdir(parents=True)
        for name in ("python3.13t", "python3.13t-config", "python3"):
            (path / name).write_text("")
    found = [path.parts[-3:] for path in cpython_build.installations()]
    assert found == [
        ("cpython-3.13.12t-x86_64", "bin", "python3.13t"),
        ("cpython-3.13.5t-x86_64", "bin", "python3.13t"),
    ]


def test_old_python_is_refused_clearly() -> None:
    # The entry point cannot be run by an old Python here; what it tests can be replaced.
    code = (
        "import runpy, sys; sys.version_info = (3, 10, 1); sys.path.insert(0, '.');"
        "runpy.run_module('tools', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Python 3.11 or later is needed" in done.stderr
    assert "Python 3.10.1" in done.stderr


# --- environments and wheels --------------------------------------------------------------------


def test_dependency_groups() -> None:
    project = {
        "build-system": {"requires": ["setuptools>=77", "cython"]},
        "dependency-groups": {
            "build": ["cython", "wheel"],
            "test": ["pytest"],
            "all": ["pytest", {"include-group": "test"}, {"include-group": "build"}],
            "loop": [{"include-group": "loop"}],
        },
    }
    resolve = environments.resolve_groups
    assert resolve(project, ["all"]) == ["pytest", "cython", "wheel"]
    assert resolve(project, ["build", "test"]) == ["cython", "wheel", "pytest"]
    assert environments.build_requirements(project) == ["setuptools>=77", "cython", "wheel"]
    with pytest.raises(Failure, match="no dependency group missing"):
        resolve(project, ["missing"])
    with pytest.raises(Failure, match="includes itself"):
        resolve(project, ["loop"])


def test_projects_own_groups() -> None:
    project = environments.project_file()
    for group in (*runs.DEFAULT_GROUPS, *runs.FREE_THREADED_GROUPS, "peers", "docs"):
        assert environments.resolve_groups(project, [group])


def test_source_files_leave_out_what_is_generated(tmp_path: Path) -> None:
    names = ["src/p/_core.pyx", "src/p/own.c", "src/p/__init__.py", "setup.py", "README.md"]
    generated = [
        "src/p/_core.c",
        "src/p/_core.cpython-313t.so",
        "src/p/__pycache__/a.py",
        "src/p.egg-info/PKG-INFO",
        "build/x.py",
        "other.txt",
    ]
    for name in names + generated:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    found = wheels.source_files(tmp_path, wheels.WHEEL_SOURCES)
    assert [str(path.relative_to(tmp_path)) for path in found] == sorted(names)


def test_content_hash(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("a")
    two.write_text("b")
    before = wheels.content_hash(tmp_path, [one, two])
    os.utime(one, (0, 0))
    assert wheels.content_hash(tmp_path, [one, two]) == before
    one.write_text("c")
    assert wheels.content_hash(tmp_path, [one, two]) != before
    one.write_text("a")
    assert wheels.content_hash(tmp_path, [one, two]) == before
    assert wheels.content_hash(tmp_path, [two]) != before


def test_unpack(tmp_path: Path) -> None:
    tarball = tmp_path / "p_1.orig.tar.xz"
    with tarfile.open(tarball, "w:xz") as archive:
        entry = tarfile.TarInfo("p-1/configure")
        entry.size = 2
        archive.addfile(entry, io.BytesIO(b"#!"))
    top = cpython_build.unpack(tarball, tmp_path / "work" / "p")
    assert top.name == "p-1"
    assert (top / "configure").read_bytes() == b"#!"


# --- wheels for others --------------------------------------------------------------------------

TOOLS = environments.Environment(DEFAULT, "package")


def pretend(monkeypatch: pytest.MonkeyPatch, repaired: str | None = None) -> list[list[str]]:
    """Let nothing be run; returns what would have been. auditwheel leaves a file of this name."""
    commands: list[list[str]] = []

    def note(label: str, command: shell.Command, log: Path, **options: object) -> None:
        commands.append([str(part) for part in command])
        if repaired and "repair" in command:
            target = Path(commands[-1][commands[-1].index("--wheel-dir") + 1])
            target.mkdir(parents=True)
            (target / repaired).write_bytes(b"repaired")

    monkeypatch.setattr(release, "run_logged", note)
    return commands


def test_what_a_clean_environment_runs_exists_each_once() -> None:
    assert [name for name in release.test_files() if not (ROOT / name).is_file()] == []
    assert len(set(release.TESTS)) == len(release.TESTS)


@pytest.mark.parametrize(
    ("platform", "name", "content"),
    [
        ("linux", "p-1-cp313-cp313t-manylinux_2_34_x86_64.whl", b"repaired"),
        ("linux", "p-1-cp313-cp313t-musllinux_1_2_x86_64.whl", b"repaired"),
        ("darwin", "p-1-cp313-cp313t-linux_x86_64.whl", b"built"),  # as it was
    ],
)
def test_a_wheel_gets_a_tag_that_says_where_it_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, name: str, content: bytes
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(release, "BUILD", tmp_path / "build")
    pretend(monkeypatch, name)
    wheel = tmp_path / "p-1-cp313-cp313t-linux_x86_64.whl"
    wheel.write_bytes(b"built")
    found = release.repair(wheel, TOOLS, tmp_path / "dist")
    assert (found, found.read_bytes()) == (tmp_path / "dist" / name, content)


def test_a_wheel_for_this_machine_only_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(release, "BUILD", tmp_path / "build")
    pretend(monkeypatch, "p-1-cp313-cp313t-linux_x86_64.whl")
    wheel = tmp_path / "p-1-cp313-cp313t-linux_x86_64.whl"
    wheel.touch()
    with pytest.raises(Failure, match="no manylinux or musllinux tag"):
        release.repair(wheel, TOOLS, tmp_path / "dist")


def test_what_is_checked(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    commands = pretend(monkeypatch)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(release, "capture", lambda command: "needs\n  little")
    release.check([Path("p.tar.gz"), Path("p.whl")], TOOLS)
    assert [(Path(name).name, *rest) for name, *rest in commands] == [
        ("twine", "check", "--strict", "p.tar.gz", "p.whl"),
        ("check-wheel-contents", "p.whl"),
    ]
    assert capfd.readouterr().out == "==> auditwheel show: needs little\n"
    monkeypatch.setattr(release, "capture", lambda command: None)
    with pytest.raises(Failure, match=r"auditwheel cannot say what p\.whl needs"):
        release.check([Path("p.whl")], TOOLS)


# --- tests of libraries ---------------------------------------------------------------------------


def test_tests_that_are_not_installed_come_from_the_sdist_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(libraries, "SOURCES", tmp_path / "libraries")
    monkeypatch.setattr(libraries, "capture", lambda command: "1.2\n")
    asked: list[list[str]] = []

    def download(label: str, command: list[object], log: Path) -> None:
        asked.append([str(part) for part in command])
        (tmp_path / "libraries" / "stage").mkdir(parents=True)
        with tarfile.open(tmp_path / "libraries" / "stage" / "cachetools-1.2.tar.gz", "w:gz") as archive:
            entry = tarfile.TarInfo("cachetools-1.2/tests/a")
            entry.size = 4
            archive.addfile(entry, io.BytesIO(b"test"))

    monkeypatch.setattr(libraries, "run_logged", download)
    libraries.fetch_tests([TOOLS, TOOLS], TOOLS)
    assert [command[-1] for command in asked] == ["cachetools==1.2"]
    assert [path.name for path in (tmp_path / "libraries").iterdir()] == ["cachetools-1.2"]
    assert (tmp_path / "libraries" / "cachetools-1.2" / "tests" / "a").read_text() == "test"
    monkeypatch.setattr(libraries, "capture", lambda command: None)
    with pytest.raises(Failure, match="cachetools is not installed"):
        libraries.fetch_tests([TOOLS], TOOLS)


# --- workflows ----------------------------------------------------------------------------------

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
needs_workflows = pytest.mark.skipif(not FILES, reason="the workflows are not part of the sdist")


@needs_workflows
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_a_workflow_uses_is_pinned_and_there(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    assert [each for each in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)] == []
    assert set(re.findall(r"run: make ([a-z-]+)", text)) <= set(tasks.TASKS)
    groups = {*re.findall(r"--group ([a-z]+)", text), *re.findall(r"'(cibuildwheel[\w-]*)'", text)}
    assert groups <= set(environments.project_file()["dependency-groups"])
    assert re.search(r"^permissions:\n  contents: read\n", text, re.MULTILINE)


def test_wheels_are_wanted_for_all_that_is_promised() -> None:
    classifiers = [f"Programming Language :: Python :: {each}" for each in ("3", "3.13", "3.14")]
    project = {"project": {"classifiers": classifiers}}
    assert workflows.wanted_wheels(project, "macos", "arm64") == {
        "cp313-macosx_arm64",
        "cp314-macosx_arm64",
        "cp314t-macosx_arm64",
    }
    assert len(workflows.wanted_wheels(project, "linux", "x86_64")) == 6
    with pytest.raises(Failure, match="no classifier"):
        workflows.wanted_wheels({"project": {"classifiers": []}}, "linux", "x86_64")


def test_wheels_that_are_missing_are_a_failure(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(workflows, "run", lambda command: int("zizmor" in Path(command[0]).name))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    project = environments.project_file()
    promised = workflows.wanted_wheels(project, "linux", "aarch64")
    monkeypatch.setattr(workflows, "PLATFORMS", {"linux": ("x86_64", "aarch64")})
    monkeypatch.setattr(workflows, "capture", lambda command: " ".join(promised))
    failed = workflows.check(environments.Environment(DEFAULT, "workflows"))
    assert failed[0] == "zizmor"
    assert len(failed) == 2
    assert "linux x86_64" in failed[1]
    assert "no actionlint" in capfd.readouterr().out
    monkeypatch.setattr(workflows, "capture", lambda command: None)
    with pytest.raises(Failure, match="cibuildwheel finds fault"):
        workflows.built_wheels(environments.Environment(DEFAULT, "workflows"), "linux", "x86_64")


# --- instrumented builds ------------------------------------------------------------------------

INSTRUMENTS = (instrumented.PAUSES, instrumented.ASAN, instrumented.TSAN)


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda instrument: instrument.name)
def test_an_instrument_names_tests_that_exist_each_once(instrument: instrumented.Instrument) -> None:
    assert [name for name in instrument.test_files if not (ROOT / name).is_file()] == []
    assert len(set(instrument.test_files)) == len(instrument.test_files)


def test_an_instrumented_build_has_an_environment_of_its_own() -> None:
    ordinary = environments.Environment(FREE)
    paths = {environments.Environment(FREE, each.name).path for each in INSTRUMENTS}
    assert (ordinary.name, environments.Environment(FREE, "asan").name) == ("cp313t", "cp313t-asan")
    assert len(paths | {ordinary.path}) == len(INSTRUMENTS) + 1


def test_objects_are_watched_only_where_their_allocator_can_be_chosen() -> None:
    with_gil = instrumented.asan_variables(DEFAULT, "/lib/libasan.so")
    free = instrumented.asan_variables(FREE, "/lib/libasan.so")
    assert with_gil.pop("PYTHONMALLOC") == "malloc"
    assert with_gil == free
    assert free["LD_PRELOAD"] == "/lib/libasan.so"


@pytest.mark.parametrize("answer", [None, "libasan.so\n"])
def test_a_compiler_without_address_sanitizer(monkeypatch: pytest.MonkeyPatch, answer: str | None) -> None:
    monkeypatch.setenv("CC", "some-cc -pipe")
    monkeypatch.setattr(instrumented, "capture", lambda command: answer)
    with pytest.raises(Failure, match="some-cc -pipe has no libasan"):
        instrumented.asan_library()


def test_reports_are_shown_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(instrumented, "BUILD", tmp_path / "build")
    monkeypatch.setattr(instrumented, "ROOT", tmp_path)
    instrumented.clear_reports(instrumented.TSAN)
    assert instrumented.show_reports(instrumented.TSAN) == []
    (tmp_path / "build" / "reports" / "tsan.123").write_text("data race")
    (tmp_path / "build" / "reports" / "asan.123").write_text("another's")
    assert instrumented.show_reports(instrumented.TSAN) == ["build/reports/tsan.123"]
    assert capfd.readouterr().out == "data race\n"
    instrumented.clear_reports(instrumented.TSAN)
    assert instrumented.show_reports(instrumented.TSAN) == []


def test_thread_sanitizer_needs_a_python_built_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    configured = {"plain": "'--disable-gil'", "tsan": "'--disable-gil' '--with-thread-sanitizer'"}
    monkeypatch.delenv("SHARDMAP_TSAN_PYTHON", raising=False)
    monkeypatch.setattr(instrumented, "executables_on_path", lambda names: ["missing", "plain", "tsan"])
    monkeypatch.setattr(instrumented, "capture", lambda command: configured.get(command[0]))
    monkeypatch.setattr(instrumented, "probe", lambda name: replace(FREE, executable=name))
    assert instrumented.find_tsan_python().executable == "tsan"
    monkeypatch.setenv("SHARDMAP_TSAN_PYTHON", "plain")
    with pytest.raises(Failure, match=r"SHARDMAP_TSAN_PYTHON=plain is no .*(?s:.)*--with-thread-sanitizer"):
        instrumented.find_tsan_python()
    monkeypatch.delenv("SHARDMAP_TSAN_PYTHON")
    monkeypatch.setattr(instrumented, "executables_on_path", lambda names: ["plain"])
    with pytest.raises(Failure, match=r"looked for python3\.15t(?s:.)*--with-thread-sanitizer"):
        instrumented.find_tsan_python()


def test_a_report_fails_the_run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    built: list[object] = []
    monkeypatch.setattr(wheels, "install_wheel", lambda environment, variables, change: built.append(variables))
    monkeypatch.setattr(tasks, "run_pytest", lambda found, arguments, variables: [])
    monkeypatch.setattr(instrumented, "clear_reports", lambda instrument: None)
    monkeypatch.setattr(instrumented, "show_reports", lambda instrument: ["build/reports/tsan.1"])
    environment = environments.Environment(FREE, "tsan")
    assert tasks.run_instrumented(instrumented.TSAN, [environment], []) == 1
    assert built == [instrumented.TSAN.build_variables]
    assert capfd.readouterr().err == "error: failed: build/reports/tsan.1\n"


# --- running ------------------------------------------------------------------------------------


def test_cache_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert shell.cache_directory() == tmp_path / "shardmap"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert shell.cache_directory() == Path.home() / ".cache" / "shardmap"


def test_failed_command_shows_its_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "logs" / "step.log"
    with pytest.raises(Failure) as failure:
        shell.run_logged("a step", ["sh", "-c", "echo the reason; exit 3"], log)
    assert "the reason" in str(failure.value)
    assert str(log) in str(failure.value)
    assert capfd.readouterr().out == "==> a step\n"


def test_slow_command_shows_progress_and_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shell, "PROGRESS_INTERVAL", 0.05)
    with pytest.raises(Failure, match="no end after"):
        shell.run_logged("a step", ["sleep", "60"], tmp_path / "log", timeout=0.2)
    assert "... 0 s" in capfd.readouterr().out


def test_missing_command(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot run"):
        shell.run_logged("a step", [tmp_path / "missing"], tmp_path / "log")


def test_lock_keeps_others_out(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "lock"
    with shell.locked(path), path.open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_environment_is_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "src")
    monkeypatch.setenv("PIP_INDEX_URL", "kept")
    environment = shell.clean_environment({"EXTRA": "1"})
    assert "PYTHONPATH" not in environment
    assert environment["PIP_INDEX_URL"] == "kept"
    assert environment["EXTRA"] == "1"


@pytest.mark.parametrize(("arguments", "status"), [(["help"], 0), ([], 0), (["no-such-task"], 2)])
def test_tasks_by_name(arguments: list[str], status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "stop_on_sigterm", lambda: None)
    assert tasks.main(arguments) == status


def test_failure_is_an_exit_status(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: runs.Arguments) -> int:
        raise Failure("no luck")

    monkeypatch.setattr(tasks, "stop_on_sigterm", lambda: None)
    monkeypatch.setitem(tasks.TASKS, "test", fail)
    assert tasks.main(["test"]) == 1
    assert capfd.readouterr().err == "error: no luck\n"
    assert runs.finish(["ruff check"]) == 1
    assert runs.finish([]) == 0


def test_makefile_has_every_task() -> None:
    makefile = (ROOT / "Makefile").read_text()
    line = next(line for line in makefile.splitlines() if line.startswith("TASKS :="))
    assert set(line.partition(":=")[2].split()) == set(tasks.TASKS)
