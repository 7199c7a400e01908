"""A threaded web shop whose sessions, cache and counters are shared by all its threads.

    python examples/web_service.py [--state shardmap|lock] [--port N]

It uses the standard library's HTTP server, with a thread for each kept-alive connection. web_service_state.py has the
state in two versions: with ShardMaps, and with dicts and locks, as in many programs today. web_service_load.py puts
load on both and checks every counter.

    GET  /item/7       one item; its page comes from the cache, because it is expensive to compute
    GET  /catalogue/0  40 items at once; counts for each that it was shown
    POST /item/7       the item has changed: its page is computed again
    POST /login        user=anna[&remember=1]: opens a session, whose name is in a cookie
    POST /cart/7       puts one more thing into the session's cart
    POST /logout       ends the session; returns how many things were in the cart
    GET  /stats        all counters
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import statistics
import sys
import threading
import time
import traceback
import urllib.parse
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from web_service_state import STATES, Session, State

ITEMS = 2000
SHOWN = 40  # items on a page of the catalogue
REVIEWS = 500  # of each item; a cached page saves adding them up
LONGEST_BODY = 10_000
REMEMBERED = 30 * 86_400.0  # seconds


# --- the shop -----------------------------------------------------------------------------------


class Answer(NamedTuple):
    status: HTTPStatus
    body: bytes = b"{}"
    headers: Mapping[str, str] = {}


class Shop:
    """Handles requests. It does not use sockets."""

    def __init__(self, state: State, session_seconds: float, limits: tuple[int, int]) -> None:
        self.state = state
        self.session_seconds = session_seconds
        self.anonymous_limit, self.user_limit = limits  # requests in a window

    def render(self, item: int) -> bytes:
        version = self.state.versions.get(item, 0)
        stars = random.Random(item * 1000 + version).choices(range(1, 6), k=REVIEWS)
        page = {
            "item": item,
            "version": version,
            "render": self.state.renders.add(item),
            "stars": statistics.fmean(stars),
            "deviation": statistics.pstdev(stars),
        }
        return json.dumps(page).encode()

    def log_in(self, form: Mapping[str, str]) -> Answer:
        if not form.get("user"):
            return Answer(HTTPStatus.BAD_REQUEST)
        name = secrets.token_urlsafe()
        lifetime = REMEMBERED if form.get("remember") else self.session_seconds
        self.state.open_session(name, Session(form["user"], lifetime, self.state.clock() + lifetime))
        cookie = f"session={name}; HttpOnly; SameSite=Lax; Path=/"
        return Answer(HTTPStatus.CREATED, headers={"Set-Cookie": cookie})

    def stats(self) -> Answer:
        """Each map at one point in time."""
        state = self.state
        names = ["hits", "shown", "versions", "renders", "events"]
        report: dict[str, Any] = {name: dict(getattr(state, name).items()) for name in names}
        report.update(sessions_open=state.sessions_open(), cpu_seconds=time.process_time())
        return Answer(HTTPStatus.OK, json.dumps(report).encode())

    def answer(self, method: str, path: str, address: str, name: str | None, form: Mapping[str, str]) -> Answer:
        """name: of the session, from the cookie."""
        if (method, path) == ("GET", "/stats"):
            return self.stats()
        if (method, path) == ("POST", "/login"):
            return self.log_in(form)
        session = self.state.find_session(name) if name else None
        client, limit = (session.user, self.user_limit) if session else (address, self.anonymous_limit)
        used, window = self.state.count_request(client)
        headers = {"X-RateLimit-Used": str(used), "X-RateLimit-Reset": str((window + 1) * self.state.window_seconds)}
        if used > limit:
            return Answer(HTTPStatus.TOO_MANY_REQUESTS, headers=headers)
        answer = self.serve(method, path, name if session else None)
        if answer.status == HTTPStatus.OK:
            self.state.hits.add(f"{method} {path}")
        return answer._replace(headers=headers)

    def serve(self, method: str, path: str, name: str | None) -> Answer:
        state = self.state
        if (method, path) == ("POST", "/logout"):
            ended = state.close_session(name) if name else None
            return say(ended and ended.cart, "cart")
        _, kind, text = path.split("/") if path.count("/") == 2 else ("", "", "")
        number = int(text) if text.isdecimal() and len(text) < 10 else -1
        if not 0 <= number < (ITEMS // SHOWN if kind == "catalogue" else ITEMS):
            return Answer(HTTPStatus.NOT_FOUND)
        match method, kind:
            case "GET", "item":
                return Answer(HTTPStatus.OK, state.page(number, self.render))
            case "GET", "catalogue":
                items = range(number * SHOWN, (number + 1) * SHOWN)
                state.show(items)
                return Answer(HTTPStatus.OK, b"[%b]" % b",".join(state.pages(items, self.render)))
            case "POST", "item":
                version = state.versions.add(number)
                state.forget_page(number)  # after the change; else a page of the old version could stay in the cache
                return say(version, "version")
            case "POST", "cart":
                return say(state.add_to_cart(name) if name else None, "cart")
        return Answer(HTTPStatus.NOT_FOUND)


def say(value: int | None, name: str) -> Answer:
    if value is None:
        return Answer(HTTPStatus.UNAUTHORIZED)
    return Answer(HTTPStatus.OK, json.dumps({name: value}).encode())


# --- HTTP ---------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"  # connections are kept alive
    disable_nagle_algorithm = True
    wbufsize = -1  # buffered, so that head and body are sent together

    def setup(self) -> None:
        self.request.settimeout(self.server.idle_seconds)
        super().setup()

    def answer(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > LONGEST_BODY or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # the rest of the body would be read as the next request
            self.send(Answer(HTTPStatus.BAD_REQUEST))
            return
        body = self.rfile.read(int(length))
        try:
            form = dict(urllib.parse.parse_qsl(body.decode()))
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get("session")
        except (CookieError, ValueError):
            self.send(Answer(HTTPStatus.BAD_REQUEST))
            return
        name = cookie.value if cookie else None
        try:
            answer = self.server.shop.answer(self.command, self.path, self.client_address[0], name, form)
        except Exception:  # an error in one request must not end the connection's thread
            traceback.print_exc()
            answer = Answer(HTTPStatus.INTERNAL_SERVER_ERROR)
        self.send(answer)

    do_GET = do_POST = answer

    def send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """No access log, because it would take most of the measured time."""


class Server(ThreadingHTTPServer):
    """A thread for each connection, up to a limit. More connections wait in the listening socket's queue."""

    request_queue_size = 128

    def __init__(self, port: int, shop: Shop, connections: int = 100, idle_seconds: float = 60.0) -> None:
        self.shop = shop
        self.idle_seconds = idle_seconds
        self.free = threading.BoundedSemaphore(connections)
        super().__init__(("127.0.0.1", port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.free.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.free.release()


def clean_up(state: State, seconds: float, stopping: threading.Event) -> None:
    while not stopping.wait(seconds):
        state.expire_sessions()


def stop_at_eof(server: Server) -> None:
    while os.read(sys.stdin.fileno(), 1000):
        pass
    server.shutdown()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    add = parser.add_argument
    add("--state", choices=STATES, default="shardmap", help="default: %(default)s")
    add("--port", type=int, default=8000, help="0: any that is free; default: %(default)s")
    add("--session-seconds", type=float, default=1800, help="without a request; default: %(default)s")
    add("--window-seconds", type=int, default=60, help="of the limits; default: %(default)s")
    add("--anonymous-limit", type=int, default=600, help="requests in a window; default: %(default)s")
    add("--user-limit", type=int, default=6000, help="requests in a window; default: %(default)s")
    add("--idle-seconds", type=float, default=60, help="an idle connection is closed; default: %(default)s")
    add("--until-eof", action="store_true", help="stop when the standard input ends")
    options = parser.parse_args(arguments)
    state = STATES[options.state](options.window_seconds)
    shop = Shop(state, options.session_seconds, (options.anonymous_limit, options.user_limit))
    stopping = threading.Event()
    with Server(options.port, shop, idle_seconds=options.idle_seconds) as server:
        cleaner = threading.Thread(target=clean_up, args=(state, min(options.session_seconds, 1), stopping))
        cleaner.start()
        if options.until_eof:
            threading.Thread(target=stop_at_eof, args=(server,), daemon=True).start()
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            stopping.set()
            cleaner.join()


if __name__ == "__main__":
    main()
