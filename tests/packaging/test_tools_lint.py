"""`make lint` itself: what it does where pyright cannot be installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "tools").is_dir():
    pytest.skip("the tools are not part of the sdist", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from tools import runs  # noqa: E402
from tools.environments import Environment  # noqa: E402
from tools.interpreters import probe  # noqa: E402


@pytest.mark.parametrize("starts", [True, False])
def test_lint_goes_on_without_pyright_and_says_so(
    starts: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runs, "install_best_effort", lambda *arguments: None)
    monkeypatch.setattr(runs, "capture", lambda *arguments, **variables: "pyright 1.1" if starts else None)
    interpreter = probe(sys.executable)
    assert interpreter is not None
    checks = runs.pyright_check(Environment(interpreter))
    assert [name for name, _ in checks] == (["pyright"] if starts else [])
    assert ("mypy only" in capfd.readouterr().out) is not starts
