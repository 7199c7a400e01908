"""README and docs/: every Python block runs, every link leads somewhere, and nothing public is left out."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import shardmap
from harness.code_blocks import blocks, python_blocks
from harness.process import run_python

pytestmark = pytest.mark.first_use

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, *(page for page in (ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))) if page.is_file())]
# What a page may show without it being run: commands, what is printed, other languages' code.
NOT_RUN = {"sh", "text", "toml", "java", "rust", "{eval-rst}", "{toctree}"}
NEEDS = {"many-machines.md": ["distributed"]}

in_a_checkout = pytest.mark.skipif(not DOCS.is_dir(), reason="docs/ is not part of the sdist")


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=page_name)
def test_every_python_block_runs(page: Path) -> None:
    for needed in NEEDS.get(page.name, []):
        pytest.importorskip(needed)
    # One process for a page: starting one is most of the time.
    run_python(f"""
        from pathlib import Path
        from harness.code_blocks import run_page
        assert run_page(Path({str(page)!r})) == {len(python_blocks(page))}
    """)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_what_is_not_python_says_what_it_is(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= {"python", *NOT_RUN}
    # And no fence was overlooked.
    fences = re.findall(r"^\s*```", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) == 2 * len(list(blocks(page)))


# --- the README ---------------------------------------------------------------------------------


def test_the_readme_has_its_parts_in_order() -> None:
    text = README.read_text(encoding="utf-8")
    sentence, code, chart = text.index("# shardmap\n\n"), text.index("```python"), text.index("<picture>")
    assert sentence < code < chart < text.index("\n## ")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "Install",
        "Two commands",
        "Which one do I need?",
        "What people use it for",
        "When not to use it",
        "Guarantees",
        "Differences from dict",
        "Limits",
        "How to develop",
    ]


def test_the_readme_begins_with_ten_lines_that_show_threads_sharing_a_map() -> None:
    first = python_blocks(README)[0].source
    assert "ThreadPoolExecutor" in first
    assert len([line for line in first.splitlines() if line.strip()]) == 10


def public_methods(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def test_the_guarantees_name_every_operation_of_a_map() -> None:
    text = README.read_text(encoding="utf-8")
    table = text[text.index("## Guarantees") : text.index("## Differences from dict")]
    names = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", table))))
    assert public_methods(shardmap.ShardMap) - names == set()


# --- docs/ --------------------------------------------------------------------------------------


@in_a_checkout
def test_the_reference_has_everything_public() -> None:
    reference = (DOCS / "reference.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"auto\w+:: ([\w.]+)", reference))
    listed |= {f"shardmap.{name}" for name in re.findall(r"py:data:: (\w+)", reference)}  # of the current module
    assert {f"shardmap.{name}" for name in shardmap.__all__} <= listed
    for name in ("ShardMap", "Snapshot", "AtomicRef", "EventualMap", "EventualReader", "ShardWorkers"):
        methods = {f"shardmap.{name}.{method}" for method in public_methods(getattr(shardmap, name))}
        assert methods - listed == set()


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_what_is_said_of_a_map_is_there(page: Path) -> None:
    named = set(re.findall(r"\bm\.(\w+)", " ".join(re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8")))))
    assert {name for name in named if not hasattr(shardmap.ShardMap, name)} == set()


def anchors(page: Path) -> set[str]:
    """What GitHub and the site make of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.skipif(not (ROOT / "src").is_dir(), reason="a wheel is tested without what built it")
@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    for target in targets:
        if not target.startswith(("http://", "https://")):
            name, _, anchor = target.partition("#")
            file = (page.parent / name).resolve() if name else page
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), target


@in_a_checkout
def test_every_page_is_in_the_table_of_contents() -> None:
    trees = [block.source for block in blocks(DOCS / "index.md") if block.language == "{toctree}"]
    assert {page.stem for page in DOCS.glob("*.md")} - {"index"} <= set("\n".join(trees).split())


@in_a_checkout
def test_the_picture_is_what_its_script_draws_and_legible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS / "pictures"))
    shards = importlib.import_module("shards")
    for name, palette in (("shards.svg", shards.LIGHT), ("shards-dark.svg", shards.DARK)):
        assert (DOCS / "pictures" / name).read_text(encoding="utf-8") == shards.draw(palette)
        for fill in (palette.ground, palette.shard, palette.table, palette.copy, palette.snapshot):
            assert min(contrast(palette.text, fill), contrast(palette.quiet, fill)) >= 7


def contrast(one: str, other: str) -> float:
    """Of two colours: WCAG 2.2."""
    light, dark = sorted(map(luminance, (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# --- the core's files ---------------------------------------------------------------------------

CORE = ROOT / "src" / "shardmap" / "core"
ARCHITECTURE = DOCS / "architecture.md"

has_the_sources = pytest.mark.skipif(not (CORE.is_dir() and DOCS.is_dir()), reason="only where the sources are")


def tables_of(page: Path, heading: str) -> list[list[list[str]]]:
    """What stands in backticks in each cell of the tables' rows, of one part of a page."""
    part = page.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("|")]
    return [[re.findall(r"`([^`]+)`", cell) for cell in row] for row in rows]


@has_the_sources
def test_the_architecture_names_every_file_of_the_core_once() -> None:
    files = {file.relative_to(CORE).as_posix() for file in CORE.rglob("*") if file.suffix in {".pyx", ".pxd", ".h"}}
    with_shapes = {name for name in files if name.endswith(".pxd") and name.replace(".pxd", ".pyx") in files}
    named = [name for row in tables_of(ARCHITECTURE, "Files") for name in row[0]]
    assert sorted(files - with_shapes - set(named)) == []
    assert len(named) == len(set(named))


@has_the_sources
@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_what_is_named_as_a_file_of_the_core_is_one(page: Path) -> None:
    names = re.findall(r"`(?:src/shardmap/)?(?:core/)?([\w/]+\.px[dix])`", page.read_text(encoding="utf-8"))
    assert {name for name in names if not (CORE / name).is_file() and not (CORE.parent / name).is_file()} == set()


@has_the_sources
def test_where_one_looks_is_where_it_is() -> None:
    """The functions to begin at stand in the cell after the file's, and in the file, or in one named beside them."""
    for row in tables_of(ARCHITECTURE, "Where one looks"):
        column = next((i for i, cell in enumerate(row) if any((CORE / name).is_file() for name in cell)), None)
        if column is not None:
            cells = row[column] + row[column + 1]
            files = [name for name in cells if (CORE / name).is_file()]
            text = "".join((CORE / name).read_text(encoding="utf-8") for name in files)
            assert [name for name in cells if name not in files and not re.search(rf"\b{name}\b", text)] == []


@has_the_sources
@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_what_is_said_to_be_in_a_file_is_in_it(page: Path) -> None:
    text = re.sub(r"\s+", " ", page.read_text(encoding="utf-8"))
    for name, file in re.findall(r"`(\w+)` (?:in|of) `([\w/]+\.(?:pyx|pxd|h))`", text):
        assert re.search(rf"\b{name}\b", (CORE / file).read_text(encoding="utf-8")), (name, file)


# --- commands -----------------------------------------------------------------------------------


@in_a_checkout
@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_that_are_shown_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tasks = set(re.findall(r"^TASKS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split())
    assert set(re.findall(r"(?:`|^)make ([a-z][\w-]*)", text, re.MULTILINE)) <= tasks
    for script in re.findall(r"(?:`|^)python ([\w/]+\.py)", text, re.MULTILINE):
        assert (ROOT / script).is_file(), script
