"""Hit ratios on access traces: of ShardCache, of simple policies, of the optimum, and of other libraries if installed.

    python bench/hit_ratio.py [TRACES] [--only web07,loop] [--output build/bench]

TRACES is a folder of files NAME.u32.xz. Each file has the keys of one trace as unsigned 32-bit numbers (the folder's
README describes the traces). Each key is looked up, and stored if it is not in the cache. Writes hit-ratio.md,
hit-ratio.svg and hit-ratio-dark.svg.
"""

from __future__ import annotations

import argparse
import array
import contextlib
import lzma
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib import pyplot

from environment import RESULTS, ROOT, environment, headline
from plot import DARK, LIGHT, Palette, style
from policies import SIMULATED
from shardmap import ShardCache

# For each trace: the sizes of the caches, and how many requests are read. OTHERS were not used to tune the policy.
PAIRS: dict[str, tuple[tuple[int, ...], int]] = {
    **{f"lirs-multi{n}": ((500, 1000, 2000), 10**9) for n in (1, 2, 3)},
    "lirs-sprite": ((200, 600, 1000), 10**9),
    **{f"lirs-{name}": ((250, 500, 1000), 10**9) for name in ("cpp", "cs", "gli", "ps")},
    "lirs-2pools": ((100, 450, 1000), 10**9),
    "cache2k-web07": ((300, 1000, 3000), 10**9),
    "cache2k-web12": ((300, 1000, 3000), 10**9),
    "adaptsize-request": ((500, 2000, 8000), 10**9),
    "scarab-recs": ((5000, 25000, 75000), 400_000),
}
OTHERS: dict[str, tuple[tuple[int, ...], int]] = {
    "lirs-loop": ((250, 500, 1000), 10**9),
    "cache2k-orm-busy": ((500, 2000, 10000), 1_000_000),
    "cloudphysics-w106": ((5000, 20000, 80000), 1_000_000),
}
OURS = "ShardCache"

Policy = Callable[[Sequence[int], int], int]


def through(get: Callable[[int], Any], store: Callable[[int, int], Any], keys: Sequence[int]) -> int:
    hits = 0
    for key in keys:
        if get(key) is None:
            store(key, key)
        else:
            hits += 1
    return hits


def of_shard_cache(keys: Sequence[int], size: int) -> int:
    cache: ShardCache[int, int] = ShardCache(size)
    return through(cache.get, cache.__setitem__, keys)


def peers() -> dict[str, Policy]:
    """The other libraries that are installed."""
    found: dict[str, Policy] = {}
    with contextlib.suppress(ImportError):
        from moka_py import Moka  # type: ignore[import-not-found,unused-ignore]

        def of_moka(keys: Sequence[int], size: int) -> int:
            cache = Moka(size)
            return through(cache.get, cache.set, keys)

        found["moka-py"] = of_moka
    with contextlib.suppress(ImportError):
        from theine import Cache  # type: ignore[import-not-found,unused-ignore]

        def of_theine(keys: Sequence[int], size: int) -> int:
            cache = Cache(size)

            def get(key: int) -> int | None:
                value, there = cache.get(key)
                return value if there else None

            try:
                return through(get, cache.set, keys)
            finally:
                cache.close()

        found["theine"] = of_theine
    return found


def read_trace(folder: Path, name: str, most: int) -> list[int]:
    keys = array.array("I")
    with lzma.open(folder / f"{name}.u32.xz") as file:
        keys.frombytes(file.read())
    if sys.byteorder == "big":
        keys.byteswap()
    return keys[:most].tolist()


Rows = list[tuple[str, int, dict[str, float]]]


def measure(folder: Path, pairs: dict[str, tuple[tuple[int, ...], int]], policies: dict[str, Policy]) -> Rows:
    rows = []
    for name, (sizes, most) in pairs.items():
        if not (folder / f"{name}.u32.xz").is_file():
            continue
        keys = read_trace(folder, name, most)
        for size in sizes:
            print(f"{name} at {size:,}", flush=True)
            rows.append((name, size, {of: 100 * policy(keys, size) / len(keys) for of, policy in policies.items()}))
    return rows


def mean(rows: Rows, name: str) -> float:
    return sum(ratios[name] for _, _, ratios in rows) / len(rows)


def as_table(rows: Rows, others: Rows, names: list[str]) -> str:
    lines = [f"| trace | size | {' | '.join(names)} |", f"|---|{'---:|' * (len(names) + 1)}"]

    def add(rows: Rows, title: str) -> None:
        for trace, size, ratios in rows:
            lines.append(f"| {trace} | {size:,} | " + " | ".join(f"{ratios[name]:.1f}" for name in names) + " |")
        if rows:
            means = " | ".join(f"**{mean(rows, name):.1f}**" for name in names)
            lines.append(f"| **{title}** | | {means} |")

    add(rows, f"mean of the {len(rows)} rows above")
    add(others, f"mean of the last {len(others)} rows, which were not used for tuning")
    return "\n".join(lines)


def draw(rows: Rows, names: list[str], palette: Palette) -> Any:
    """A bar for each policy: its mean hit ratio."""
    figure, axes = pyplot.subplots(figsize=(6.4, 0.42 * len(names) + 0.9))
    values = [mean(rows, name) for name in names]
    colours = ["#1f883d" if name == OURS else palette.faint for name in names]
    axes.barh(range(len(names)), values, color=colours, height=0.6)
    for place, value in enumerate(values):
        axes.text(value + 0.3, place, f"{value:.1f}", va="center")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(min(values) - 5, max(values) + 4)
    axes.set_xlabel(f"hits in %, mean of {len(rows)} (trace, size) pairs; the axis does not begin at 0")
    return figure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("traces", type=Path, nargs="?", default=ROOT.parent / "shared" / "traces")
    parser.add_argument("--only", default="", help="only traces whose name has one of these parts, with commas")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    if not options.traces.is_dir():
        print(f"no traces in {options.traces}", file=sys.stderr)
        return 2
    policies: dict[str, Policy] = {**SIMULATED, **peers(), OURS: of_shard_cache}
    wanted = [part for part in options.only.split(",") if part]

    def chosen(pairs: dict[str, tuple[tuple[int, ...], int]]) -> dict[str, tuple[tuple[int, ...], int]]:
        return {name: pair for name, pair in pairs.items() if not wanted or any(part in name for part in wanted)}

    rows = measure(options.traces, chosen(PAIRS), policies)
    others = measure(options.traces, chosen(OTHERS), policies)
    names = sorted(policies, key=lambda name: mean(rows or others, name))
    table = as_table(rows, others, names)
    print(table)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "hit-ratio.md").write_text(f"{headline(environment())}\n\n{table}\n")
    for palette, suffix in ((LIGHT, ""), (DARK, "-dark")):
        with pyplot.rc_context(style(palette)):
            figure = draw(rows or others, names, palette)
            figure.savefig(
                options.output / f"hit-ratio{suffix}.svg", metadata={"Date": None}, bbox_inches="tight", pad_inches=0.15
            )
            pyplot.close(figure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
