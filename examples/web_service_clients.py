"""The clients of web_service_load.py. They use the shop, note its answers, and compare them with its counters."""

from __future__ import annotations

import http.client
import json
import random
import time
from abc import ABC, abstractmethod
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import cycle
from typing import Any, NamedTuple

from web_service import ITEMS, SHOWN, Shop

ADDRESS = "127.0.0.1"
PLANNED = 5000  # requests of each client, sent again and again
MIX = {
    "get_item": 52,
    "get_catalogue": 20,
    "get_item_anonymously": 8,
    "put_into_cart": 8,
    "put_into_family_cart": 4,  # a session that all clients share
    "change_item": 2,
    "log_out_and_in": 3,
    "leave": 3,  # logs in, does not log out
}


class WrongAnswer(Exception):
    pass


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str] | http.client.HTTPMessage
    content: bytes


class Notes:
    """The notes of clients about the answers that they got."""

    def __init__(self, parts: Iterable[Notes] = ()) -> None:
        self.requests = 0
        self.hits: Counter[str] = Counter()
        self.shown: Counter[int] = Counter()
        self.versions: Counter[int] = Counter()
        self.events: Counter[str] = Counter()
        self.renders: defaultdict[int, set[int]] = defaultdict(set)  # of an item: which computations were seen
        self.used: defaultdict[tuple[str, str, bool], array[int]] = defaultdict(  # of a user or address, in a window,
            lambda: array("q")  # passed or refused: the numbers that the requests got
        )
        for part in parts:
            self.requests += part.requests
            for name in ("hits", "shown", "versions", "events"):
                getattr(self, name).update(getattr(part, name))
            for item, renders in part.renders.items():
                self.renders[item] |= renders
            for window, numbers in part.used.items():
                self.used[window] += numbers


class Client(ABC):
    """For one thread. Its notes are those of all rounds."""

    def __init__(self, number: int) -> None:
        self.user = f"user{number}"
        self.notes = Notes()
        self.latencies = array("d")  # seconds, of this round
        self.least_versions: dict[int, int] = {}  # of the items that this client changed
        self.session = self.family = ""  # cookies
        self.cart = self.family_cart = 0
        draw = random.Random(number)
        items = draw.choices(range(ITEMS), [1 / (n + 1) for n in range(ITEMS)], k=PLANNED)
        actions = [getattr(self, name) for name in draw.choices(list(MIX), list(MIX.values()), k=PLANNED)]
        self.plan = cycle(zip(actions, items, strict=True))

    @abstractmethod
    def send(self, method: str, path: str, cookie: str, form: Mapping[str, str]) -> Reply: ...

    @abstractmethod
    def close(self) -> None:
        """Ends the round."""

    def work(self, until: float) -> None:
        for action, item in self.plan:
            action(item)
            if time.perf_counter() > until:
                return

    def ask(self, method: str, path: str, cookie: str = "", form: Mapping[str, str] | None = None) -> Reply:
        started = time.perf_counter()
        reply = self.send(method, path, cookie, form or {})
        self.latencies.append(time.perf_counter() - started)
        self.notes.requests += 1
        return reply

    def call(self, method: str, path: str, cookie: str, whose: str) -> Any:
        """The content of the answer. None if the service refused it: too many requests of this user or address."""
        reply = self.ask(method, path, cookie)
        refused = reply.status == 429 and not cookie
        if reply.status != 200 and not refused:
            raise WrongAnswer(f"{method} {path}: {reply}")
        window = reply.headers["X-RateLimit-Reset"]
        self.notes.used[whose, window, refused].append(int(reply.headers["X-RateLimit-Used"]))
        if refused:
            return None
        self.notes.hits[f"{method} {path}"] += 1
        return json.loads(reply.content)

    def log_in(self, user: str, **options: str) -> str:
        reply = self.ask("POST", "/login", form={"user": user, **options})
        if reply.status != 201:
            raise WrongAnswer(f"POST /login: {reply}")
        self.notes.events["opened"] += 1
        return reply.headers["Set-Cookie"].partition(";")[0]

    def log_out(self, user: str, cookie: str, cart: int) -> None:
        told = self.call("POST", "/logout", cookie, user)
        if told != {"cart": cart}:
            raise WrongAnswer(f"{user} put {cart} things into the cart; in it: {told}")
        self.notes.events["closed"] += 1

    def enter(self) -> None:
        self.session, self.cart = self.log_in(self.user, remember="1"), 0

    def leave_shop(self) -> None:
        self.log_out(self.user, self.session, self.cart)

    def look_at(self, page: dict[str, Any]) -> None:
        item = page["item"]
        self.notes.renders[item].add(page["render"])
        if page["version"] < self.least_versions.get(item, 0):
            raise WrongAnswer(f"out of date: {page}; this client had changed it to {self.least_versions[item]}")

    # The requests of the mix.

    def get_item(self, item: int) -> None:
        self.look_at(self.call("GET", f"/item/{item}", self.session, self.user))

    def get_catalogue(self, item: int) -> None:
        for page in self.call("GET", f"/catalogue/{item // SHOWN}", self.session, self.user):
            self.look_at(page)
            self.notes.shown[page["item"]] += 1

    def get_item_anonymously(self, item: int) -> None:
        page = self.call("GET", f"/item/{item}", "", ADDRESS)
        if page is not None:
            self.look_at(page)

    def put_into_cart(self, item: int) -> None:
        self.cart += 1
        told = self.call("POST", f"/cart/{item}", self.session, self.user)
        if told != {"cart": self.cart}:
            raise WrongAnswer(f"{self.user} put {self.cart} things into the cart; in it: {told}")

    def put_into_family_cart(self, item: int) -> None:
        self.family_cart += 1
        self.call("POST", f"/cart/{item}", self.family, "family")

    def change_item(self, item: int) -> None:
        self.least_versions[item] = self.call("POST", f"/item/{item}", self.session, self.user)["version"]
        self.notes.versions[item] += 1

    def log_out_and_in(self, item: int) -> None:
        self.leave_shop()
        self.enter()

    def leave(self, item: int) -> None:
        self.log_in(self.user)


