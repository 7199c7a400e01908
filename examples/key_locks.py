"""RwLock<HashMap<K, Mutex<V>>>: hold one entry for longer than one statement, while other keys stay free.

`with m.lock(key) as entry` makes other threads wait that write this key. Threads that read the key see the value from
before. Other keys are not delayed. lock_many locks several keys at once, always in the same order, so that there is no
deadlock. examples/seed_program.py is the program with which this project began.

    python examples/key_locks.py
"""

from __future__ import annotations

import threading

from shardmap import ShardMap


def transfer(accounts: ShardMap[str, int], source: str, target: str, times: int) -> None:
    for _ in range(times):
        with accounts.lock_many([source, target]) as entries:
            if entries[source].value > 0:
                entries[source].value -= 1
                entries[target].value += 1


def main(times: int = 500) -> None:
    accounts: ShardMap[str, int] = ShardMap(alice=100, bob=100, carol=100)
    ways = [("alice", "bob"), ("bob", "alice"), ("bob", "carol"), ("carol", "alice")]
    crew = [threading.Thread(target=transfer, args=(accounts, *way, times)) for way in ways]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    print(f"{len(ways)} threads moved money to and fro: {sum(accounts.values())} is still all there is")

    with accounts.lock("alice") as alice:
        seen: list[int] = []
        reader = threading.Thread(target=lambda: seen.append(accounts["alice"]))
        before = alice.value
        reader.start()
        reader.join()
        print(f"a reader did not wait for the lock: {seen == [before]}")
        other = threading.Thread(target=lambda: accounts.add("bob", 1))
        other.start()
        other.join()
        print("nor did the writer of another key")


if __name__ == "__main__":
    main()
