"""What mypy takes for an error and pyright does not."""

# pyright: reportUnnecessaryTypeIgnoreComment=false

from __future__ import annotations

from shardmap import ShardMap


def nothing_to_infer_from() -> None:
    unknown = ShardMap()  # type: ignore[var-annotated]
    sized = ShardMap.with_capacity(1000)  # type: ignore[var-annotated]
    print(unknown, sized)


def of_another_type(counts: ShardMap[str, int]) -> None:
    print(1 in counts)  # type: ignore[comparison-overlap]
