"""The wheel and the sdist, as a stranger gets them."""

from __future__ import annotations

import email
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import shardmap

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "setup.py").is_file():
    pytest.skip("there is nothing to build here", allow_module_level=True)

USE = """
import pickle, threading
from shardmap import ShardMap
m = ShardMap(a=1)
threads = [threading.Thread(target=lambda: [m.add("n") for _ in range(1000)]) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
assert m == {"a": 1, "n": 4000}, m
assert pickle.loads(pickle.dumps(m)) == m
m._check()
print(ShardMap.__module__, m)
"""


HOME = "https://git.example/shardmap"


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("build.__main__")  # not the folder build/
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (file,) = folder.glob("shardmap-*.tar.gz")
    return file


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the unpacked sdist, so that nothing of the checkout can leak in."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:  # CPython before 3.11.4
            archive.extractall(folder)
    (source,) = folder.iterdir()
    dist = folder / "dist"
    # Not optimized: all tests run with what `make test` built; here the time would be lost.
    compiler = folder / "cc"
    compiler.write_text(f'#!/bin/sh\nexec {sysconfig.get_config_var("CC") or "cc"} "$@" -O0\n')
    compiler.chmod(0o755)
    build = ("-m", "build", "--wheel", "--no-isolation", "--outdir", dist, source)
    run(sys.executable, *build, cwd=folder, CC=shlex.quote(str(compiler)), SHARDMAP_HOME=HOME)
    (file,) = dist.glob("shardmap-*.whl")
    return file


def names_in(sdist: Path) -> set[str]:
    """The files of the sdist, but for the metadata that building it adds."""
    with tarfile.open(sdist) as archive:
        files = {entry.name.partition("/")[2] for entry in archive if entry.isfile()}
    return {name for name in files if ".egg-info/" not in name} - {"PKG-INFO", "setup.cfg"}


def listed_by_git(*options: str) -> set[str]:
    names = run("git", "ls-files", "-z", *options, cwd=ROOT).split("\0")
    return {name for name in names if name and not name.startswith(".")}  # what is hidden is for hosting


def test_the_sdist_has_what_building_needs_and_nothing_generated(sdist: Path) -> None:
    names = names_in(sdist)
    assert {"pyproject.toml", "setup.py", "LICENSE", "README.md", "src/shardmap/_core.pyx"} <= names
    assert {"src/shardmap/core/lookup.pyx", "src/shardmap/core/atomics.h", "src/shardmap/py.typed"} <= names
    assert {"tests/unit/mechanisms/readers.c", "tests/unit/mechanisms/harness.h"} <= names
    assert {name.partition("/")[0] for name in names} >= {"tests", "docs", "examples", "bench", "tools", "noxfile.py"}
    assert not [name for name in names if name.endswith((".so", ".pyc", "_core.c"))]


@pytest.mark.skipif(not (ROOT / ".git").exists() or not shutil.which("git"), reason="needs the repository")
def test_the_sdist_has_all_of_the_repository_and_nothing_else(sdist: Path) -> None:
    names = names_in(sdist)
    assert listed_by_git() - names == set()
    assert names - listed_by_git() - listed_by_git("--others", "--exclude-standard") == set()


def test_the_metadata_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(archive.read(name))
        licence = archive.read(f"{name.rpartition('/')[0]}/licenses/LICENSE").decode()
    assert metadata["Version"] == shardmap.__version__
    assert metadata["License-Expression"] == "MIT"
    assert licence == (ROOT / "LICENSE").read_text(encoding="utf-8")
    required = metadata.get_all("Requires-Dist") or []
    assert [each for each in required if "extra ==" not in each] == []
    assert metadata.get_all("Provides-Extra") == ["dask"]
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert f"Source, {HOME}" in (metadata.get_all("Project-URL") or [])


def test_on_a_package_index_every_link_of_the_readme_leads_to_the_repository(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        shown = email.message_from_bytes(archive.read(name)).get_payload()
    link = r'(?:\]\(|src="|srcset=")([^)"\s]+)'
    written, leading = (re.findall(link, text) for text in ((ROOT / "README.md").read_text(encoding="utf-8"), shown))
    assert len(leading) == len(written) > 20
    for target, absolute in zip(written, leading, strict=True):
        kind = "raw" if target.endswith(".svg") else "blob"
        assert absolute == target if target.startswith("#") else absolute == f"{HOME}/{kind}/HEAD/{target}"


REFUSE = """
import sys, types
sys.platform, sys.implementation = sys.argv[1], types.SimpleNamespace(name=sys.argv[2])
sys.modules["setuptools"] = sys.modules["Cython"] = None  # they must not be needed to say so
exec(compile(open("setup.py", encoding="utf-8").read(), "setup.py", "exec"))
"""


@pytest.mark.parametrize(
    ("platform", "implementation", "reason"),
    [
        ("emscripten", "cpython", "needs threads: it can be built for Linux, macOS and Windows, not for emscripten"),
        ("linux", "pypy", "cannot be built for pypy"),
    ],
)
def test_building_for_what_it_does_not_run_on_says_why(platform: str, implementation: str, reason: str) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", REFUSE, platform, implementation],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1  # nothing that would hide it


def test_the_wheel_has_the_extension_types_and_no_sources(wheel: Path) -> None:
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert f"-{tag}-{tag}{sys.abiflags.replace('d', '')}-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert any(name.startswith("shardmap/_core.") and name.endswith(".so") for name in names)
    assert "shardmap/py.typed" in names
    assert "shardmap/_core.pyi" in names
    assert not [name for name in names if name.endswith((".pyx", ".pxd", ".pxi", ".c", ".h"))]


def test_the_wheel_works_without_compiler_cython_or_sources(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "clean"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=tmp_path)
    python = environment / "bin" / "python"
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))", cwd=tmp_path).strip()
    # A wheel of one package is installed by unpacking it: no pip and no network needed to say so.
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    nowhere = tmp_path / "empty"
    nowhere.mkdir()
    said = run(python, "-W", "error", "-c", USE, cwd=nowhere, PATH=str(nowhere), PYTHONPATH="")
    assert "shardmap ShardMap(" in said
