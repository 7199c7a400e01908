# Freeing what readers without the mutex may still look at: blocks and plain keys. They are retired under the mutex, into the
# shard's limbo, and freed after a grace period (core/readers.h), which is waited for without any mutex.

cdef inline void leave(Position* at) noexcept:
    """Lets the mutex go, then what could not be let go under it."""
    unlock(at.shard)
    leave_behind(at)


cdef inline void leave_behind(Position* at) noexcept:
    if SM_READERS_MEET_WRITERS:
        if at.removed != NOTHING_REMOVED:
            wait_before_freeing(at)
        if at.full != NULL:
            empty_limbo(at.full)
            at.full = NULL
    if at.left != NULL:
        let_go_left(at)


cdef bint bury(Position* at, void* item, size_t bytes) noexcept:
    """Has what was just put out of reach freed when nobody can be looking at it any more. False: the caller frees it,
    after leave_behind(). Under the mutex."""
    cdef Limbo* limbo
    if not (SM_READERS_MEET_WRITERS and sm_reads_unlocked):
        return False
    if not sm_load_u8(at.shard.seen):
        if at.removed == NOTHING_REMOVED:
            at.removed = UNSEEN
        return False
    limbo = at.shard.limbo
    if limbo == NULL and bytes <= LARGE:
        limbo = at.shard.limbo = <Limbo*>allocate(sizeof(Limbo), 64)
        if limbo != NULL:
            limbo.count = 0
            limbo.bytes = 0
    if limbo == NULL or bytes > LARGE or at.full != NULL:
        at.removed = SEEN
        return False
    limbo.items[limbo.count] = item
    limbo.count += 1
    limbo.bytes += bytes
    if limbo.count == sizeof(limbo.items) // sizeof(limbo.items[0]) or limbo.bytes > LIMBO_BYTES:
        at.full = limbo
        at.shard.limbo = NULL
        at.removed = SEEN
    return True


cdef void wait_before_freeing(Position* at) noexcept:
    if at.removed == UNSEEN:
        sm_fence_after_unlock()
    if at.removed == SEEN or sm_load_u8(at.shard.seen):
        sm_wait_for_readers()
    at.removed = NOTHING_REMOVED


cdef void empty_limbo(Limbo* limbo) noexcept:
    """When nobody is looking. Plain keys only: runs no Python code."""
    cdef uint32_t i
    for i in range(limbo.count):
        if <uintptr_t>limbo.items[i] & 1:
            block_free(<Block*>(<uintptr_t>limbo.items[i] & ~<uintptr_t>1))
        else:
            decref(<PyObject*>limbo.items[i])
    free(limbo)
