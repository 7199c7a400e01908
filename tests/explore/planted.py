"""Bugs that are planted into a copy of the core, to test that exploring finds them. Each process enables one of them,
with `sm_planted` (core/explore.h). The core itself has none of this code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SOURCES = ("src/shardmap", "setup.py", "pyproject.toml", "README.md", "LICENSE")
FIRST = "memory.pyx"  # of the files that _core.pyx includes, the first with code
DECLARATION = 'cdef extern from "core/explore.h" nogil:\n    int sm_planted\n'


@dataclass(frozen=True)
class Bug:
    """`old` is replaced by `new`. PLANTED in `new` stands for a test whether this bug is enabled."""

    file: str
    old: str
    new: str
    scenario: str  # the one that finds it


PLANTED = {
    "nobody waits for readers": Bug(
        "deferred_free.pyx",
        "        sm_wait_for_readers()\n    at.deferred",
        "        if not PLANTED: sm_wait_for_readers()\n    at.deferred",
        "a large block is freed beside reads",
    ),
    "a block that is looked up before the reader is seen": Bug(
        "read_key.pyx",
        "    me = sm_read_lock()\n    if me == NULL:\n        return LOOK_AGAIN\n"
        "    if not sm_load_u64(&m.whole_map_seq) & 1:\n        block = <Block*>sm_load_ptr(<void**>at.published)\n",
        "    block = <Block*>sm_load_ptr(<void**>at.published)\n"
        "    me = sm_read_lock()\n    if me == NULL:\n        return LOOK_AGAIN\n"
        "    if not sm_load_u64(&m.whole_map_seq) & 1:\n"
        "        if not PLANTED: block = <Block*>sm_load_ptr(<void**>at.published)\n",
        "a large block is freed beside reads",
    ),
    "a removed key is freed at once": Bug(
        "deferred_free.pyx",
        "    if not (SM_READERS_MEET_WRITERS and sm_reads_unlocked):\n        return False\n    if not",
        "    if PLANTED or not (SM_READERS_MEET_WRITERS and sm_reads_unlocked):\n        return False\n    if not",
        "a key is removed beside reads",
    ),
    "an entry after the slot that shows it": Bug(
        "block.pyx",
        "    sm_store_ptr(<void**>&block.entries[entry].key, key)\n    sm_store_ptr",
        "    if PLANTED:\n"
        "        block.hash31s[entry] = hash31 | <uint32_t>plain << 31\n"
        "        sm_store_u32(&block.index[slot], slot_for(block, entry))\n"
        "    sm_store_ptr(<void**>&block.entries[entry].key, key)\n    sm_store_ptr",
        "read beside delete and insert",
    ),
    "an equal key that overtakes one that was left": Bug(
        "bulk_lookup.pyx",
        "    return self.has_left and",
        "    return not PLANTED and self.has_left and",
        "equal keys of one list beside writers",
    ),
    "an insertion that is not announced": Bug(
        "shard.pyx",
        "    require_locked(shard)\n    make_version_odd_locked(shard)\n    if block.stamps",
        "    require_locked(shard)\n    if PLANTED: return\n    make_version_odd_locked(shard)\n    if block.stamps",
        "insertion order of two threads",
    ),
    "a removal that is not announced": Bug(
        "shard.pyx",
        '    """The same before an entry goes: who finds it gone without locks does not count it afterwards."""\n',
        "    if PLANTED: return\n",
        "len beside a removal",
    ),
    "a writer that does not look where the entries are now": Bug(
        "shard.pyx",
        "    while at.shard.is_moved:\n",
        "    while at.shard.is_moved and not PLANTED:\n",
        "split beside writes",
    ),
    "a map that is cleared shard by shard": Bug(
        "clear.pyx",
        "    sm_store_u64(&m.whole_map_seq, m.whole_map_seq + 1)\n    sm_fence_release()",
        "    sm_store_u64(&m.whole_map_seq, m.whole_map_seq + (2 if PLANTED else 1))\n    sm_fence_release()",
        "clear beside writes",
    ),
    "a lock for who has stopped waiting": Bug(
        "key_wait.pyx",
        "    timed_out = not waiter.granted and deadline >= 0 and sm_now() >= deadline\n    if timed_out:\n",
        "    timed_out = (PLANTED or not waiter.granted) and deadline >= 0 and sm_now() >= deadline\n"
        "    if timed_out and not waiter.granted:\n",
        "a key lock with a time-out",
    ),
    "an entry that was removed while its key was compared": Bug(
        "lookup.pyx",
        "    return EQUAL if at.found.block.entries[entry].key != NULL else START_OVER\n",
        "    return EQUAL if PLANTED or at.found.block.entries[entry].key != NULL else START_OVER\n",
        "keys that Python compares",
    ),
    "a deadline that is another value's": Bug(
        "cache_read.pyx",
        "    return not c.expires or found == NULL or",
        "    return PLANTED or not c.expires or found == NULL or",
        "a value beside another's deadline",
    ),
    "a load that does not notice an invalidation": Bug(
        "cache_load.pyx",
        "    return sm_load_u8(&(<Load>load).overtaken) or",
        "    return not PLANTED and sm_load_u8(&(<Load>load).overtaken) or",
        "a load beside an invalidation",
    ),
}


def plant(root: Path, copy: Path) -> Path:
    """Copies what a build needs from `root` to `copy`, with all bugs planted into the core. Writes only files that
    change, so that nothing is compiled again without need. Raises ValueError if the code that a bug replaces is no
    longer there."""
    core = Path("src") / "shardmap" / "core"
    text = {core / name: (root / core / name).read_text() for name in _changed_files()}
    for number, (name, bug) in enumerate(PLANTED.items(), 1):
        if (found := text[core / bug.file].count(bug.old)) != 1:
            raise ValueError(f"cannot plant {name!r}: {bug.file} has its place {found} times")
        new = bug.new.replace("PLANTED", f"(sm_planted == {number})")
        text[core / bug.file] = text[core / bug.file].replace(bug.old, new)
    text[core / FIRST] = DECLARATION + "\n" + text[core / FIRST]
    for file in (each for name in SOURCES for each in [root / name, *root.glob(f"{name}/**/*")] if each.is_file()):
        path = file.relative_to(root)
        target, data = copy / path, text[path].encode() if path in text else file.read_bytes()
        if not target.exists() or target.read_bytes() != data:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    return copy


def _changed_files() -> set[str]:
    return {FIRST, *(bug.file for bug in PLANTED.values())}
