# Reading a cache: a map's read without the mutex (core/read_key.pyx), which also looks whether the entry has expired,
# and marks it as used. A mark that is set already is not written, so many threads that read the same keys write nothing
# that they share.
#
# The mark and the times belong to the block that the reader looks at. If another block takes its place meanwhile a mark
# may be lost, which the policy does not miss. An access time must not be lost: it is noted under the mutex, at most
# once in 1/128 of `idle` for each entry.

cdef inline void mark_cache_shared(CacheCore c) noexcept:
    """What every operation begins with (core/fork.pyx)."""
    if sm_is_foreign(<PyObject*>c, &c.is_shared_between_threads):
        share_cache_between_threads(c)


cdef void share_cache_between_threads(CacheCore c) noexcept:
    mark_shared(c.entries)
    mark_shared(c.loads)
    sm_mark_shared(<PyObject*>c, &c.is_shared_between_threads)


cdef inline void locate_in_cache(CacheCore c, Py_hash_t hashed, Access* at) noexcept:
    # By pointer: Cython counts a reference to an attribute that it passes on, in a line that all threads share.
    cdef PyObject* entries = <PyObject*>c.entries
    locate_hashed(<MapCore>entries, hashed, at)


cdef inline void locate_load(CacheCore c, Py_hash_t hashed, Access* at) noexcept:
    cdef PyObject* loads = <PyObject*>c.loads
    locate_hashed(<MapCore>loads, hashed, at)


cdef inline Found cache_get(CacheCore c, PyObject* key, Py_hash_t hashed, int64_t now, bint uses, PyObject** value,
                            bint* wants_refresh) except FAILED:
    """PRESENT: `value` is a new reference. `uses`: the entry is marked as used, and a hit or a miss is counted.
    `value`: NULL if only presence is asked for. `wants_refresh`: NULL, or where to say that a new value is wanted."""
    cdef Access at
    cdef Read answer
    locate_in_cache(c, hashed, &at)
    answer = read_cache_unlocked(c, &at, key, now, uses, value, wants_refresh)
    if answer == NEEDS_COMPARISON:
        answer = compare_in_cache(c, &at, key, now, uses, value, wants_refresh)
    if answer == LOOK_AGAIN:
        return lock_and_get_from_cache(c, &at, key, now, uses, value, wants_refresh)
    return <Found>answer


cdef inline Found find_in_cache(CacheCore c, PyObject* key, bint uses, PyObject** value) except FAILED:
    """cache_get() of a key that was not hashed yet, now."""
    cdef Py_hash_t hashed = 0
    mark_cache_shared(c)
    hash_of(key, &hashed)
    return cache_get(c, key, hashed, time_if_needed(c), uses, value, NULL)


cdef inline Read read_cache_unlocked(CacheCore c, Access* at, PyObject* key, int64_t now, bint uses,
                                     PyObject** value, bint* wants_refresh) noexcept:
    """read_unlocked() for a cache."""
    cdef sm_reader* me
    cdef Block* block
    cdef Read answer = LOOK_AGAIN
    cdef PyObject* found = NULL
    cdef uint32_t entry = 0
    if not sm_reads_unlocked:
        return LOOK_AGAIN
    me = sm_read_lock()
    if me == NULL:
        return LOOK_AGAIN
    if not sm_load_u64(&c.entries.whole_map_seq) & 1:
        block = <Block*>sm_load_ptr(<void**>at.published)
        answer = read_block(at.shard, block, at.hash31, key, value != NULL, &found, &entry)
        if answer == NEEDS_COMPARISON:
            note_candidate(at, block, entry)
        elif answer == FOUND_PRESENT and not (may_be_used(c, block, entry, now, uses, wants_refresh)
                                              and holds_still(c, block, entry, found)):
            answer = LOOK_AGAIN
        elif sm_load_ptr(<void**>at.published) != block:
            answer = LOOK_AGAIN
    sm_read_unlock(me)
    if answer == LOOK_AGAIN:
        value_decref_if(found)
    elif answer != NEEDS_COMPARISON:
        if found != NULL:
            value[0] = found
        if uses:
            count_use(c, me, answer)
    return answer


