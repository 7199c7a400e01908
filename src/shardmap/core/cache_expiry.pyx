# When entries of a cache expire, and how those that have are removed.
#
# Expired entries are never returned: every read checks the deadline, and removes an expired entry. Other expired
# entries are found by sweeps: each write looks at a few entries, in rotation. So there is no thread for it, and no
# pause. A shard has a time before which none of its entries expires (`earliest`); until then there are no sweeps.
# Operations on the whole cache (len, iteration) first remove all expired entries, if there can be any.

from libc.math cimport isnan

cdef enum:
    GRAINS = 128                # parts of `idle` to which an access time is exact

cdef int64_t FOREVER = 0x7FFFFFFFFFFFFFFF
cdef double NANOSECONDS = 1e9
cdef double MOST_SECONDS = 4.5e9        # about 140 years, treated as infinity; small enough to add to


cdef inline int64_t later(int64_t now, int64_t span) noexcept nogil:
    return FOREVER if span >= FOREVER - now else now + span


cdef int64_t nanoseconds_of(seconds, str name) except -1:
    """A span of time that a user gave, None or infinity for no end."""
    cdef double number
    if seconds is None:
        return FOREVER
    if isinstance(seconds, (str, bytes)) or not hasattr(seconds, "__float__") and not hasattr(seconds, "__index__"):
        if hasattr(seconds, "total_seconds"):       # a timedelta
            seconds = seconds.total_seconds()
        else:
            raise TypeError(f"{name} must be a number of seconds, not {type(seconds).__name__}")
    number = float(seconds)
    if isnan(number) or number < 0:
        raise ValueError(f"{name} must be a non-negative number of seconds, not {seconds}")
    return FOREVER if number >= MOST_SECONDS else <int64_t>(number * NANOSECONDS)


cdef int64_t time_now(CacheCore c) except? -1:
    """May run Python code: a timer that the user gave."""
    cdef double now
    if c.timer is None:
        return sm_monotonic_ns()
    now = float(c.timer())
    if isnan(now) or now > MOST_SECONDS or now < -MOST_SECONDS:
        raise ValueError(f"timer must return seconds, from {-MOST_SECONDS:g} to {MOST_SECONDS:g}, not {now}")
    return <int64_t>(now * NANOSECONDS)


cdef inline int64_t time_if_needed(CacheCore c) except? -1:
    return time_now(c) if c.expires else 0


cdef int64_t deadline_for(CacheCore c, PyObject* key, PyObject* value, int64_t now) except? -1:
    """Of a value that is about to be written. May run Python code."""
    if c.ttl_function is not None:
        return later(now, nanoseconds_of(c.ttl_function(<object>key, <object>value), "ttl"))
    return later(now, c.ttl)


cdef inline bint has_expired(CacheCore c, Block* block, uint32_t entry, int64_t now) noexcept:
    """While reading, or under the mutex."""
    if not c.expires:
        return False
    if c.columns & DEADLINES and now >= sm_load_i64(&column_of(block, c.columns, DEADLINES)[entry]):
        return True
    return (c.columns & ACCESS_TIMES
            and now - sm_load_i64(&column_of(block, c.columns, ACCESS_TIMES)[entry]) >= c.idle)


cdef inline int64_t expiry_of(CacheCore c, Block* block, uint32_t entry) noexcept:
    """When it will have expired, if it is not used before."""
    cdef int64_t at = FOREVER
    if c.columns & DEADLINES:
        at = column_of(block, c.columns, DEADLINES)[entry]
    if c.columns & ACCESS_TIMES:
        at = min(at, later(column_of(block, c.columns, ACCESS_TIMES)[entry], c.idle))
    return at


cdef inline void note_expiry_locked(CacheCore c, CacheShard* known, Block* block, uint32_t entry) noexcept:
    """After an entry was stored, or got another deadline."""
    cdef int64_t at
    if c.expires:
        at = expiry_of(c, block, entry)
        if at < known.earliest:
            sm_store_i64(&known.earliest, at)
        known.earliest_swept = min(known.earliest_swept, at)


cdef bint sweep_locked(CacheCore c, Access* at, int64_t now, uint32_t most, RemovedEntries* removals) except -1:
    """Looks at the next entries, and removes expired ones. False if the mutex was released meanwhile or positions have
    changed: then positions that were found before are not valid."""
    require_locked(at.shard)
    cdef CacheShard* known = cache_shard(c, at.shard)
    cdef Block* block = block_of(at.shard.table)
    cdef uint32_t entry, looked_at
    if now < known.earliest:
        return True
    follow_block_locked(known, at.shard)
    for looked_at in range(most):
        entry = known.swept.position
        if entry >= block.used:     # all were looked at: what comes after this is the next sweep's
            sm_store_i64(&known.earliest, known.earliest_swept)
            known.earliest_swept = FOREVER
            known.swept.position = known.swept.before = 0
            if now < known.earliest or looked_at != 0:
                return True
            continue
        if block.entries[entry].key != NULL:
            if has_expired(c, block, entry, now):
                if not has_room_for_removal(removals):
                    return True
                if not remove_entry_locked(c, at, entry, REMOVED_AS_EXPIRED, removals):
                    return False
            else:
                known.earliest_swept = min(known.earliest_swept, expiry_of(c, block, entry))
        cursor_passed(&known.swept, block)
    return True


cdef int purge_shard(CacheCore c, Shard* shard, int64_t now) except -1:
    """Removes all entries of a shard that have expired, some thousand at a time."""
    cdef Access at
    cdef RemovedEntries removals
    cdef CacheShard* known = cache_shard(c, shard)
    start_removals(&removals)
    while now >= sm_load_i64(&known.earliest):
        aim_at_shard(shard, &at)
        lock(shard)
        try:
            sweep_locked(c, &at, now, SWEPT_AT_ONCE, &removals)
            unlock_and_reclaim(&at)
        finally:
            tell_removals(c, &removals)
        PyErr_CheckSignals()
    return 0


cdef int purge(CacheCore c, int64_t now) except -1:
    cdef Layout* layout = layout_of(c.entries)
    cdef uint32_t i
    for i in range(layout.shard_count):
        purge_shard(c, shard_in(layout, i), now)
    return 0


cdef int purge_if_due(CacheCore c) except -1:
    """Before all of the cache is looked at."""
    if c.expires:
        purge(c, time_now(c))
    return 0
