"""Finding test files: tests/ has a folder for each topic."""

from __future__ import annotations

from tools.shell import ROOT, Failure


def test_file(name: str) -> str:
    """The path of test_NAME.py from the root."""
    found = sorted((ROOT / "tests").glob(f"*/test_{name}.py"))
    if len(found) != 1:
        raise Failure(f"there are {len(found)} files tests/*/test_{name}.py, not one")
    return str(found[0].relative_to(ROOT))
