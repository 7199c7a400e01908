"""arc-swap: readers load a whole version of something, a writer swaps in the next one.

The example is a configuration. A reader never sees half a change, however many keys it reads, and never waits for a
writer. rcu() (read, copy, update) makes the next version from the current one and loses no thread's change. For a whole
map, snapshot() does the same: it shows one point in time of the map, as long as you keep it.

    python examples/atomic_ref.py
"""

from __future__ import annotations

import threading

from shardmap import AtomicRef, ShardMap

Config = dict[str, int]


def serve(config: AtomicRef[Config], stop: threading.Event, looks: list[int]) -> None:
    count = 0
    while not stop.is_set():
        current = config.load()  # one version, for as long as this request takes
        assert current["low"] + current["high"] == 100, "half a change"
        count += 1
    looks.append(count)


def main(changes: int = 1_000) -> None:
    config: AtomicRef[Config] = AtomicRef({"low": 10, "high": 90, "changes": 0})
    stop, looks = threading.Event(), list[int]()
    readers = [threading.Thread(target=serve, args=(config, stop, looks)) for _ in range(2)]

    def change(old: Config) -> Config:
        low = (old["low"] + 1) % 100
        return {"low": low, "high": 100 - low, "changes": old["changes"] + 1}

    def write() -> None:
        for _ in range(changes):
            config.rcu(change)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    final = config.load()
    print(f"{final['changes']} changes by 2 writers, none lost; {len(looks)} readers saw no half of one")

    current = config.load()
    config.store({"low": 0, "high": 100, "changes": 0})
    found = config.compare_and_swap(current, {})
    print(f"compare_and_swap with an outdated version does nothing: {found is not current and config.load() != {}}")

    stock: ShardMap[str, int] = ShardMap(apples=3, pears=5)
    monday = stock.snapshot()
    stock.add("apples", -2)
    draft = monday.thaw()
    draft["plums"] = 1
    print(f"now {stock.to_dict()}, on Monday {monday.to_dict()}, a draft made from Monday {draft.to_dict()}")


if __name__ == "__main__":
    main()
