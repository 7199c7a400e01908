"""A FastAPI service that holds a key's lock during a whole request, with a dependency that has a `yield`.

If a dependency is a plain function, FastAPI runs each part of it in any thread of a pool: one thread enters the block,
another one runs the endpoint, and a third one leaves the block. This works, because the lock belongs to the entry, not
to a thread.

    pip install fastapi uvicorn
    python examples/fastapi_locks.py
"""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, HTTPException

from shardmap import KeyEntry, ShardMap

app = FastAPI()
accounts: ShardMap[str, int] = ShardMap()


def account(name: str) -> Iterator[KeyEntry[str, int]]:
    """The account of this request. No other request can change it during this request."""
    with accounts.lock(name, timeout=30) as entry:
        yield entry


Account = Annotated[KeyEntry[str, int], Depends(account)]


@app.post("/accounts/{name}/deposit")
def deposit(name: str, amount: int, entry: Account) -> dict[str, int]:
    """Changes the balance in several steps. No change of another request is lost."""
    before = entry.get(0)
    time.sleep(0.0005)
    entry.value = before + amount
    return {"balance": entry.value}


@app.post("/accounts/{name}/withdraw")
async def withdraw(name: str, amount: int, entry: Account) -> dict[str, int]:
    """A coroutine function may use the entry, too. It runs in the event loop's thread."""
    if entry.get(0) < amount:
        raise HTTPException(409, "not enough")
    entry.value -= amount
    return {"balance": entry.value}


def serve(requests: int, clients: int, names: list[str]) -> Counter[int]:
    """Runs the service, and clients that deposit. Returns how often each status was answered."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the service does not start")
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    statuses: Counter[int] = Counter()
    found = threading.Lock()

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for turn in range(number, requests, clients):
            connection.request("POST", f"/accounts/{names[turn % len(names)]}/deposit?amount=1")
            answer = connection.getresponse()
            answer.read()
            with found:
                statuses[answer.status] += 1
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    server.should_exit = True
    thread.join()
    return statuses


if __name__ == "__main__":
    NAMES = ["anna", "ben", "carl"]
    answered = serve(requests=1000, clients=8, names=NAMES)
    print(f"answered: {dict(answered)}, deposited: {sum(accounts.values())}")
    assert answered == {200: 1000}, "a request failed"
    assert sum(accounts.values()) == 1000, "a deposit was lost"
    with accounts.lock_many(NAMES, timeout=1):
        print("nothing is left locked")
