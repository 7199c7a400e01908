"""rust-evmap: readers do not see writes until the writer refreshes. Then they see all of them at once.

The example is a routing table: each host name has several backends. The writer adds and removes backends, and publishes
the table when it is consistent. Readers take no lock and see one version until they ask for the newest.

    python examples/eventual_map.py
"""

from __future__ import annotations

import threading

from shardmap import EventualMap

HOSTS = [f"host-{number}.example" for number in range(50)]


def route(table: EventualMap[str, str], stop: threading.Event, seen: list[int]) -> None:
    reader = table.reader()  # each thread has its own
    versions = set()
    while not stop.is_set():
        reader.renew()
        generations = {reader.get_one(host, "").partition("-")[0] for host in HOSTS}
        assert generations == {reader.meta}, "half a refresh"
        versions.add(reader.version)
    seen.append(len(versions))


def main(generations: int = 100) -> None:
    table: EventualMap[str, str] = EventualMap(((host, "gen0-a") for host in HOSTS), meta="gen0")
    reader = table.reader()
    table.insert(HOSTS[0], "gen0-b")
    print(f"before the refresh: {reader[HOSTS[0]]}")
    table.refresh()
    print(f"after it, until the reader asks: {reader[HOSTS[0]]}")
    reader.renew()
    print(f"and then: {reader[HOSTS[0]]}")

    stop, seen = threading.Event(), list[int]()
    crew = [threading.Thread(target=route, args=(table, stop, seen)) for _ in range(2)]
    for thread in crew:
        thread.start()
    for number in range(1, generations + 1):
        for host in HOSTS:
            table.update(host, f"gen{number}-a")
            table.insert(host, f"gen{number}-b")
        table.meta = f"gen{number}"
        table.refresh()
    stop.set()
    for thread in crew:
        thread.join()
    print(f"{generations} refreshes of {len(HOSTS)} hosts; {len(seen)} readers saw whole versions only")


if __name__ == "__main__":
    main()
