"""Count words in a map that is spread over the processes of a cluster, and compare that with one process.

    python examples/word_count_cluster.py                                  # four processes on this machine
    python examples/word_count_cluster.py --scheduler tcp://10.0.0.1:8786  # the machines of a Dask cluster
    python examples/word_count_cluster.py --updates 20000

Needs Dask: pip install shardmap[dask]. Each update is submitted alone, to the owner of its word. No process has the
whole map, so the map may outgrow the memory of one. All counts are compared with those of one collections.Counter.

To count is too little work for a cluster: a message takes much longer than an addition. So the second way counts the
words of a batch first, and sends one message for each of its words. The last two ways show what one process does.
"""

from __future__ import annotations

import argparse
import operator
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

import dask
from distributed import Client, LocalCluster

from shardmap import ShardCounter, ShardWorkers
from shardmap.dask import DaskWorkers

Counts = dict[str, int]


def add(own: Counts, word: str, number: int = 1) -> None:
    """Runs in the process that owns the word: a plain dict, plain statements."""
    own[word] = own.get(word, 0) + number


def most_common(own: Counts) -> list[tuple[str, int]]:
    return Counter(own).most_common(3)


def process_and_size(own: Counts) -> tuple[int, int]:
    return os.getpid(), len(own)


def words(updates: int) -> Iterator[str]:
    """Some words are frequent, most are rare, as in a text."""
    for number in range(updates):
        yield f"word {(number * 7919) % (1 + number % 50_021)}"


def one_by_one(workers: ShardWorkers[str, int], text: Iterable[str]) -> int:
    """Returns the number of messages."""
    messages = 0
    for word in text:
        workers.submit(word, add)
        messages += 1
    return messages


def counted_first(workers: ShardWorkers[str, int], text: Iterable[str], batch: int = 100_000) -> int:
    messages = 0
    left = iter(text)
    while counts := Counter(islice(left, batch)):
        for word, number in counts.items():
            workers.submit(word, add, number)
        messages += len(counts)
    return messages


def report(way: str, started: float, updates: int, messages: int, found: Counts, expected: Counts) -> None:
    seconds = time.perf_counter() - started
    assert found == expected, "a count is wrong"
    print(f"{way}: {updates} updates, {messages} messages, {seconds:.1f} s, exact: {sum(found.values()) == updates}")


def on_cluster(client: Client, updates: int, expected: Counts) -> None:
    for way in (one_by_one, counted_first):
        with DaskWorkers[str, int](client, track_keys=False) as workers:  # this process keeps no keys
            started = time.perf_counter()
            messages = way(workers, words(updates))
            total = workers.reduce(lambda own: sum(own.values()), operator.add)  # waits for all updates
            assert total == updates
            report(f"{len(workers)} owners, {way.__name__}", started, updates, messages, workers.snapshot(), expected)
            parts = [future.result() for future in workers.broadcast(process_and_size)]
            top = sorted(workers.reduce(most_common, operator.add), key=lambda pair: -pair[1])[:3]
    print(f"processes: {len({pid for pid, _ in parts})}, words in each: {[size for _, size in parts]}")
    print(f"most frequent: {top}")


def in_one_process(updates: int, expected: Counts) -> None:
    with ShardWorkers[str, int](4) as workers:
        started = time.perf_counter()
        messages = one_by_one(workers, words(updates))
        report("4 threads, one_by_one", started, updates, messages, workers.snapshot(), expected)
    counter: ShardCounter[str] = ShardCounter()
    started = time.perf_counter()
    counter.update(words(updates))
    report("ShardCounter.update", started, updates, 0, dict(counter), expected)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, default=1_000_000)
    parser.add_argument("--scheduler", help="the address of a Dask scheduler; otherwise four processes are started")
    options = parser.parse_args()
    expected = Counter(words(options.updates))
    if options.scheduler:
        with Client(options.scheduler) as client:
            on_cluster(client, options.updates, expected)
    else:
        # The profiler of the workers probably crashes free-threaded builds, now and then.
        dask.config.set({"distributed.worker.profile.enabled": False})
        cluster = LocalCluster(n_workers=4, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0")
        with cluster, Client(cluster) as client:
            on_cluster(client, options.updates, expected)
    in_one_process(options.updates, expected)


if __name__ == "__main__":
    main()
