# Many keys of a cache at once, and what asynchronous loads are made of (src/shardmap/_cache_async.py).

def _start_load(CacheCore c not None, key, /):
    """(load, True): there was neither a value nor a load, and the caller is to end the new one. (load, False): somebody
    else's. (value, None): there is a value by now."""
    return start_load(c, key, new_load(innermost_load()))


cdef tuple start_load(CacheCore c, key, Load load):
    cdef Py_hash_t hashed = 0
    cdef PyObject* value = NULL
    cdef Load there
    mark_cache_shared(c)
    hash_of(<PyObject*>key, &hashed)
    while True:
        there = steal_load(register_load(c, <PyObject*>key, hashed, <PyObject*>load))
        if there is load:
            break
        give_up_if_closed(there)
        if sm_change_u8(&there.is_queued, True, False):
            finish_load(c, <PyObject*>key, hashed, there, LOAD_ABANDONED, None)
        elif sm_load_u8(&there.state) == LOAD_PENDING:
            return there, False
        else:       # should it still be there
            remove_load(c, <PyObject*>key, hashed, <PyObject*>there)
    try:
        if cache_get(c, <PyObject*>key, hashed, time_if_needed(c), False, &value, NULL) == ABSENT:
            return load, True
    except:
        finish_load(c, <PyObject*>key, hashed, load, LOAD_ABANDONED, None)
        raise
    found = steal(value)
    finish_load(c, <PyObject*>key, hashed, load, LOAD_DONE, found)
    return found, None


@cython.final
cdef class _LoadBatch:
    """`with _LoadBatch(cache) as batch:` loads of many keys that one call makes. From the first one's start to the block's
    end, whatever runs in the thread is in the middle of all of them. Those that were not ended are at the block's
    end: by what was raised, if it is an Exception, else they are abandoned."""

    cdef CacheCore cache
    cdef PyObject* around
    cdef dict mine              # key: Load

    def __cinit__(self, CacheCore cache not None):
        self.cache = cache
        self.mine = {}

    def __enter__(self):
        self.around = sm_get_innermost_load()
        return self

    def start(self, key, /):
        """As _start_load()."""
        cdef PyObject* inner = sm_get_innermost_load()
        cdef Load load = new_load(innermost_load())
        sm_set_innermost_load(<PyObject*>load)
        try:
            self.mine[key] = load       # before it can be found: nothing is to come between
            load_or_value, is_mine = start_load(self.cache, key, load)
        except:
            self.mine.pop(key, None)
            end_load(load, LOAD_ABANDONED, None)
            sm_set_innermost_load(inner)
            raise
        if is_mine is not True:
            sm_set_innermost_load(inner)
            del self.mine[key]
        return load_or_value, is_mine

    def keys(self):
        return list(self.mine)

    def end(self, key, value, /):
        """Stores it, and gives it to those who wait; MISSING: they look again."""
        cdef Load load = self.mine[key]
        if value is no_value:
            finish_load(self.cache, <PyObject*>key, hash(key), load, LOAD_ABANDONED, None)
        else:
            _end_load(self.cache, key, load, value)

    def __exit__(self, kind, error, traceback):
        cdef Load load
        try:
            for key, load in self.mine.items():
                if sm_load_u8(&load.state) == LOAD_PENDING:
                    finish_load(self.cache, <PyObject*>key, hash(key), load,
                                LOAD_FAILED if isinstance(error, Exception) else LOAD_ABANDONED, error)
        finally:
            for load in self.mine.values():
                end_load(load, LOAD_ABANDONED, None)
            sm_set_innermost_load(self.around)
            self.mine = {}


def _end_load(CacheCore c not None, key, Load load not None, value, /):
    """Stores the value, and gives it to those who wait."""
    cdef Py_hash_t hashed = 0
    cdef LoadState state = LOAD_ABANDONED
    hash_of(<PyObject*>key, &hashed)
    try:
        store_loaded(c, <PyObject*>key, hashed, <PyObject*>load, NULL, <PyObject*>value)
        state = LOAD_DONE
    finally:
        finish_load(c, <PyObject*>key, hashed, load, state, value)


def _fail_load(CacheCore c not None, key, Load load not None, error, /):
    """Gives an exception to those who wait; None: they look again."""
    cdef Py_hash_t hashed = 0
    hash_of(<PyObject*>key, &hashed)
    finish_load(c, <PyObject*>key, hashed, load, LOAD_ABANDONED if error is None else LOAD_FAILED, error)


def _cache_peek(CacheCore c not None, key, default, /):
    """The value, with nothing counted or marked."""
    cdef PyObject* value = NULL
    cdef Py_hash_t hashed = 0
    mark_cache_shared(c)
    hash_of(<PyObject*>key, &hashed)
    if cache_get(c, <PyObject*>key, hashed, time_if_needed(c), False, &value, NULL) == PRESENT:
        return steal(value)
    return default


def _count_load(CacheCore c not None, bint done, double seconds, /):
    count_load(c, done, <int64_t>(seconds * NANOSECONDS))


def _cache_get_many(CacheCore c not None, keys, default, /):
    cdef PyObject* value
    cdef Py_hash_t hashed
    cdef list values = []
    mark_cache_shared(c)
    for key in keys:
        hashed = 0
        value = NULL
        hash_of(<PyObject*>key, &hashed)
        if cache_get(c, <PyObject*>key, hashed, time_if_needed(c), True, &value, NULL) == PRESENT:
            values.append(steal(value))
        else:
            values.append(default)
    return values


def _abandon_loads_of_others(CacheCore c not None, /):
    """In a forked child: of threads that are gone, and of tasks, whose loop does not go on."""
    for key, load in iterate_map(c.loads, ITEMS, False):
        if (<Load>load).thread != sm_thread_token():
            finish_load(c, <PyObject*>key, hash(key), load, LOAD_ABANDONED, None)
    count_weight(c)


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
    cdef Layout* layout = layout_of(c.entries)
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
    found.sort(key=first_of)
    return [each[1:] for each in found]


cdef object first_of(tuple item):
    return item[0]


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
