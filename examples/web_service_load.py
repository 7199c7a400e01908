"""Put load on web_service.py, with its state in ShardMaps and in dicts with locks, and compare the two.

    python examples/web_service_load.py [--direct] [--threads N] [--seconds S] [--rounds N] [--starts N] [--output DIR]

Each version of the service is a process of its own. The clients are threads of another process. Each keeps a connection
alive and sends one request after the other. The versions run in turns, in short rounds. They are restarted several
times, because one process may be a few per cent faster than another one of the same program. Clients note the answers.
At the end, every counter of the service must agree exactly with the notes. A wrong counter, an unexpected answer or
any output on the service's standard error leads to exit status 1. With --direct, the clients call the shop without
HTTP, in one process. HTTP takes most of a request's time, so only this mode shows the cost of the maps. The program
needs only the standard library and shardmap.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from array import array
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self

from starting import start_and_join
from web_service import Shop
from web_service_clients import ADDRESS, Client, DirectClient, HTTPClient, Notes, WrongAnswer, differences
from web_service_state import STATES

SERVICE = Path(__file__).with_name("web_service.py")
KINDS = {"lock": "dicts and locks", "shardmap": "ShardMaps"}
WINDOW_SECONDS = 2
ANONYMOUS_LIMIT = 300  # requests of an address in a window; more are sent, and refused
USER_LIMIT = 10**9


# --- the services -------------------------------------------------------------------------------


class Round(NamedTuple):
    requests_per_second: float
    cpu_microseconds: float  # of the service's process, for a request
    latencies: array[float]  # seconds


class Service(ABC):
    """One version of the shop, and the clients that use it."""

    def __init__(self, clients: Sequence[Client]) -> None:
        *self.clients, self.family = clients  # the last one logs in for all clients, which share that session
        self.rounds: list[Round] = []

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, *error: object) -> None: ...

    @abstractmethod
    def report(self) -> dict[str, Any]:
        """GET /stats"""

    def errors(self) -> str:
        """The output on the service's standard error."""
        return ""

    def notes(self) -> Notes:
        return Notes(client.notes for client in [*self.clients, self.family])

    def requests(self) -> int:
        return sum(client.notes.requests for client in [*self.clients, self.family])

    def run_round(self, seconds: float) -> None:
        """Runs all clients at once. The measured time is the time in which all of them are logged in."""
        requests, cpu_seconds = self.requests(), self.report()["cpu_seconds"]
        cookie = self.family.log_in("family", remember="1")
        times: list[float] = []
        ends: list[float] = []
        errors: list[BaseException] = []
        barrier = threading.Barrier(len(self.clients), action=lambda: times.append(time.perf_counter()))
        latencies: list[array[float]] = []

        def run(client: Client) -> None:
            try:
                client.family, client.family_cart = cookie, 0
                client.enter()
                client.latencies = array("d")
                barrier.wait()
                client.work(times[0] + seconds)
                ends.append(time.perf_counter())
                latencies.append(client.latencies)
                client.latencies = array("d")
                client.leave_shop()
                client.close()
            except BaseException as error:  # raised again in the main thread
                errors.append(error)
                barrier.abort()

        threads = [threading.Thread(target=run, args=(client,)) for client in self.clients]
        start_and_join(threads, barrier)
        if errors:
            raise next((error for error in errors if not isinstance(error, threading.BrokenBarrierError)), errors[0])
        self.family.log_out("family", cookie, sum(client.family_cart for client in self.clients))
        self.family.close()
        cpu = (self.report()["cpu_seconds"] - cpu_seconds) / (self.requests() - requests)
        together = array("d", chain.from_iterable(latencies))
        self.rounds.append(Round(len(together) / (max(ends) - times[0]), cpu * 1e6, together))

    def check(self, patience: float = 120) -> Notes:
        """Checks, after the last session has expired, that all counters are exact."""
        notes = self.notes()
        left = notes.events["opened"] - notes.events["closed"]
        deadline = time.monotonic() + patience
        while (report := self.report())["events"].get("expired", 0) < left and time.monotonic() < deadline:
            time.sleep(0.1)
        if wrong := differences(notes, report, ANONYMOUS_LIMIT):
            raise WrongAnswer(f"{len(wrong)} counters are wrong, first:\n  " + "\n  ".join(wrong[:10]))
        if errors := self.errors():
            raise WrongAnswer(f"the service wrote:\n{errors}")
        return notes


