"""A sharding scheme of your own: divide one point in time of a map into parts, one for each thread.

partitions(n) returns n parts of one snapshot. They have equal sizes, and every entry is in exactly one of them. So
threads can add up, scan or export a map without a lock, while other threads write to it. shard_index(key) returns the
number of a key's shard, and `shards` gives access to the shards, for work that should stay close to the data.

    python examples/own_sharding.py
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from shardmap import Partition, ShardMap


def total(part: Partition[str, int]) -> int:
    return sum(amount for _, amount in part)


def main(entries: int = 20_000, threads: int = 3) -> None:
    orders: ShardMap[str, int] = ShardMap((f"order {number}", number % 100) for number in range(entries))
    parts = orders.partitions(threads)
    orders.clear()  # the parts do not change
    with ThreadPoolExecutor(threads) as pool:
        sums = list(pool.map(total, parts))
    print(f"{threads} threads added up {[len(part) for part in parts]} orders: {sum(sums)} in all")

    orders.update((f"order {number}", number) for number in range(1_000))
    sizes = [len(shard) for shard in orders.shards]
    print(f"the map's {len(sizes)} shards hold from {min(sizes)} to {max(sizes)} of {len(orders)} orders")
    key = "order 7"
    shard = orders.shards[orders.shard_index(key)]
    print(f"{key!r} is in its shard: {key in shard}")

    # A scheme of your own, based on shards: all keys of one shard are handled together.
    by_shard = Counter(orders.shard_index(f"order {number}") for number in range(1_000))
    print(f"shard_index agrees with the shards: {all(by_shard[each.index] == len(each) for each in orders.shards)}")


if __name__ == "__main__":
    main()
