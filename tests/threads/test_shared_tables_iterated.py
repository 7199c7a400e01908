"""Two maps that share tables (copy()) are iterated for the first time by two threads at once."""

import threading

import pytest

from shardmap import ShardMap

pytestmark = pytest.mark.concurrent

KEYS = range(256)


def test_iterators_over_two_maps_that_share_tables_show_what_was_there() -> None:
    maps = [ShardMap.with_capacity(len(KEYS), shards=64) for _ in range(600)]
    for m in maps:
        m.update({key: [key] for key in KEYS})
    copies = [m.copy() for m in maps]
    iterators: list[list] = [[], []]
    both = threading.Barrier(2)

    def iterate(number: int, of: list) -> None:
        both.wait()
        for done, m in enumerate(of):
            while len(iterators[1 - number]) < done:  # abreast of the other
                pass
            iterators[number].append(iter(m.items()))

    threads = [threading.Thread(target=iterate, args=pair) for pair in enumerate((maps, copies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    copies.clear()  # the tables are of one map each again, and its writers change them in place
    for m in maps:
        for key in KEYS:
            m[key] = None
    wanted = [(key, [key]) for key in KEYS]
    wrong = sum(list(iterator) != wanted for each in iterators for iterator in each)
    assert wrong == 0