class DirectService(Service):
    def __init__(self, kind: str, threads: int, session_seconds: float) -> None:
        self.shop = Shop(STATES[kind](WINDOW_SECONDS), session_seconds, (ANONYMOUS_LIMIT, USER_LIMIT))
        super().__init__([DirectClient(number, self.shop) for number in range(threads + 1)])

    def __exit__(self, *error: object) -> None:
        """Releases everything."""

    def report(self) -> dict[str, Any]:
        self.shop.state.expire_sessions()
        report: dict[str, Any] = json.loads(self.shop.stats().body)
        return report


class HTTPService(Service):
    """A service in a process of its own."""

    def __init__(self, kind: str, threads: int, session_seconds: float) -> None:
        options = {
            "state": kind,
            "port": 0,
            "session-seconds": session_seconds,
            "window-seconds": WINDOW_SECONDS,
            "anonymous-limit": ANONYMOUS_LIMIT,
            "user-limit": USER_LIMIT,
            "idle-seconds": 600,
        }
        self.written = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(
            [sys.executable, str(SERVICE), *[f"--{name}={value}" for name, value in options.items()], "--until-eof"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.written,
            text=True,
        )
        assert self.process.stdout is not None
        address = self.process.stdout.readline()
        if not address.startswith("http://"):
            error = WrongAnswer(f"the service did not start; its output: {address}")
            self.__exit__(error)
            raise error
        self.port = int(address.rpartition(":")[2])
        super().__init__([HTTPClient(number, self.port) for number in range(threads + 1)])

    def __exit__(self, *error: object) -> None:
        with self.process:  # waits, and closes the pipes
            assert self.process.stdin is not None
            self.process.stdin.close()  # which ends the service
            try:
                self.process.wait(600)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        if any(error):
            sys.stderr.write(self.errors())
        self.written.close()

    def errors(self) -> str:
        self.written.seek(0)
        return self.written.read()

    def report(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection(ADDRESS, self.port, timeout=600)
        try:
            connection.request("GET", "/stats")
            report: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return report


# --- results ------------------------------------------------------------------------------------


def describe(threads: int, direct: bool) -> dict[str, Any]:
    return {
        "direct": direct,
        "python": platform.python_version(),
        "free_threaded_build": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "gil_enabled": bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "threads": threads,
    }


def summarize(parts: Sequence[tuple[Notes, Sequence[Round]]]) -> dict[str, Any]:
    """The measurements of one version, of all its starts."""
    notes = [part for part, _ in parts]
    rounds = [each for _, part in parts for each in part]
    latencies = sorted(chain.from_iterable(each.latencies for each in rounds))
    opened = sum(part.events["opened"] for part in notes)
    return {
        "requests": sum(part.requests for part in notes),
        "refused": sum(len(used) for part in notes for (_, _, refused), used in part.used.items() if refused),
        "computations": sum(len(renders) for part in notes for renders in part.renders.values()),
        "changes": sum(part.versions.total() for part in notes),
        "sessions": opened,
        "sessions_expired": opened - sum(part.events["closed"] for part in notes),
        "requests_per_second": [each.requests_per_second for each in rounds],
        "cpu_microseconds": [each.cpu_microseconds for each in rounds],
        "latency_milliseconds": {
            name: latencies[min(int(len(latencies) * part), len(latencies) - 1)] * 1e3
            for name, part in {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}.items()
        },
    }


def paired(results: Mapping[str, Any], name: str) -> list[float]:
    """The ratio of ShardMaps to dicts and locks, for each round."""
    return [mine / theirs for mine, theirs in zip(results["shardmap"][name], results["lock"][name], strict=True)]


def spread(values: Sequence[float], form: str) -> str:
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def table(results: dict[str, Any]) -> str:
    """The results as a Markdown table."""
    gil = "on" if results["gil_enabled"] else "off"
    kinds = [results[kind] for kind in KINDS]
    rows = [["", *KINDS.values(), "ShardMaps / dicts and locks"], ["---"] * 4]
    cpu = "CPU time for a request, µs" if results["direct"] else "CPU time of the service for a request, µs"
    for name, title, form in [("requests_per_second", "requests a second", ",.0f"), ("cpu_microseconds", cpu, ".1f")]:
        rows.append([title, *(spread(kind[name], form) for kind in kinds), spread(paired(results, name), ".3f")])
    for name in kinds[0]["latency_milliseconds"]:
        values = [kind["latency_milliseconds"][name] for kind in kinds]
        rows.append([f"latency, {name}, ms", *(f"{value:.2f}" for value in values), f"{values[1] / values[0]:.3f}"])
    rows += [
        [name.replace("_", " "), *(f"{kind[name]:,}" for kind in kinds), "each counter exact"]
        for name in ("requests", "refused", "sessions", "sessions_expired", "changes", "computations")
    ]
    way = "without HTTP" if results["direct"] else "HTTP on the loopback"
    head = (
        f"Python {results['python']}, GIL {gil}, {results['usable_cores']} CPUs; {way}, {results['threads']} client "
        f"threads, {len(kinds[0]['requests_per_second'])} rounds of {results['round_seconds']:.2g} s each; medians of "
        f"the rounds (and quartiles), {results['starts']} starts."
    )
    return "\n".join([head, "", *("| " + " | ".join(row) + " |" for row in rows)])


def run_rounds(numbers: range, options: argparse.Namespace) -> dict[str, tuple[Notes, Sequence[Round]]]:
    """Starts both versions, runs their rounds in turns, checks the counters."""
    service: type[DirectService] | type[HTTPService] = DirectService if options.direct else HTTPService
    with ExitStack() as stack:
        services = {
            kind: stack.enter_context(service(kind, options.threads, options.session_seconds)) for kind in KINDS
        }
        for number in numbers:
            for kind in sorted(KINDS, reverse=number % 2 == 1):
                services[kind].run_round(options.seconds / options.rounds)
            speeds = [f"{title} {services[kind].rounds[-1].requests_per_second:,.0f}" for kind, title in KINDS.items()]
            print(f"round {number + 1} of {options.rounds}, requests/s:", *speeds, file=sys.stderr, flush=True)
        return {kind: (each.check(), each.rounds) for kind, each in services.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    add = parser.add_argument
    add("--direct", action="store_true", help="without HTTP, in one process")
    add("--threads", type=int, default=8, help="clients; default: %(default)s")
    add("--seconds", type=float, default=60, help="of load on each version; default: %(default)s")
    add("--rounds", type=int, default=120, help="of each version, in turns; default: %(default)s")
    add("--starts", type=int, default=6, help="of each version's process, for as many rounds; default: %(default)s")
    add("--session-seconds", type=float, default=3, help="until one that nobody ends expires; default: %(default)s")
    add("--output", type=Path, default=Path("build/web"), metavar="DIR", help="%(default)s")
    options = parser.parse_args(arguments)
    if min(options.threads, options.starts) < 1 or options.rounds < options.starts or options.seconds <= 0:
        parser.error("--threads, --starts and --seconds must be more than 0, --rounds not less than --starts")
    results = describe(options.threads, options.direct)
    results.update(round_seconds=options.seconds / options.rounds, starts=options.starts)
    parts: dict[str, list[tuple[Notes, Sequence[Round]]]] = {kind: [] for kind in KINDS}
    try:
        for start in range(options.starts):
            first, end = (number * options.rounds // options.starts for number in (start, start + 1))
            for kind, part in run_rounds(range(first, end), options).items():
                parts[kind].append(part)
    except WrongAnswer as error:
        print(f"\nfailed: {error}", file=sys.stderr)
        return 1
    results.update((kind, summarize(parts[kind])) for kind in KINDS)
    path = options.output / ("direct.json" if options.direct else "http.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
