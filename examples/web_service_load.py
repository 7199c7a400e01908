"""Put load on web_service.py, with its state in ShardMaps and in dicts with locks, and compare the two.

    python examples/web_service_load.py [--threads N] [--seconds S] [--rounds N] [--output DIR]

Each version of the service is a process of its own, and so are the clients: threads that keep a connection alive each
and send one request after the other. The versions take turns in short rounds. Clients note what they are told, and in
the end every counter of the service must be exactly what was noted; a wrong one, an unexpected answer or anything on
the service's standard error is exit status 1. Needs only the standard library and shardmap.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple, Self

SERVICE = Path(__file__).with_name("web_service.py")
KINDS = {"lock": "dicts and locks", "shardmap": "ShardMaps"}
ITEMS, CATALOGUE = 2000, 50  # the shop's items and the pages of its catalogue
SESSION_SECONDS = 3.0  # what is left of a session that nobody ends
WINDOW_SECONDS = 2
ANONYMOUS_LIMIT = 300  # requests of all clients in a window; more are sent, and refused
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


# --- clients ------------------------------------------------------------------------------------


class Notes:
    """What clients were told."""

    def __init__(self, parts: Iterable[Notes] = ()) -> None:
        self.requests = 0
        self.hits: Counter[str] = Counter()
        self.shown: Counter[int] = Counter()
        self.versions: Counter[int] = Counter()
        self.events: Counter[str] = Counter()
        self.renders: defaultdict[int, set[int]] = defaultdict(set)  # of an item: which computations were seen
        self.used: defaultdict[tuple[str, str, bool], list[int]] = defaultdict(list)  # whose, when, refused
        for part in parts:
            self.requests += part.requests
            for name in ("hits", "shown", "versions", "events"):
                getattr(self, name).update(getattr(part, name))
            for item, renders in part.renders.items():
                self.renders[item] |= renders
            for window, numbers in part.used.items():
                self.used[window] += numbers


class Client:
    """One thread's connection, and its notes of all rounds."""

    def __init__(self, number: int, port: int) -> None:
        self.user = f"user{number}"
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        self.notes = Notes()
        self.latencies: list[float] = []  # seconds, of this round
        self.least_versions: dict[int, int] = {}  # of the items that this client changed
        self.session = self.family = ""  # cookies
        self.cart = self.family_cart = 0
        draw = random.Random(number)
        items = draw.choices(range(ITEMS), [1 / (n + 1) for n in range(ITEMS)], k=PLANNED)
        actions = [getattr(self, name) for name in draw.choices(list(MIX), list(MIX.values()), k=PLANNED)]
        self.plan = cycle(zip(actions, items, strict=True))

    def work(self, until: float) -> None:
        for action, item in self.plan:
            action(item)
            if time.perf_counter() > until:
                return

    def ask(self, method: str, path: str, session: str = "", body: str | None = None) -> http.client.HTTPResponse:
        headers = {"Cookie": session} if session else {}
        started = time.perf_counter()
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        self.content = answer.read()
        self.latencies.append(time.perf_counter() - started)
        self.notes.requests += 1
        return answer

    def call(self, method: str, path: str, session: str, whose: str) -> Any:
        """What the answer says, or None if it was that there are too many requests of this user or address."""
        answer = self.ask(method, path, session)
        refused = answer.status == 429 and not session
        if answer.status != 200 and not refused:
            raise WrongAnswer(f"{method} {path}: {answer.status} {answer.reason}")
        used, window = answer.headers["X-RateLimit-Used"], answer.headers["X-RateLimit-Reset"]
        self.notes.used[whose, window, refused].append(int(used))
        if refused:
            return None
        self.notes.hits[f"{method} {path}"] += 1
        return json.loads(self.content)

    def log_in(self, user: str, more: str = "&remember=1") -> str:
        answer = self.ask("POST", "/login", body=f"user={user}{more}")
        if answer.status != 201:
            raise WrongAnswer(f"POST /login: {answer.status} {answer.reason}")
        self.notes.events["opened"] += 1
        return answer.headers["Set-Cookie"].partition(";")[0]

    def log_out(self, user: str, session: str, cart: int) -> None:
        told = self.call("POST", "/logout", session, user)
        if told != {"cart": cart}:
            raise WrongAnswer(f"{user} put {cart} things into the cart; in it: {told}")
        self.notes.events["closed"] += 1

    def look_at(self, page: dict[str, Any]) -> None:
        item = page["item"]
        self.notes.renders[item].add(page["render"])
        if page["version"] < self.least_versions.get(item, 0):
            raise WrongAnswer(f"out of date: {page}; this client had changed it to {self.least_versions[item]}")

    def enter(self) -> None:
        self.session, self.cart = self.log_in(self.user), 0

    def exit(self) -> None:
        self.log_out(self.user, self.session, self.cart)

    # The requests of the mix.

    def get_item(self, item: int) -> None:
        self.look_at(self.call("GET", f"/item/{item}", self.session, self.user))

    def get_catalogue(self, item: int) -> None:
        for page in self.call("GET", f"/catalogue/{item % CATALOGUE}", self.session, self.user):
            self.look_at(page)
            self.notes.shown[page["item"]] += 1

    def get_item_anonymously(self, item: int) -> None:
        page = self.call("GET", f"/item/{item}", "", "127.0.0.1")
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
        self.exit()
        self.enter()

    def leave(self, item: int) -> None:
        self.log_in(self.user, more="")


