"""Simulated eviction policies. Each is a function of a sequence of keys and a size, and returns the number of hits.
They are plain Python, for hit ratios, not for speed."""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Sequence


def lru(keys: Sequence[int], size: int) -> int:
    """Evicts the least recently used key."""
    there: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for key in keys:
        if key in there:
            hits += 1
            there.move_to_end(key)
        else:
            if len(there) >= size:
                there.popitem(last=False)
            there[key] = None
    return hits


def sieve(keys: Sequence[int], size: int) -> int:
    """Zhang and others, SIEVE is simpler than LRU, NSDI 2024. Entries get numbers in the order of insertion. The hand
    moves from older to newer entries."""
    number_of: dict[int, int] = {}
    queue: dict[int, int] = {}  # number: key, oldest first
    visited: set[int] = set()
    following: dict[int, int] = {}
    before: dict[int, int] = {}
    hits = 0
    newest = oldest = hand = -1
    for number, key in enumerate(keys):
        if key in number_of:
            hits += 1
            visited.add(number_of[key])
            continue
        if len(number_of) >= size:
            if hand < 0:
                hand = oldest
            while hand in visited:
                visited.discard(hand)
                hand = following.get(hand, oldest)
            gone = hand
            hand = following.get(gone, -1)
            left = before.pop(gone, -1)
            right = following.pop(gone, -1)
            if left >= 0:
                following.pop(left, None)
                if right >= 0:
                    following[left] = right
            else:
                oldest = right
            if right >= 0:
                before.pop(right, None)
                if left >= 0:
                    before[right] = left
            else:
                newest = left
            del number_of[queue.pop(gone)]
        number_of[key] = number
        queue[number] = key
        if newest >= 0:
            following[newest] = number
            before[number] = newest
        else:
            oldest = number
        newest = number
    return hits


def s3_fifo(keys: Sequence[int], size: int) -> int:
    """Yang and others, FIFO queues are all you need for cache eviction, SOSP 2023. The small queue has a tenth of the
    entries. There are as many ghosts as entries in the main queue."""
    small_size = max(1, size // 10)
    main_size = size - small_size
    small: deque[int] = deque()
    main: deque[int] = deque()
    used: dict[int, int] = {}
    ghosts: OrderedDict[int, None] = OrderedDict()
    hits = 0

    def evict_from_main() -> None:
        while True:
            key = main.popleft()
            if used[key] == 0:
                del used[key]
                return
            used[key] -= 1
            main.append(key)

    def evict_from_small() -> bool:
        while small:
            key = small.popleft()
            if used[key] <= 1:
                del used[key]
                ghosts[key] = None
                ghosts.move_to_end(key)
                if len(ghosts) > main_size:
                    ghosts.popitem(last=False)
                return True
            if len(main) >= main_size and main:
                evict_from_main()
            used[key] = 0
            main.append(key)
        return False

    for key in keys:
        if key in used:
            hits += 1
            used[key] = min(used[key] + 1, 3)
            continue
        while len(used) >= size:
            if not ((len(small) >= small_size or not main) and evict_from_small()) and main and len(used) >= size:
                evict_from_main()
        (main if key in ghosts else small).append(key)
        used[key] = 0
    return hits


def optimum(keys: Sequence[int], size: int) -> int:
    """Belady, A study of replacement algorithms for a virtual-storage computer, 1966. Of the stored keys and the new
    key, the one whose next use is furthest away is evicted, or not inserted."""
    never = len(keys)
    next_use = [never] * len(keys)
    last: dict[int, int] = {}
    for i in range(len(keys) - 1, -1, -1):
        next_use[i] = last.get(keys[i], never)
        last[keys[i]] = i
    there: dict[int, int] = {}  # key: its next use
    furthest: list[tuple[int, int]] = []  # (-next use, key), with some that are out of date
    hits = 0
    for i, key in enumerate(keys):
        hits += key in there
        if key not in there and len(there) >= size:
            while there.get(furthest[0][1]) != -furthest[0][0]:
                heapq.heappop(furthest)
            if -furthest[0][0] <= next_use[i]:
                continue
            del there[heapq.heappop(furthest)[1]]
        there[key] = next_use[i]
        heapq.heappush(furthest, (-next_use[i], key))
    return hits


SIMULATED = {"LRU": lru, "SIEVE": sieve, "S3-FIFO": s3_fifo, "optimum": optimum}
