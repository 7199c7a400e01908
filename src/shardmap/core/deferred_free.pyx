# Freeing what readers without the mutex may still look at: blocks and plain keys. They are retired under the mutex,
# into the shard's limbo, and freed after a grace period (core/readers.h), which is waited for without any mutex.

cdef inline void unlock_and_reclaim(Access* at) noexcept:
    """Release the shard's mutex, then reclaim what was deferred. Requires: mutex held. May run Python code."""
    unlock(at.shard)
    reclaim_deferred(at)


cdef inline void reclaim_deferred(Access* at) noexcept:
    if SM_READERS_MEET_WRITERS:
        if at.deferred.grace_period != NO_GRACE_PERIOD:
            wait_for_grace_period(at)
        if at.deferred.limbo != NULL:
            free_limbo(at.deferred.limbo)
            at.deferred.limbo = NULL
    if at.deferred.table != NULL:
        release_replaced_table(at)


cdef bint retire_locked(Access* at, void* item, size_t bytes) noexcept:
    """Has what was just put out of reach freed when nobody can be looking at it any more. False: the caller frees it,
    after reclaim_deferred(). Under the mutex."""
    require_locked(at.shard)
    cdef Limbo* limbo
    if not (SM_READERS_MEET_WRITERS and sm_reads_unlocked):
        return False
    if not sm_load_u8(&(<MapCore>at.shard.owner).is_shared_between_threads):
        if at.deferred.grace_period == NO_GRACE_PERIOD:
            at.deferred.grace_period = GRACE_PERIOD_IF_SHARED
        return False
    limbo = at.shard.limbo
    if limbo == NULL and bytes <= LARGE:
        limbo = at.shard.limbo = <Limbo*>allocate(sizeof(Limbo), 64)
        if limbo != NULL:
            limbo.count = 0
            limbo.bytes = 0
    if limbo == NULL or bytes > LARGE or at.deferred.limbo != NULL:
        at.deferred.grace_period = NEEDS_GRACE_PERIOD
        return False
    limbo.items[limbo.count] = item
    limbo.count += 1
    limbo.bytes += bytes
    if limbo.count == sizeof(limbo.items) // sizeof(limbo.items[0]) or limbo.bytes > LIMBO_BYTES:
        at.deferred.limbo = limbo
        at.shard.limbo = NULL
        at.deferred.grace_period = NEEDS_GRACE_PERIOD
    return True


cdef void wait_for_readers_of(MapCore m) noexcept:
    """A grace period for what was put out of reach under the mutexes, which are released; unless one thread only has
    used the map so far."""
    if SM_READERS_MEET_WRITERS and sm_reads_unlocked:
        sm_fence_after_unlock()     # what was put out of reach before the flag is read: see sm_mark_shared()
        if sm_load_u8(&m.is_shared_between_threads):
            sm_wait_for_readers()


cdef void wait_for_grace_period(Access* at) noexcept:
    if at.deferred.grace_period == GRACE_PERIOD_IF_SHARED:
        sm_fence_after_unlock()
    if (at.deferred.grace_period == NEEDS_GRACE_PERIOD
            or sm_load_u8(&(<MapCore>at.shard.owner).is_shared_between_threads)):
        sm_wait_for_readers()
    at.deferred.grace_period = NO_GRACE_PERIOD


cdef void free_limbo(Limbo* limbo) noexcept:
    """When nobody is looking. Plain keys only: runs no Python code."""
    cdef uint32_t i
    for i in range(limbo.count):
        if <uintptr_t>limbo.items[i] & 1:
            block_free(<Block*>(<uintptr_t>limbo.items[i] & ~<uintptr_t>1))
        else:
            decref(<PyObject*>limbo.items[i])
    free(limbo)
