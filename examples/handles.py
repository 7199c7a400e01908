"""RwLock<HashMap<K, Arc<Mutex<V>>>>: take the handle out of the map, let the map go, work on the value.

`m[key]` returns the value itself, which lives as long as there is a reference to it. So if many threads change a value,
give the value a lock of its own, and use the map only to look it up. No thread waits for the map while another one
changes a value, and the value may live longer than its entry.

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
        account.deposit(1)  # no lock of the map is held: other threads can create and find accounts meanwhile


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
