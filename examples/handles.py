"""RwLock<HashMap<K, Arc<Mutex<V>>>>: take the handle out of the map, let the map go, work on the value.

What `m[key]` returns is the value itself, alive for as long as somebody refers to it. So a value that is to be
changed by many threads brings its own lock, and the map is only asked for it: nobody waits for the map while a
value is worked on, and the value outlives its entry.

    python examples/handles.py
"""

from __future__ import annotations

import threading

from shardmap import ShardMap


class Account:
    """A value with a lock of its own."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.balance = 0

    def deposit(self, amount: int) -> None:
        with self.lock:
            self.balance += amount


def deposit(accounts: ShardMap[str, Account], times: int) -> None:
    for number in range(times):
        account = accounts.compute_if_absent(("alice", "bob")[number % 2], lambda name: Account())
        account.deposit(1)  # the map is not held: others make and find accounts meanwhile


def main(threads: int = 4, times: int = 1_000) -> None:
    accounts: ShardMap[str, Account] = ShardMap()
    crew = [threading.Thread(target=deposit, args=(accounts, times)) for _ in range(threads)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    for name, account in sorted(accounts.items()):
        print(f"{name}: {account.balance} deposits by {threads} threads, none lost")

    handle = accounts["alice"]
    del accounts["alice"]
    handle.deposit(1)
    print(f"alice is out of the map: {'alice' not in accounts}; her account lives on in our hands: {handle.balance}")


if __name__ == "__main__":
    main()