class HTTPClient(Client):
    """A client with a connection, which is kept alive for a round."""

    def __init__(self, number: int, port: int) -> None:
        super().__init__(number)
        self.connection = http.client.HTTPConnection(ADDRESS, port, timeout=600)

    def send(self, method: str, path: str, cookie: str, form: Mapping[str, str]) -> Reply:
        body = "&".join(f"{name}={value}" for name, value in form.items()) or None
        self.connection.request(method, path, body, {"Cookie": cookie} if cookie else {})
        response = self.connection.getresponse()
        return Reply(response.status, response.headers, response.read())

    def close(self) -> None:
        self.connection.close()  # the next request connects again


class DirectClient(Client):
    """A client that calls the shop directly, without HTTP."""

    def __init__(self, number: int, shop: Shop) -> None:
        super().__init__(number)
        self.shop = shop

    def close(self) -> None:
        """There is no connection."""

    def send(self, method: str, path: str, cookie: str, form: Mapping[str, str]) -> Reply:
        answer = self.shop.answer(method, path, ADDRESS, cookie.partition("=")[2] or None, form)
        return Reply(answer.status, answer.headers, answer.body)


def differences(notes: Notes, report: Mapping[str, Any], anonymous_limit: int) -> list[str]:
    """The differences between the counters of the shop and the notes of its clients, after the last session has ended.
    Empty if every count is exact."""
    wrong = []

    def compare(what: str, told: Any, noted: Any) -> None:
        if told != noted:
            wrong.append(f"{what}: {told} instead of {noted}")

    opened, closed = notes.events["opened"], notes.events["closed"]
    counters: dict[str, Mapping[Any, int]] = {
        "hits": notes.hits,
        "shown": notes.shown,
        "versions": notes.versions,
        "renders": {item: len(renders) for item, renders in notes.renders.items()},  # each was seen by some client
        "events": {"opened": opened, "closed": closed, "expired": opened - closed},
    }
    for name, noted in counters.items():
        expected = {str(key): count for key, count in noted.items()}
        for key in sorted(expected.keys() | report[name].keys()):
            compare(f"{name} of {key}", report[name].get(key, 0), expected.get(key, 0))
    compare("sessions open", report["sessions_open"], 0)
    for item, renders in notes.renders.items():
        compare(f"computations of {item}", sorted(renders), list(range(1, len(renders) + 1)))
        if len(renders) > 1 + notes.versions[item]:
            wrong.append(f"{item} was computed {len(renders)} times for {notes.versions[item]} changes")
    for whose, window in sorted({key[:2] for key in notes.used}):
        passed, refused = (sorted(notes.used.get((whose, window, refused), ())) for refused in (False, True))
        number = len(passed) + len(refused)
        limit = min(number, anonymous_limit) if whose == ADDRESS else number
        # Each number must be there exactly once. So no request passed that should have been refused.
        if passed != list(range(1, limit + 1)) or refused != list(range(limit + 1, number + 1)):
            wrong.append(f"{whose} in the window to {window}: passed {passed}, refused {refused}")
    return wrong
