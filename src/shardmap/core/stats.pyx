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
    cdef Layout* layout = NULL
    while layout != layout_of(m):       # again if the map was split meanwhile
        layout = layout_of(m)
        states = []
        for i in range(layout.shard_count):
            state = shard_state(shard_in(layout, i))
            states.append((state.size, state.capacity, state.contended, state.copies))
    return states


def _memory(MapCore m not None, /):
    """Bytes of the shards and tables, the map object itself and its keys and values left out."""
    cdef uint32_t i
    cdef uint64_t total
    cdef ShardState state
    cdef Layout* layout = NULL
    cdef Layout* each
    while layout != layout_of(m):
        each = layout = layout_of(m)
        total = 0
        while each.older != NULL:       # the oldest is inside of the map object
            total += size_of_layout(each.shard_count)
            each = each.older
        for i in range(layout.shard_count):
            state = shard_state(shard_in(layout, i))
            if state.bytes != 0:
                total += state.bytes + <uint64_t>(<object>Table).__basicsize__ + 16 * HAS_GIL     # and its GC head
    return total


def _stamp_source():
    """'tsc', 'cntvct_el0', 'counter', or for tests 'slow': where stamps come from here (core/stamp.h)."""
    return sm_stamp_name().decode()


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
