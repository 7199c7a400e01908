"""Sphinx builds docs/ to a site: `make docs`.

The pages are written to be read on a Git host as well. What a site has to show in another way is mended while it is
built (mend): three pages are files of the repository's root, and light and dark pictures stand in a <picture>.
"""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Any

from sphinx.ext.autodoc.mock import mock
from sphinx.util import logging

import shardmap

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
FROM_ROOT = {"index": "README.md", "contributing": "CONTRIBUTING.md", "changelog": "CHANGELOG.md"}

project = "shardmap"
author = "The shardmap developers"
version = release = shardmap.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["pictures"]

myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"shardmap {release}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]

# Docstrings are written for help(), with code in single backticks.
default_role = "code"
smartquotes = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_use_type_comments = False
autodoc_mock_imports = ["distributed"]
add_module_names = False
nitpicky = True

PICTURE = re.compile(
    r'<picture>\s*<source media="\(prefers-color-scheme: dark\)" srcset="(?P<dark>[^"]+)">\s*'
    r'<img alt="(?P<alt>[^"]+)" src="(?P<light>[^"]+)">\s*</picture>'
)
FOLDER = re.compile(r"\[(?P<text>[^]]+)\]\((?!https?://|#)(?P<path>[^)#\s]+)\)")
LINK = re.compile(r"\]\((?!https?://|#)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def mend(app: Any, page: str, content: list[str]) -> None:
    text, folder = content[0], DOCS
    if page in FROM_ROOT:
        # What the page itself has comes after: of index, the table of contents.
        _, _, own = text.partition("<!-- the file comes here -->")
        text, folder = (ROOT / FROM_ROOT[page]).read_text(encoding="utf-8") + own, ROOT
    text = PICTURE.sub(r"![\g<alt>](\g<light>){.only-light} ![\g<alt>](\g<dark>){.only-dark}", text)
    text = FOLDER.sub(lambda link: link["text"] if (folder / link["path"]).is_dir() else link[0], text)
    content[0] = LINK.sub(lambda link: f"]({_on_site(folder / link['path'])}{link['anchor'] or ''})", text)


def _on_site(target: Path) -> str:
    """A file of the repository as seen from docs/."""
    path = os.path.relpath(target.resolve(), DOCS)
    for page, name in FROM_ROOT.items():
        if path == f"../{name}":
            return f"{page}.md"
    return path


CODE = re.compile(r"(`[^`]*`)")
PARAMETERS = re.compile(r"(?P<names>[a-z_]+(, [a-z_]+)*) {2,}(?P<text>\S.*)")


def plain(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are no reStructuredText: parameters have a column of their own; outside of code, a star is a star."""
    for number in range(len(lines) - 1, -1, -1):
        if parameters := PARAMETERS.fullmatch(lines[number]):
            lines[number : number + 1] = [f"`{parameters['names']}`", f"    {parameters['text']}"]
        elif lines[number].startswith(" " * 8):
            lines[number] = f"    {lines[number].lstrip()}"
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = CODE.split(line)
            lines[number] = "".join(part if part.startswith("`") else part.replace("*", r"\*") for part in parts)


def check_names(app: Any, env: Any) -> None:
    """Other projects link to the names in the site's inventory, so these must be public ones."""
    with mock(autodoc_mock_imports):
        names = {f"shardmap.{name}" for name in shardmap.__all__}
        names |= {f"shardmap.dask.{name}" for name in importlib.import_module("shardmap.dask").__all__}
    for name in env.get_domain("py").objects:
        if not any(f"{name}.".startswith(f"{public}.") for public in names):
            logging.getLogger(__name__).warning("the reference has %s, which is not a public name", name)


def setup(app: Any) -> dict[str, bool]:
    app.connect("env-check-consistency", check_names)
    app.connect("source-read", mend)
    app.connect("autodoc-process-docstring", plain)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