cdef inline bint may_be_used(CacheCore c, Block* block, uint32_t entry, int64_t now, bint uses,
                             bint* wants_refresh) noexcept:
    """Of an entry that was found: marks it, unless it has expired, or its use is to be noted under the mutex. While
    reading."""
    if c.expires:
        sm_sched_point()
        if has_expired(c, block, entry, now):
            return False
        if uses and is_access_due(c, block, entry, now):
            return False
        if wants_refresh != NULL:
            wants_refresh[0] = is_refresh_due(c, block, entry, now)
    if uses:
        # marks_of(), without looking at the columns.
        raise_mark(<uint8_t*>block.hash31s + <size_t>block.capacity * c.before_marks + entry, USED)
    return True


cdef inline bint holds_still(CacheCore c, Block* block, uint32_t entry, PyObject* found) noexcept:
    """Whether the deadline that was read is that of the value that was taken (NULL: none was), not of one that replaced
    it: a value is stored before its deadline. While reading."""
    sm_sched_point()
    return not c.expires or found == NULL or sm_load_ptr(<void**>&block.entries[entry].value) == found


cdef inline bint is_access_due(CacheCore c, Block* block, uint32_t entry, int64_t now) noexcept:
    return (c.columns & ACCESS_TIMES
            and now - sm_load_i64(&column_of(block, c.columns, ACCESS_TIMES)[entry]) > c.idle_grain)


cdef inline bint is_refresh_due(CacheCore c, Block* block, uint32_t entry, int64_t now) noexcept:
    return c.columns & REFRESH_TIMES and now >= sm_load_i64(&column_of(block, c.columns, REFRESH_TIMES)[entry])


cdef inline void count_use(CacheCore c, sm_reader* me, Read answer) noexcept:
    """Neither reading nor under a mutex. `me`: the thread's, or NULL."""
    cdef bint missed = answer != FOUND_PRESENT
    if HAS_GIL:
        if missed:
            c.own_misses += 1
        else:
            c.own_hits += 1
    elif not sm_count(me, c.number, missed):
        count_slowly(c, me, missed)


cdef void count_slowly(CacheCore c, sm_reader* me, bint missed) noexcept:
    """Once for a thread and a cache; or where threads have no counts of their own."""
    if me != NULL and sm_make_room_to_count(c.number):
        sm_count(me, c.number, missed)
    else:
        sm_add_u64(&c.own_misses if missed else &c.own_hits, 1)


cdef Read compare_in_cache(CacheCore c, Access* at, PyObject* key, int64_t now, bint uses, PyObject** value,
                           bint* wants_refresh) except NOT_READ:
    """compare_unlocked() for a cache. The entry is looked at once more, by its number."""
    cdef sm_reader* me
    cdef bint usable = False
    cdef Read answer = compare_unlocked(c.entries, at, key, value, NULL)
    if answer != FOUND_PRESENT and answer != FOUND_ABSENT:
        return LOOK_AGAIN
    me = sm_read_lock()
    if answer == FOUND_PRESENT and me != NULL and is_unmoved(at, &at.candidate):
        usable = (may_be_used(c, at.candidate.block, at.candidate.entry, now, uses, wants_refresh)
                  and holds_still(c, at.candidate.block, at.candidate.entry, value[0] if value != NULL else NULL)
                  and is_unmoved(at, &at.candidate))
    if me != NULL:
        sm_read_unlock(me)
    if answer == FOUND_PRESENT and not usable:
        if value != NULL:
            decref(value[0])
            value[0] = NULL
        return LOOK_AGAIN
    if uses:
        count_use(c, me, answer)
    return answer


cdef Found lock_and_get_from_cache(CacheCore c, Access* at, PyObject* key, int64_t now, bint uses,
                                   PyObject** value, bint* wants_refresh) except FAILED:
    """The same under the mutex; removes the entry if it has expired."""
    cdef CacheWrite write
    cdef Found found = lock_and_find(key, at)
    if found == PRESENT:
        if has_expired(c, at.found.block, at.found.entry, now):
            unlock_and_reclaim(at)
            write = write_to_cache(NULL, CACHE_IF_EXPIRED)
            write.now = now
            cache_write(c, at, key, &write)
            found = ABSENT
        else:
            if uses:
                note_access_locked(c, at, now)
            if value != NULL:
                value[0] = entry_of(at).value
                sm_allow_try_incref(value[0])       # the next reader needs no mutex
                incref(value[0])
            if wants_refresh != NULL:
                wants_refresh[0] = is_refresh_due(c, at.found.block, at.found.entry, now)
            unlock_and_reclaim(at)
    else:
        unlock_and_reclaim(at)
    if uses:
        count_use(c, sm_own_reader(), <Read>found)
    return found
