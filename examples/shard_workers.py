"""Share memory by communicating: N threads, each with a plain dict of its own. Work is sent to the owner of its key.

The code that works on the data needs no lock, because each key belongs to one thread, which works on it in one order.
The queues are bounded: a thread that produces faster than the workers work has to wait, and nothing is dropped.

    python examples/shard_workers.py
"""

from __future__ import annotations

import operator
import threading

from shardmap import ShardWorkers

Stock = dict[str, int]


def take(own: Stock, item: str, amount: int) -> int:
    """Runs on the item's owner: a plain dict, plain statements."""
    left = own.get(item, 100)
    if left < amount:
        raise ValueError(f"only {left} {item} left")
    own[item] = left - amount
    return own[item]


def main(customers: int = 4, orders: int = 20) -> None:
    with ShardWorkers[str, int](2, queue_size=64) as workers:
        refused: list[str] = []

        def buy() -> None:
            for future in [workers.submit(item, take, 3) for item in ["apples", "pears"] * orders]:
                try:
                    future.result()
                except ValueError as error:  # an error in the worker is raised in the thread that asked
                    refused.append(str(error))

        crew = [threading.Thread(target=buy) for _ in range(customers)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        stock = workers.reduce(dict.copy, operator.or_)
        sold = 2 * customers * orders - len(refused)
        print(f"left: {dict(sorted(stock.items()))} after {sold} sales of 3; {len(refused)} were refused")
        print(f"the first to be refused heard: {refused[0] if refused else 'nothing'}")
        print(f"items by owner: {[future.result() for future in workers.broadcast(sorted)]}")


if __name__ == "__main__":
    main()
