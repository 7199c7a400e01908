"""Draws shards.svg and shards-dark.svg: a map's shards, their tables, and a snapshot that shares them.

python docs/pictures/shards.py
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent


class Palette(NamedTuple):
    """Text on each of the fills has a contrast of 7 to 1 at least."""

    ground: str
    text: str
    quiet: str
    line: str
    shard: str
    table: str
    copy: str
    snapshot: str


LIGHT = Palette("#ffffff", "#1a1a1a", "#4a4a4a", "#5a5a5a", "#dbe9f9", "#f1f1ee", "#fde3c4", "#dcefdc")
DARK = Palette("#131416", "#f5f5f5", "#dcdcdc", "#a8a8a8", "#1f3a57", "#2b2c2f", "#5a3a12", "#234a2b")

WIDTH, HEIGHT = 860, 512
ROW, TOP = 82, 118  # of the shards
Entry = tuple[str, str, str]  # key, value, stamp
SHARDS: dict[str, tuple[Entry, ...]] = {
    "0": (("apple", "3", "t1"), ("lime", "2", "t5")),
    "1": (("fig", "8", "t2"), ("plum", "4", "t6")),
    "2": (("kiwi", "7", "t3"),),
    "N-1": (("pear", "5", "t4"), ("date", "1", "t7"), ("nut", "6", "t8")),
}
WRITTEN = "1"  # the shard that was written to since the snapshot


class Drawing:
    """SVG, piece by piece."""

    def __init__(self, palette: Palette) -> None:
        self.palette = palette
        self.pieces: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        self.pieces.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" fill="{fill}" '
            f'stroke="{self.palette.line}" stroke-width="1.2"/>'
        )

    def text(
        self, x: float, y: float, text: str, *, size: int = 13, anchor: str = "start", quiet: bool = False
    ) -> None:
        colour = self.palette.quiet if quiet else self.palette.text
        self.pieces.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
        )

    def arrow(self, *points: tuple[float, float]) -> None:
        path = " L".join(f"{x:g} {y:g}" for x, y in points)
        self.pieces.append(
            f'<path d="M{path}" fill="none" stroke="{self.palette.line}" stroke-width="1.4" marker-end="url(#head)"/>'
        )

    def table(self, x: float, y: float, fill: str, entries: tuple[Entry, ...]) -> None:
        """The index above the entries it points to."""
        self.box(x, y, 186, 62, fill)
        self.text(x + 8, y + 15, "index", size=11, quiet=True)
        for slot in range(8):
            used = {1: 0, 3: 1, 6: 2}.get(slot)
            full = used is not None and used < len(entries)
            self.pieces.append(
                f'<rect x="{x + 46 + 16 * slot:g}" y="{y + 5:g}" width="14" height="13" fill="none" '
                f'stroke="{self.palette.line}"/>'
            )
            if full:
                self.text(x + 53 + 16 * slot, y + 15.5, str(used), size=11, anchor="middle")
        for number, (key, value, stamp) in enumerate(entries):
            left = x + 8 + 58 * number
            self.box(left, y + 25, 54, 31, self.palette.ground)
            self.text(left + 27, y + 38, f"{key}: {value}", size=11, anchor="middle")
            self.text(left + 27, y + 51, stamp, size=10, anchor="middle", quiet=True)

    def svg(self) -> str:
        description = (
            "A map has N shards; the mixed hash of a key chooses one. Each shard has a mutex and a pointer to its "
            "table: an index and the entries in insertion order, each with a stamp. A snapshot holds the tables of one "
            "point in time. Shard 1 was written to since: the writer made a copy, which is the shard's table now, and "
            "the snapshot keeps the old one."
        )
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            'font-family="Helvetica, Arial, sans-serif" role="img">\n'
            f"<title>Shards, tables and a snapshot</title>\n<desc>{escape(description)}</desc>\n"
            '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            f'orient="auto-start-reverse"><path d="M0 0 L10 5 L0 10 z" fill="{self.palette.line}"/></marker></defs>\n'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{self.palette.ground}"/>\n'
        )
        return head + "\n".join(self.pieces) + "\n</svg>\n"


def draw(palette: Palette) -> str:
    d = Drawing(palette)
    d.text(16, 30, 'm["fig"] = 9', size=15)
    d.text(16, 50, "its hash is mixed twice: which shard,", size=12, quiet=True)
    d.text(16, 66, "and where probing of the index begins", size=12, quiet=True)
    d.text(135, 98, "ShardMap", size=15, anchor="middle")
    d.text(447, 98, "tables", size=15, anchor="middle")
    d.text(745, 98, "Snapshot", size=15, anchor="middle")
    d.box(40, TOP - 12, 190, 4 * ROW + 8, palette.ground)
    d.box(660, TOP - 12, 170, 4 * ROW + 8, palette.ground)
    for row, (name, entries) in enumerate(SHARDS.items()):
        y = TOP + ROW * row
        d.box(52, y, 166, 62, palette.shard)
        d.text(62, y + 20, f"shard {name}")
        d.text(62, y + 38, "mutex", size=12, quiet=True)
        d.text(62, y + 54, "table", size=12, quiet=True)
        d.box(672, y + 16, 146, 30, palette.snapshot)
        d.text(682, y + 36, f"a share of table {name}", size=12)
        d.arrow((100, y + 50), (252 if name == WRITTEN else 354, y + 50))
        d.arrow((672, y + 31), (638 if name == WRITTEN else 540, y + 31))
        if name == WRITTEN:
            d.arrow((16, 74), (16, y + 31), (52, y + 31))
            (key, _, stamp), *others = entries
            d.table(252, y, palette.copy, ((key, "9", stamp), *others))
            d.table(452, y, palette.table, entries)
        else:
            d.table(354, y, palette.table, entries)
    foot = TOP + 4 * ROW + 12
    notes = (
        "Writers lock one shard. Who first writes to a table that a snapshot shares makes a copy (orange).",
        "t1, t2, ... are stamps: the order of insertion over the whole map.",
        "A snapshot is one point in time, made in O(N): no entry is copied for it.",
    )
    for number, note in enumerate(notes):
        d.text(40, foot + 4 + 17 * number, note, size=12, quiet=True)
    return d.svg()


def main() -> None:
    (HERE / "shards.svg").write_text(draw(LIGHT), encoding="utf-8")
    (HERE / "shards-dark.svg").write_text(draw(DARK), encoding="utf-8")


if __name__ == "__main__":
    main()
