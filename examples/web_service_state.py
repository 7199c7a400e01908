"""The data that the threads of web_service.py share: sessions, cache, counters. Two versions with one interface."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol, TypeVar

from shardmap import AtomicRef, ShardCache, ShardMap

K = TypeVar("K")
Clock = Callable[[], float]
Render = Callable[[int], bytes]


class Session(NamedTuple):
    user: str
    lifetime: float  # seconds without a request
    expires: float
    cart: int = 0

    def extended(self, now: float) -> Session:
        """The session after a request now. It changes only if a tenth of the lifetime is over, so most requests write
        nothing."""
        return self if self.expires - now > 0.9 * self.lifetime else self._replace(expires=now + self.lifetime)


class Admission(NamedTuple):
    used: int  # the client's requests in the window, this one included
    window: int


class Counters(Protocol[K]):
    """The methods that a map of counters needs. A ShardMap has them."""

    def add(self, key: K, /) -> int: ...
    def get(self, key: K, default: int, /) -> int: ...
    def items(self) -> Iterable[tuple[K, int]]: ...


class State(ABC):
    """All data that requests share. Any thread may call every method, and all counts are exact."""

    clock: Clock
    window_seconds: int
    hits: Counters[str]  # answers by path
    shown: Counters[int]  # items shown in the catalogue
    versions: Counters[int]  # changes of an item
    renders: Counters[int]  # computations of an item's page
    events: Counters[str]  # sessions opened, closed, expired

    @abstractmethod
    def open_session(self, name: str, session: Session) -> None: ...

    @abstractmethod
    def find_session(self, name: str) -> Session | None:
        """The session, extended, or None if there is none or it has expired."""

    @abstractmethod
    def add_to_cart(self, name: str) -> int | None:
        """Adds one thing; returns how many are in the cart. None without a session."""

    def close_session(self, name: str) -> Session | None:
        session = self.remove_session(name)
        if session is not None:
            self.events.add("closed")
        return session

    @abstractmethod
    def remove_session(self, name: str) -> Session | None: ...

    @abstractmethod
    def expire_sessions(self) -> None:
        """Removes expired sessions, also those that no request looks up any more."""

    @abstractmethod
    def sessions_open(self) -> int: ...

    @abstractmethod
    def count_request(self, client: str) -> Admission: ...

    @abstractmethod
    def show(self, items: Iterable[int]) -> None:
        """Counts for each item that it was shown once more."""

    @abstractmethod
    def page(self, item: int, render: Render) -> bytes:
        """The page from the cache, or computed. If many threads ask at once, it is computed once."""

    @abstractmethod
    def pages(self, items: Sequence[int], render: Render) -> list[bytes]: ...

    @abstractmethod
    def forget_page(self, item: int) -> None:
        """Each later call of page() returns a page whose computation begins after this call."""


# --- with ShardMaps -----------------------------------------------------------------------------


class Window(NamedTuple):
    """The requests of each client in one window of time."""

    number: int
    used: ShardMap[str, int]


class ShardMapState(State):
    def __init__(self, window_seconds: int, clock: Clock = time.time) -> None:
        self.clock = clock
        self.window_seconds = window_seconds
        self.sessions: ShardMap[str, Session] = ShardMap()
        self.cache: ShardCache[int, bytes] = ShardCache(10_000)
        self.window = AtomicRef(Window(0, ShardMap()))
        self.hits = ShardMap()
        self.shown: ShardMap[int, int] = ShardMap()
        self.versions = ShardMap()
        self.renders = ShardMap()
        self.events = ShardMap()

    def open_session(self, name: str, session: Session) -> None:
        self.sessions[name] = session
        self.events.add("opened")

    def find_session(self, name: str) -> Session | None:
        session = self.sessions.get(name)
        while session is not None:
            now = self.clock()
            extended = session.extended(now)
            if extended is session:
                break
            if session.expires <= now:
                if self.sessions.compare_and_delete(name, session):
                    self.events.add("expired")
                    return None
            elif self.sessions.compare_and_set(name, session, extended):
                return extended
            session = self.sessions.get(name)  # another thread was first: look at its session
        return session

    def add_to_cart(self, name: str) -> int | None:
        session = self.sessions.compute_if_present(name, lambda _, old: old._replace(cart=old.cart + 1))
        return session.cart if session else None

    def remove_session(self, name: str) -> Session | None:
        return self.sessions.pop(name, None)

    def expire_sessions(self) -> None:
        now = self.clock()
        for _ in range(self.sessions.retain(lambda _, session: session.expires > now)):
            self.events.add("expired")

    def sessions_open(self) -> int:
        return len(self.sessions)

    def count_request(self, client: str) -> Admission:
        # A map for each window. The old map is dropped as a whole. A late thread still counts in the map that it has.
        number = int(self.clock() // self.window_seconds)
        window = self.window.load()
        if window.number < number:
            self.window.rcu(lambda old: Window(number, ShardMap()) if old.number < number else old)
            window = self.window.load()
        return Admission(window.used.add(client), window.number)

    def show(self, items: Iterable[int]) -> None:
        add = self.shown.add
        for item in items:
            add(item)

    def page(self, item: int, render: Render) -> bytes:
        return self.cache.get_or_load(item, render)

    def pages(self, items: Sequence[int], render: Render) -> list[bytes]:
        find = self.cache.get
        return [find(item) or self.page(item, render) for item in items]

    def forget_page(self, item: int) -> None:
        self.cache.invalidate(item)  # a page that is being computed now is out of date, and is not stored


# --- with dicts and locks -----------------------------------------------------------------------


class LockedCounters(Counters[K]):
    def __init__(self) -> None:
        self.counts: dict[K, int] = {}
        self.lock = threading.Lock()

    def add(self, key: K, /) -> int:
        with self.lock:
            count = self.counts[key] = self.counts.get(key, 0) + 1
        return count

    def count(self, keys: Iterable[K]) -> None:
        with self.lock:  # once for all of them
            for key in keys:
                self.counts[key] = self.counts.get(key, 0) + 1

    def get(self, key: K, default: int, /) -> int:
        return self.counts.get(key, default)

    def items(self) -> Iterable[tuple[K, int]]:
        with self.lock:
            return self.counts.copy().items()


class LockState(State):
    """A lock for each dict, held for a short time and never while a page is computed. A single look-up in a dict is
    atomic, so code that only reads one key takes no lock."""

    def __init__(self, window_seconds: int, clock: Clock = time.time) -> None:
        self.clock = clock
        self.window_seconds = window_seconds
        self.sessions: dict[str, Session] = {}
        self.sessions_lock = threading.Lock()
        self.cache: dict[int, bytes] = {}
        self.rendering: dict[int, Future[bytes]] = {}
        self.cache_lock = threading.Lock()
        self.window = 0
        self.used: dict[str, int] = {}
        self.window_lock = threading.Lock()
        self.hits = LockedCounters()
        self.shown: LockedCounters[int] = LockedCounters()
        self.versions = LockedCounters()
        self.renders = LockedCounters()
        self.events = LockedCounters()

    def open_session(self, name: str, session: Session) -> None:
        with self.sessions_lock:
            self.sessions[name] = session
        self.events.add("opened")

    def find_session(self, name: str) -> Session | None:
        session = self.sessions.get(name)
        if session is None or session.extended(self.clock()) is session:
            return session
        with self.sessions_lock:
            session = self.sessions.get(name)
            if session is None:
                return None
            now = self.clock()
            if session.expires > now:
                session = self.sessions[name] = session.extended(now)
                return session
            del self.sessions[name]
        self.events.add("expired")
        return None

    def add_to_cart(self, name: str) -> int | None:
        with self.sessions_lock:
            session = self.sessions.get(name)
            if session is None:
                return None
            self.sessions[name] = session._replace(cart=session.cart + 1)
        return session.cart + 1

    def remove_session(self, name: str) -> Session | None:
        with self.sessions_lock:
            return self.sessions.pop(name, None)

    def expire_sessions(self) -> None:
        now = self.clock()
        with self.sessions_lock:
            sessions = list(self.sessions.items())
        for name, session in sessions:
            if session.expires <= now:
                with self.sessions_lock:
                    expired = self.sessions.get(name) is session
                    if expired:
                        del self.sessions[name]
                if expired:
                    self.events.add("expired")

    def sessions_open(self) -> int:
        return len(self.sessions)

    def count_request(self, client: str) -> Admission:
        number = int(self.clock() // self.window_seconds)
        with self.window_lock:
            if self.window < number:
                self.window, self.used = number, {}
            used = self.used[client] = self.used.get(client, 0) + 1
            return Admission(used, self.window)

    def show(self, items: Iterable[int]) -> None:
        self.shown.count(items)

    def page(self, item: int, render: Render) -> bytes:
        page = self.cache.get(item)
        if page is not None:
            return page
        with self.cache_lock:
            page = self.cache.get(item)
            if page is not None:
                return page
            other = self.rendering.get(item)
            if other is None:
                mine = self.rendering[item] = Future()
        if other is not None:
            return other.result()
        try:
            page = render(item)
        except BaseException as error:
            mine.set_exception(error)
            with self.cache_lock:
                if self.rendering.get(item) is mine:
                    del self.rendering[item]
            raise
        with self.cache_lock:
            if self.rendering.get(item) is mine:  # else it was forgotten meanwhile, so the page is out of date
                del self.rendering[item]
                self.cache[item] = page
        mine.set_result(page)
        return page

    def pages(self, items: Sequence[int], render: Render) -> list[bytes]:
        find = self.cache.get
        return [find(item) or self.page(item, render) for item in items]

    def forget_page(self, item: int) -> None:
        with self.cache_lock:
            self.cache.pop(item, None)
            self.rendering.pop(item, None)


STATES: dict[str, type[ShardMapState] | type[LockState]] = {"lock": LockState, "shardmap": ShardMapState}
