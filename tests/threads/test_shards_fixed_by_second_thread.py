"""A second thread's first use of a map is shard_index(), which splits it, while the first thread reads (for ASan)."""

import threading

import pytest

from shardmap import ShardMap

pytestmark = pytest.mark.concurrent


def test_shards_fixed_by_a_thread_that_has_not_used_the_map_before() -> None:
    keys = [str(number) for number in range(3000)]
    for _ in range(20):
        m = ShardMap({key: key for key in keys})
        ready = threading.Event()

        def fix(m: ShardMap = m, ready: threading.Event = ready) -> None:
            ready.wait()
            m.shard_index("1")

        thread = threading.Thread(target=fix)
        thread.start()
        ready.set()
        while thread.is_alive():
            assert m.get_many(keys) == keys
        thread.join()
