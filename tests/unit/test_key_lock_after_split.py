"""A key's lock that was begun before a split is found after it."""

import threading

import pytest

from shardmap import ShardMap, _core

pytestmark = pytest.mark.concurrent


class Key:
    def __init__(self, name: str, number: int) -> None:
        self.name, self.number, self.meanwhile = name, number, None

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return self is other


@pytest.mark.parametrize("number", [1, 5, 12345])
def test_a_key_lock_is_found_if_the_map_was_split_while_it_was_being_taken(number: int) -> None:
    m: ShardMap[Key, int] = ShardMap()
    first, second = Key("first", number), Key("second", number)
    m[second] = 0
    entry = m.lock(first)
    entry.__enter__()

    def release_and_split() -> None:
        entry.__exit__(None, None, None)
        assert _core._split(m, 3)

    first.meanwhile = release_and_split
    outcome = []

    def other() -> None:
        try:
            with m.lock(second, timeout=0.05):
                outcome.append("entered")
        except TimeoutError:
            outcome.append("waited")

    with m.lock(second):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert outcome == ["waited"]
