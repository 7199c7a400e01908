"""The example examples/web_service.py: what it answers, that both its states are exact, and that its load test would
notice if one was not."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from harness.examples import EXAMPLES, import_example
from harness.threads import LONG, run_alike, run_threads

states = import_example("web_service_state")
service = import_example("web_service")
clients = import_example("web_service_clients")
load = import_example("web_service_load")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=states.STATES)
def state(request: pytest.FixtureRequest) -> Any:
    return states.STATES[request.param](10, Clock())


# --- the state ----------------------------------------------------------------------------------


def test_a_session_lives_as_long_as_it_is_used(state: Any) -> None:
    state.open_session("a", states.Session("anna", 100, 1100))
    for _ in range(3):
        state.clock.now += 60
        assert state.find_session("a").user == "anna"
    state.clock.now += 100
    assert state.find_session("a") is None
    assert state.add_to_cart("a") is None and state.close_session("a") is None
    assert dict(state.events.items()) == {"opened": 1, "expired": 1}


def test_sessions_that_nobody_asks_for_expire_once(state: Any) -> None:
    for number in range(10):
        state.open_session(str(number), states.Session("anna", 100, 1100 + number % 2 * 100))
    state.clock.now += 100
    run_alike(4, lambda _: state.expire_sessions())
    assert state.sessions_open() == 5
    assert dict(state.events.items()) == {"opened": 10, "expired": 5}


def test_nothing_put_into_a_cart_is_lost(state: Any) -> None:
    state.open_session("a", states.Session("anna", 100, 1100))
    state.clock.now += 50  # so that looking the session up extends it, which must not undo what others put in

    def put(number: int) -> None:
        for _ in range(100):
            state.add_to_cart("a")
            state.find_session("a")

    run_alike(4, put)
    assert state.close_session("a").cart == 400


def test_requests_are_numbered_within_their_window(state: Any) -> None:
    numbers = run_alike(4, lambda _: [state.count_request("anna") for _ in range(50)])
    assert sorted(chain.from_iterable(numbers)) == [(number, 100) for number in range(1, 201)]
    state.clock.now += 10
    assert state.count_request("anna") == (1, 101)
    state.clock.now -= 10  # the clock was set back: still the newer window
    assert state.count_request("anna") == (2, 101)


def test_a_page_is_computed_once_however_many_ask(state: Any) -> None:
    computed: list[int] = []

    def render(item: int) -> bytes:
        computed.append(item)
        return b"page"

    asked = run_alike(8, lambda _: [state.page(7, render), *state.pages([7, 8], render)])
    assert asked == [[b"page"] * 3] * 8
    assert sorted(computed) == [7, 8]


def test_an_error_in_a_computation_is_not_cached(state: Any) -> None:
    def fail(item: int) -> bytes:
        raise OSError("no more paper")

    with pytest.raises(OSError, match="paper"):
        state.page(7, fail)
    assert state.page(7, lambda item: b"page") == b"page"


def test_a_page_that_was_computed_before_a_change_does_not_stay(state: Any) -> None:
    computing, changed = threading.Event(), threading.Event()

    def render(item: int) -> bytes:
        version = state.versions.get(item, 0)
        computing.set()
        assert changed.wait(LONG)
        return b"%d" % version

    def change() -> None:
        assert computing.wait(LONG)
        state.versions.add(7)
        changed.set()
        state.forget_page(7)

    run_threads(lambda: state.page(7, render), change)
    assert state.page(7, render) == b"1"


# --- HTTP ---------------------------------------------------------------------------------------


@pytest.fixture
def connection(state: Any) -> Iterator[http.client.HTTPConnection]:
    """To a service that admits 20 anonymous requests in a window."""
    with service.Server(0, service.Shop(state, 100, (20, 1000))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=LONG)
        try:
            yield connection
        finally:
            connection.close()
            server.shutdown()
            thread.join()


def ask(connection: http.client.HTTPConnection, method: str, path: str, **more: Any) -> tuple[int, Any, Any]:
    connection.request(method, path, **more)
    answer = connection.getresponse()
    return answer.status, answer.headers, json.loads(answer.read())


def test_a_visit_on_one_connection(connection: http.client.HTTPConnection) -> None:
    connection.connect()
    socket = connection.sock
    status, headers, _ = ask(connection, "POST", "/login", body="user=anna")
    assert status == 201 and "HttpOnly" in headers["Set-Cookie"]
    cookie = {"Cookie": headers["Set-Cookie"].partition(";")[0]}
    status, headers, first = ask(connection, "GET", "/item/7", headers=cookie)
    assert (status, headers["X-RateLimit-Used"], headers["X-RateLimit-Reset"]) == (200, "1", "1010")
    assert (first["item"], first["version"], first["render"]) == (7, 0, 1) and 1 <= first["stars"] <= 5
    status, _, page = ask(connection, "GET", "/catalogue/0", headers=cookie)
    assert status == 200 and [each["item"] for each in page] == list(range(40)) and page[7] == first
    assert ask(connection, "POST", "/item/7", headers=cookie)[2] == {"version": 1}
    second = ask(connection, "GET", "/item/7", headers=cookie)[2]
    assert (second["version"], second["render"]) == (1, 2)
    assert [ask(connection, "POST", "/cart/7", headers=cookie)[2] for _ in range(2)] == [{"cart": 1}, {"cart": 2}]
    assert ask(connection, "POST", "/logout", headers=cookie)[2] == {"cart": 2}
    assert ask(connection, "POST", "/logout", headers=cookie)[0] == 401
    report = ask(connection, "GET", "/stats")[2]
    assert report["hits"] == {
        "GET /item/7": 2, "GET /catalogue/0": 1, "POST /item/7": 1, "POST /cart/7": 2, "POST /logout": 1
    }  # fmt: skip
    assert report["shown"] == {str(item): 1 for item in range(40)}
    assert report["versions"] == {"7": 1} and report["renders"] == {str(n): 1 + (n == 7) for n in range(40)}
    assert report["events"] == {"opened": 1, "closed": 1} and report["sessions_open"] == 0
    assert connection.sock is socket


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 404),
        ("GET", "/item/2000", {}, 404),
        ("GET", "/item/-1", {}, 404),
        ("GET", "/item/" + "9" * 5000, {}, 404),
        ("GET", "/catalogue/50", {}, 404),
        ("GET", "/item/7/8", {}, 404),
        ("POST", "/catalogue/1", {}, 404),
        ("POST", "/cart/7", {}, 401),
        ("POST", "/cart/7", {"Cookie": "session=none"}, 401),
        ("POST", "/login", {}, 400),
        ("POST", "/login", {"Content-Length": "ten"}, 400),
        ("POST", "/login", {"Content-Length": "100000"}, 400),
        ("GET", "/item/7", {"Cookie": "\x01=;;session"}, 200),
    ],
)
def test_what_makes_no_sense_gets_its_status(
    connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert ask(connection, method, path, headers=headers)[0] == status
    assert ask(connection, "GET", "/item/1")[0] == 200  # on a new connection, if that one had to end


def test_too_many_requests_are_refused_until_the_window_ends(
    connection: http.client.HTTPConnection, state: Any
) -> None:
    assert [ask(connection, "GET", "/item/7")[0] for _ in range(25)] == [200] * 20 + [429] * 5
    state.clock.now += 10
    assert ask(connection, "GET", "/item/7")[0] == 200


def test_an_error_in_one_request_does_not_end_the_service(
    connection: http.client.HTTPConnection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(service, "REVIEWS", -1)
        assert ask(connection, "GET", "/item/7")[0] == 500
    assert "Traceback" in capsys.readouterr().err
    assert ask(connection, "GET", "/item/7")[0] == 200


# --- the load test ------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [["--direct"], []])
def test_under_load_every_counter_is_exact(tmp_path: Path, way: list[str]) -> None:
    options = [*way, "--threads=3", "--seconds=0.4", "--rounds=2", "--starts=1", "--session-seconds=0.2"]
    options.append(f"--output={tmp_path}")
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "error", str(EXAMPLES / "web_service_load.py"), *options],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line[:12] for line in done.stderr.splitlines()] == ["round 1 of 2", "round 2 of 2"]
    assert "| requests a second |" in done.stdout and done.stdout.count("each counter exact") == 6
    results = json.loads((tmp_path / ("direct.json" if way else "http.json")).read_text())
    for kind in load.KINDS:
        assert results[kind]["requests"] > 2 * 3 and results[kind]["sessions"] >= 2 * 4
        assert len(results[kind]["requests_per_second"]) == 2
        assert 0 < results[kind]["latency_milliseconds"]["p50"] <= results[kind]["latency_milliseconds"]["max"]


class OneHitLost(states.ShardMapState):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.hits = Counters(self.hits)


class Counters:
    """Loses the tenth addition."""

    def __init__(self, counters: Any) -> None:
        self.counters = counters
        self.calls = 0

    def add(self, key: str) -> int:
        self.calls += 1
        return self.counters.get(key, 0) if self.calls == 10 else self.counters.add(key)

    def items(self) -> Any:
        return self.counters.items()


class PagesComputedAgain(states.ShardMapState):
    def page(self, item: int, render: Callable[[int], bytes]) -> bytes:
        return render(item)


class PagesStay(states.ShardMapState):
    def forget_page(self, item: int) -> None:
        pass


class NumbersGivenTwice(states.ShardMapState):
    def count_request(self, client: str) -> Any:
        used, window = super().count_request(client)
        return states.Admission(used - (used == 5), window)


class CartsLeak(states.ShardMapState):
    def add_to_cart(self, name: str) -> int | None:
        put = super().add_to_cart(name)
        return put and put - (put == 3)


class SessionsStay(states.ShardMapState):
    def expire_sessions(self) -> None:
        pass


def shop_a_while(state: Any) -> list[str]:
    shop = service.Shop(state, 100, (30, 10**6))
    client = clients.DirectClient(0, shop)
    client.family = client.log_in("family", remember="1")
    client.enter()
    for _, (action, item) in zip(range(250), client.plan, strict=False):
        action(item)
    client.leave_shop()
    client.log_out("family", client.family, client.family_cart)
    state.clock.now += 100
    state.expire_sessions()
    return clients.differences(client.notes, json.loads(shop.stats().body), 30)


def test_nothing_differs_where_nothing_is_lost(state: Any) -> None:
    assert shop_a_while(state) == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (OneHitLost, "hits of "),
        (PagesComputedAgain, "was computed"),
        (NumbersGivenTwice, "user0 in the window to 1010: passed [1, 2, 3, 4, 4, 6, "),
        (SessionsStay, "sessions open: "),
    ],
)
def test_a_wrong_counter_is_noticed(fault: Any, said: str) -> None:
    assert any(said in line for line in shop_a_while(fault(10, Clock())))


@pytest.mark.parametrize(("fault", "said"), [(PagesStay, "out of date"), (CartsLeak, "things into the cart; in it")])
def test_a_wrong_answer_is_noticed(fault: Any, said: str) -> None:
    with pytest.raises(clients.WrongAnswer, match=said):
        shop_a_while(fault(10, Clock()))


def test_a_wrong_counter_is_exit_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(states.STATES, "shardmap", OneHitLost)
    options = ["--direct", "--threads=2", "--seconds=0.1", "--rounds=1", "--starts=1", "--session-seconds=0.1"]
    assert load.main([*options, "--output", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert "1 counters are wrong" in printed.err and "hits of " in printed.err
    assert not printed.out and not list(tmp_path.iterdir())
