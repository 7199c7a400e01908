# A cache's statistics, what is pickled of it, and the check of all its invariants.

from operator import itemgetter

cdef int count_weight(CacheCore c) except -1:
    """Makes the total what the entries weigh: a thread that is gone may have had some of it reserved."""
    cdef Layout* layout = lock_all(c.entries)
    cdef uint32_t i
    cdef int64_t total = 0
    for i in range(layout.shard_count):
        total += weight_of_block(c, block_of(shard_in(layout, i).table))
    sm_store_i64(c.total, total)
    unlock_layout(layout)
    return 0


cdef int64_t weight_of_block(CacheCore c, Block* block) noexcept:
    cdef uint32_t entry
    cdef int64_t total = 0
    if not c.columns & WEIGHTS:
        return block.live
    for entry in range(block.used):
        if block.entries[entry].key != NULL:
            total += weight_of_entry(c, block, entry)
    return total


def _cache_entries_with_deadlines(CacheCore c not None, /):
    """[(key, value, seconds it has left or None)], for pickling."""
    cdef list found = []
    cdef SnapshotCore snapshot
    cdef Block* block
    cdef uint32_t i, entry
    cdef int64_t now, left
    mark_cache_shared(c)
    purge_if_due(c)
    now = time_if_needed(c)
    snapshot = snapshot_of(c.entries)
    for i in range(snapshot.table_count):
        block = block_of(snapshot.tables[i])
        for entry in range(block.used):
            if block.entries[entry].key != NULL:
                left = FOREVER
                if c.columns & DEADLINES:
                    left = column_of(block, c.columns, DEADLINES)[entry]
                found.append((block.stamps[entry] if block.stamps != NULL else entry,
                              <object>block.entries[entry].key, <object>block.entries[entry].value,
                              None if left == FOREVER else (left - now) / NANOSECONDS))
    found.sort(key=itemgetter(0))
    return [each[1:] for each in found]


# --- Statistics, and the check of all invariants ---

cdef int sum_counts(CacheCore c, uint64_t* hits, uint64_t* misses) except -1:
    sm_sum_counts(c.number, hits, misses)
    hits[0] += sm_load_u64(&c.own_hits) - sm_load_u64(&c.forgotten_hits)
    misses[0] += sm_load_u64(&c.own_misses) - sm_load_u64(&c.forgotten_misses)
    # Somebody may have set them to zero between.
    hits[0] = hits[0] if <int64_t>hits[0] > 0 else 0
    misses[0] = misses[0] if <int64_t>misses[0] > 0 else 0
    return 0


cdef int forget_counts(CacheCore c) except -1:
    """Sets the counts to zero."""
    cdef uint64_t hits = 0, misses = 0
    sm_sum_counts(c.number, &hits, &misses)
    sm_store_u64(&c.forgotten_hits, hits + sm_load_u64(&c.own_hits))
    sm_store_u64(&c.forgotten_misses, misses + sm_load_u64(&c.own_misses))
    return 0


def _cache_counts(CacheCore c not None, /):
    """hits, misses, loads, failures, nanoseconds of loading, removals by kind."""
    cdef uint64_t hits = 0, misses = 0
    cdef uint32_t i, kind
    cdef list removals = [0] * REMOVAL_KINDS
    sum_counts(c, &hits, &misses)
    for i in range(layout_of(c.entries).shard_count):
        for kind in range(REMOVAL_KINDS):
            removals[kind] += sm_load_u64(&known_of(c, i).removals[kind])
    return (hits, misses, sm_load_u64(&c.load_counts.done), sm_load_u64(&c.load_counts.failed),
            sm_load_u64(&c.load_counts.nanoseconds), removals)


def _forget_cache_counts(CacheCore c not None, /):
    forget_counts(c)


def _cache_map(CacheCore c not None, /):
    """For tests: the map, which nobody may write to."""
    return c.entries


def _cache_memory(CacheCore c not None, /):
    """Bytes of the tables and of what is known of the entries; keys and values left out."""
    cdef uint32_t i
    cdef uint64_t total = _memory(c.entries) + _memory(c.loads) + c.shard_count * stride_for(sizeof(CacheShard)) + 128
    for i in range(c.shard_count):
        total += policy_memory(&known_of(c, i).policy)
    return total


def _cache_check(CacheCore c not None, /):
    """Verifies every invariant, while nobody writes; AssertionError names the one broken."""
    cdef Layout* layout
    cdef uint32_t i
    cdef int64_t total = 0
    cdef const char* violation = NULL
    cdef Shard* shard
    cdef CacheShard* known
    _check(c.entries)
    layout = lock_all(c.entries)
    for i in range(layout.shard_count):
        shard = shard_in(layout, i)
        known = cache_shard(c, shard)
        follow_block_locked(known, shard)
        total += weight_of_block(c, block_of(shard.table))
        if violation == NULL:
            violation = cursor_violation(&known.swept, block_of(shard.table))
        if violation == NULL:
            violation = policy_violation(&known.policy, block_of(shard.table))
    if violation == NULL and total != sm_load_i64(c.total):
        violation = b"the total is not the weight of the entries"
    if violation == NULL and total > c.most:
        violation = b"there is more than the bound allows"
    unlock_layout(layout)
    if violation != NULL:
        raise AssertionError(violation.decode())


def _cache_policy(CacheCore c not None, /):
    """For tests and benchmarks, of each shard: entries, entries of the window, how many it is to have, lines of the
    sketch."""
    cdef uint32_t i
    cdef list found = []
    for i in range(c.shard_count):
        live = block_of(shard_at(c.entries, i).table).live
        found.append((live, live - known_of(c, i).policy.window.before, known_of(c, i).policy.target,
                      known_of(c, i).policy.lines))
    return found
