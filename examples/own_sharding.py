"""Your data's own sharding scheme: cut one point in time of a map into parts, one for each thread.

partitions(n) gives n parts of one snapshot, equal in size, every entry in exactly one; so threads can add up, scan or
export a map that others go on writing to, without a lock. shard_index(key) says where a key lives, and shards are the
places: for work that is to stay with the data.

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
    orders.clear()  # the parts stay what they were
    with ThreadPoolExecutor(threads) as pool:
        sums = list(pool.map(total, parts))
    print(f"{threads} threads added up {[len(part) for part in parts]} orders: {sum(sums)} in all")

    orders.update((f"order {number}", number) for number in range(1_000))
    sizes = [len(shard) for shard in orders.shards]
    print(f"the map's {len(sizes)} shards hold from {min(sizes)} to {max(sizes)} of {len(orders)} orders")
    key = "order 7"
    shard = orders.shards[orders.shard_index(key)]
    print(f"{key!r} is in its shard: {key in shard}")

    # A scheme of your own, over shards: everything of one shard is handled together.
    by_shard = Counter(orders.shard_index(f"order {number}") for number in range(1_000))
    print(f"shard_index agrees with the shards: {all(by_shard[each.index] == len(each) for each in orders.shards)}")


if __name__ == "__main__":
    main()
