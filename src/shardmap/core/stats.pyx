# Sizes and counters of each shard, for users.

cdef ShardState shard_state(Shard* shard) noexcept:
    cdef ShardState state
    cdef Block* block
    lock(shard)
    block = block_of(shard.table)
    state.size = block.live
    state.capacity = block.capacity
    state.contended = shard.contended
    state.copies = shard.copies
    state.bytes = block.bytes
    unlock(shard)
    return state


def _shard_states(MapCore m not None, /):
    """(size, capacity, contended, copies) of each shard, one after the other: not one point in time."""
    cdef uint32_t i
    cdef ShardState state
    states = []
    for i in range(m.shard_count):
        state = shard_state(shard_at(m, i))
        states.append((state.size, state.capacity, state.contended, state.copies))
    return states


def _memory(MapCore m not None, /):
    """Bytes of the shards and tables, the map object itself and its keys and values left out."""
    cdef uint32_t i
    cdef uint64_t total = m.shard_count * stride_for(sizeof(Shard))
    cdef ShardState state
    for i in range(m.shard_count):
        state = shard_state(shard_at(m, i))
        if state.bytes != 0:
            total += state.bytes + <uint64_t>(<object>Table).__basicsize__
    return total


def _stamp_source():
    """'tsc' or 'counter': where stamps come from here (core/stamp.h)."""
    return "tsc" if sm_stamp_uses_tsc else "counter"


def _reads():
    """How single keys are read here (core/readers.h): 'locked', 'unlocked' (with a GIL), 'fenced' or 'asymmetric'."""
    if not sm_reads_unlocked:
        return "locked"
    if not SM_READERS_MEET_WRITERS:
        return "unlocked"
    return "asymmetric" if sm_asymmetric else "fenced"


def _has_pauses():
    """Whether this build pauses between steps (core/sched_point.h)."""
    return bool(sm_has_pauses)