# --- the services -------------------------------------------------------------------------------


class Round(NamedTuple):
    requests_per_second: float
    cpu_microseconds: float  # of the service, for a request
    latencies: list[float]  # seconds


class Service:
    """A process that serves, and the clients that have used it."""

    def __init__(self, kind: str, threads: int) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        options = {
            "state": kind,
            "port": 0,
            "session-seconds": SESSION_SECONDS,
            "window-seconds": WINDOW_SECONDS,
            "anonymous-limit": ANONYMOUS_LIMIT,
            "user-limit": 10**9,
            "idle-seconds": 600,
        }
        self.process = subprocess.Popen(
            [sys.executable, str(SERVICE), *[f"--{name}={value}" for name, value in options.items()], "--until-eof"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        assert self.process.stdout is not None
        address = self.process.stdout.readline()
        if not address.startswith("http://"):
            raise WrongAnswer(f"the service does not start: {self.read_errors()}")
        self.port = int(address.rpartition(":")[2])
        self.clients = [Client(number, self.port) for number in range(threads)]
        self.family = Client(threads, self.port)
        self.rounds: list[Round] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()  # which ends the service
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self.errors.close()

    def read_errors(self) -> str:
        self.errors.seek(0)
        return self.errors.read()

    def report(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request("GET", "/stats")
        report: dict[str, Any] = json.load(connection.getresponse())
        connection.close()
        return report

    def notes(self) -> Notes:
        return Notes(client.notes for client in [*self.clients, self.family])

    def run_round(self, seconds: float) -> None:
        """All clients at once. The clock runs while all of them are logged in."""
        requests, cpu_seconds = self.notes().requests, self.report()["cpu_seconds"]
        cookie = self.family.log_in("family")
        for client in self.clients:
            client.family = cookie
        times: list[float] = []
        errors: list[BaseException] = []
        barrier = threading.Barrier(len(self.clients), action=lambda: times.append(time.perf_counter()))
        latencies: list[float] = []
        ends: list[float] = []

        def run(client: Client) -> None:
            try:
                client.enter()
                client.latencies = []
                barrier.wait()
                client.work(times[0] + seconds)
                ends.append(time.perf_counter())
                latencies.extend(client.latencies)
                client.exit()
                client.connection.close()
            except BaseException as error:  # raised again in the main thread
                errors.append(error)
                barrier.abort()

        threads = [threading.Thread(target=run, args=(client,)) for client in self.clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise next((error for error in errors if not isinstance(error, threading.BrokenBarrierError)), errors[0])
        self.family.log_out("family", cookie, sum(client.family_cart for client in self.clients))
        self.family.connection.close()
        for client in self.clients:
            client.family_cart = 0
        cpu = (self.report()["cpu_seconds"] - cpu_seconds) / (self.notes().requests - requests)
        self.rounds.append(Round(len(latencies) / (max(ends) - times[0]), cpu * 1e6, latencies))


# --- checking -----------------------------------------------------------------------------------


def differences(notes: Notes, report: Mapping[str, Any]) -> list[str]:
    """What the service counted in another way than its clients. Empty if nothing is lost or invented."""
    wrong = []

    def compare(what: str, told: Any, noted: Any) -> None:
        if told != noted:
            wrong.append(f"{what}: {told} instead of {noted}")

    opened, closed = notes.events["opened"], notes.events["closed"]
    events = {"opened": opened, "closed": closed, "expired": opened - closed}
    counters: dict[str, Mapping[Any, int]] = {
        "hits": notes.hits,
        "shown": notes.shown,
        "versions": notes.versions,
        "renders": {item: len(renders) for item, renders in notes.renders.items()},  # each was seen by some client
        "events": {name: count for name, count in events.items() if count},
    }
    for name, noted in counters.items():
        expected = {str(key): count for key, count in noted.items()}
        for key in sorted(expected.keys() | report[name].keys()):
            compare(f"{name} of {key}", report[name].get(key, 0), expected.get(key, 0))
    compare("sessions open", report["sessions_open"], 0)
    for item, renders in notes.renders.items():
        compare(f"numbers of the computations of {item}", sorted(renders), list(range(1, len(renders) + 1)))
        if len(renders) > 1 + notes.versions[item]:
            wrong.append(f"{item} was computed {len(renders)} times for {notes.versions[item]} changes")
    for whose, window in {key[:2] for key in notes.used}:
        passed, refused = (sorted(notes.used.get((whose, window, refused), [])) for refused in (False, True))
        limit = ANONYMOUS_LIMIT if whose == "127.0.0.1" else len(passed)
        number = len(passed) + len(refused)
        compare(f"{whose}, {window}: passed", passed, list(range(1, min(number, limit) + 1)))
        compare(f"{whose}, {window}: refused", refused, list(range(limit + 1, number + 1)))
    return wrong


def check(service: Service) -> Notes:
    """When the last session has expired: are all counters exact?"""
    deadline = time.monotonic() + SESSION_SECONDS + 120
    report = service.report()
    notes = service.notes()
    while time.monotonic() < deadline:
        if notes.events["opened"] == notes.events["closed"] + report["events"].get("expired", 0):
            break
        time.sleep(0.1)
        report = service.report()
    wrong = differences(notes, report)
    if wrong:
        raise WrongAnswer(f"{len(wrong)} counters are wrong, first:\n  " + "\n  ".join(wrong[:10]))
    if errors := service.read_errors():
        raise WrongAnswer(f"the service wrote:\n{errors}")
    return notes


# --- results ------------------------------------------------------------------------------------


def describe(threads: int) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "free_threaded_build": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "gil_enabled": bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "threads": threads,
    }


def summarize(service: Service, notes: Notes) -> dict[str, Any]:
    latencies = sorted(latency for each in service.rounds for latency in each.latencies)
    refused = sum(len(numbers) for (_, _, refused), numbers in notes.used.items() if refused)
    return {
        "requests": notes.requests,
        "refused": refused,
        "computations": sum(map(len, notes.renders.values())),
        "changes": notes.versions.total(),
        "sessions": notes.events["opened"],
        "sessions_expired": notes.events["opened"] - notes.events["closed"],
        "requests_per_second": [each.requests_per_second for each in service.rounds],
        "cpu_microseconds": [each.cpu_microseconds for each in service.rounds],
        "latency_milliseconds": {
            name: latencies[min(int(len(latencies) * part), len(latencies) - 1)] * 1e3
            for name, part in {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}.items()
        },
    }


def paired(results: Mapping[str, Any], name: str) -> list[float]:
    """ShardMaps / dicts and locks, of each round."""
    return [mine / theirs for mine, theirs in zip(results["shardmap"][name], results["lock"][name], strict=True)]


def spread(values: Sequence[float], form: str) -> str:
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def table(results: dict[str, Any]) -> str:
    """The results as a table of Markdown."""
    gil = "on" if results["gil_enabled"] else "off"
    kinds = [results[kind] for kind in KINDS]
    rows = [["", *KINDS.values(), "ShardMaps / dicts and locks"], ["---"] * 4]
    for name, title, form in [
        ("requests_per_second", "requests a second", ",.0f"),
        ("cpu_microseconds", "CPU time of the service for a request, µs", ".1f"),
    ]:
        rows.append([title, *(spread(kind[name], form) for kind in kinds), spread(paired(results, name), ".3f")])
    for name in kinds[0]["latency_milliseconds"]:
        values = [kind["latency_milliseconds"][name] for kind in kinds]
        rows.append([f"latency, {name}, ms", *(f"{value:.2f}" for value in values), f"{values[1] / values[0]:.3f}"])
    for name in ("requests", "refused", "sessions", "sessions_expired", "changes", "computations"):
        rows.append([name.replace("_", " "), *(f"{kind[name]:,}" for kind in kinds), "each counter exact"])
    head = (
        f"Python {results['python']}, GIL {gil}, {results['usable_cores']} CPUs; {results['threads']} client threads, "
        f"{len(kinds[0]['requests_per_second'])} rounds of {results['round_seconds']:.1f} s each; "
        "medians of the rounds (and quartiles)."
    )
    return "\n".join([head, "", *("| " + " | ".join(row) + " |" for row in rows)])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    add = parser.add_argument
    add("--threads", type=int, default=8, help="clients; default: %(default)s")
    add("--seconds", type=float, default=60, help="of load on each version; default: %(default)s")
    add("--rounds", type=int, default=24, help="of each version, in turns; default: %(default)s")
    add("--output", type=Path, default=Path("build/web"), metavar="DIR", help="%(default)s")
    options = parser.parse_args(arguments)
    if options.threads < 1 or options.rounds < 1 or options.seconds <= 0:
        parser.error("--threads and --rounds must be at least 1, --seconds more than 0")
    results = describe(options.threads)
    results["round_seconds"] = round_seconds = options.seconds / options.rounds
    try:
        with ExitStack() as stack:
            services = {kind: stack.enter_context(Service(kind, options.threads)) for kind in KINDS}
            for number in range(options.rounds):
                for kind in sorted(KINDS, reverse=number % 2 == 1):
                    services[kind].run_round(round_seconds)
                speeds = {title: services[kind].rounds[-1].requests_per_second for kind, title in KINDS.items()}
                told = ", ".join(f"{title} {speed:,.0f} requests/s" for title, speed in speeds.items())
                print(f"round {number + 1} of {options.rounds}: {told}", file=sys.stderr, flush=True)
            for kind, service in services.items():
                results[kind] = summarize(service, check(service))
    except (WrongAnswer, http.client.HTTPException, OSError) as error:
        print(f"\nfailed: {error!r}" if not isinstance(error, WrongAnswer) else f"\nfailed: {error}", file=sys.stderr)
        return 1
    path = options.output / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
