# Loading: a value that is not in a cache is made once, however many threads ask for it.
#
# A thread that finds no value puts a Load into the cache's map `loads`, by setdefault. One of many threads wins and
# runs the loader; the others wait for its Load. No lock is held meanwhile. The winner looks into the cache once more,
# because the previous load may have ended in between; so the loader runs once for each insertion. At the end, the
# winner stores the value, removes the Load, and wakes the waiting threads, in this order. So a thread that finds no
# Load finds the value.
#
# If the winner finds a value in the cache, it does not give it to the waiting threads; they look there themselves. This
# entry may be about to be removed by a deletion that had looked for loads before this Load was there. A thread that
# asks after that deletion has returned could still find this Load, and must not get the old value.
#
# Stale values are not stored. A write, deletion or invalidation of a key first marks its Load as overtaken and removes
# it, and then acquires the shard's mutex for its own change. The store of the loader reads the mark under that mutex.
# So either the store comes before the change, or it sees the mark. Besides, it stores only where there is no entry, or,
# for a refresh, in place of the value that it is to replace.

cdef inline bint is_overtaken(CacheCore c, PyObject* load) noexcept:
    """Under the shard's mutex. A load that is not among the cache's is overtaken by every deletion."""
    return sm_load_u8(&(<Load>load).overtaken) or (<Load>load).is_alone and (
        (<Load>load).deletions != sm_load_u64(&c.deletions))


cdef inline int overtake_load(CacheCore c, PyObject* key, Py_hash_t hashed) except -1:
    """Before a key is written or deleted."""
    cdef PyObject* loads = <PyObject*>c.loads
    sm_fence_after_unlock()     # of whatever lock was held where the source was changed: see register_load()
    if map_len(<MapCore>loads) != 0:
        return overtake(c, key, hashed)
    return 0


cdef int overtake(CacheCore c, PyObject* key, Py_hash_t hashed) except -1:
    cdef PyObject* load = NULL
    if find_load(c, key, hashed, &load) == PRESENT:
        try:
            sm_store_u8(&(<Load>load).overtaken, True)
            remove_load(c, key, hashed, load)
        finally:
            decref(load)
    return 0


cdef int overtake_all(CacheCore c) except -1:
    sm_fence_after_unlock()
    if map_len(c.loads) != 0:
        for key, load in iterate_map(c.loads, ITEMS, False):
            sm_store_u8(&(<Load>load).overtaken, True)
            remove_load(c, <PyObject*>key, hash(key), <PyObject*>load)
    return 0


cdef Found find_load(CacheCore c, PyObject* key, Py_hash_t hashed, PyObject** load) except FAILED:
    cdef Access at
    cdef FoundEntry where
    locate_load(c, hashed, &at)
    return map_get_found(c.loads, &at, key, load, &where)


cdef int remove_load(CacheCore c, PyObject* key, Py_hash_t hashed, PyObject* load) except -1:
    """If it is there: another one may be by now."""
    cdef Access at
    cdef WriteRequest request = request_to_write(NULL)
    request.when = IF_SAME
    request.expected = load
    locate_load(c, hashed, &at)
    write_located(&at, key, &request)
    return 0


cdef PyObject* register_load(CacheCore c, PyObject* key, Py_hash_t hashed, PyObject* load) except NULL:
    """The load of the key that is under way, which is this one if there was none: a new reference."""
    cdef Access at
    cdef PyObject* there = NULL
    cdef WriteRequest request = request_to_write(load)
    request.when = IF_ABSENT
    request.old = &there
    locate_load(c, hashed, &at)
    if write_located(&at, key, &request) == PRESENT:
        return there
    # Another thread may change the source and then invalidate the key. Either the loader sees that change, or the
    # invalidation sees this load.
    sm_fence_full()
    return new_reference(load)


cdef bint store_loaded(CacheCore c, PyObject* key, Py_hash_t hashed, PyObject* load, PyObject* expected,
                       PyObject* value) except -1:
    """Whether it was stored: not if the load was overtaken, nor if there is an entry with another value than
    `expected`."""
    cdef Access at
    cdef CacheWrite write = write_to_cache(value, CACHE_IF_UNCHANGED)
    if value == <PyObject*>no_value:
        return False
    write.expected = expected
    write.load = load
    prepare_write(c, key, &write)
    locate_in_cache(c, hashed, &at)
    cache_write(c, &at, key, &write)
    return write.stored


cdef PyObject* load_value(CacheCore c, PyObject* key, Py_hash_t hashed, Call* call) except NULL:
    """The value of a key that was not found: what the call returns, made once for all who ask at the same time. A new
    reference."""
    cdef PyObject* there
    cdef Load around = load_of_thread()
    cdef Load load
    cdef Load other
    cdef uint8_t state
    while True:
        load = new_load(innermost_load())
        set_load_of_thread(load)    # from here on, what runs in this thread is in the middle of it
        try:
            there = register_load(c, key, hashed, <PyObject*>load)
            if there == <PyObject*>load:
                decref(there)
                return run_load(c, key, hashed, load, call)
        finally:
            set_load_of_thread(around)
        other = steal_load(there)
        if sm_change_u8(&other.is_queued, True, False):     # a refresh that no thread runs yet: do not wait for it
            finish_load(c, key, hashed, other, LOAD_ABANDONED, None)
            continue
        if not wait_for_load(other):
            return make_call(call)
        state = sm_load_u8(&other.state)
        if state == LOAD_DONE:
            return new_reference(<PyObject*>other.outcome)
        if state == LOAD_FAILED:
            raise_outcome(other)
        remove_load(c, key, hashed, <PyObject*>other)       # should it still be there


cdef inline Load steal_load(PyObject* load):
    return <Load>steal(load)


cdef PyObject* run_load(CacheCore c, PyObject* key, Py_hash_t hashed, Load load, Call* call) except NULL:
    """Of a load that is registered, and this thread's innermost."""
    cdef PyObject* value = NULL
    # The state after KeyboardInterrupt and the like, which are for this thread only, and if the cache had a value.
    cdef LoadState state = LOAD_ABANDONED
    cdef int64_t begun
    outcome = None
    try:
        # The previous load may have ended after we looked.
        if cache_get(c, key, hashed, time_if_needed(c), False, &value, NULL) == PRESENT:
            outcome = steal(value)
        else:
            begun = sm_monotonic_ns()
            try:
                value = make_call(call)
            finally:
                count_load(c, value != NULL, sm_monotonic_ns() - begun)
            outcome = steal(value)
            store_loaded(c, key, hashed, <PyObject*>load, NULL, <PyObject*>outcome)
            state = LOAD_DONE
    except Exception as error:
        outcome = error
        state = LOAD_FAILED
        raise
    finally:
        finish_load(c, key, hashed, load, state, outcome)       # may raise what a key's __eq__ raises
    return new_reference(<PyObject*>outcome)


cdef int finish_load(CacheCore c, PyObject* key, Py_hash_t hashed, Load load, LoadState state, outcome) except -1:
    """Removes the load from the map first, so that threads that come now look into the cache."""
    try:
        remove_load(c, key, hashed, <PyObject*>load)
    except:
        end_load(load, LOAD_ABANDONED, None)
        raise
    end_load(load, state, None if state == LOAD_ABANDONED else outcome)
    return 0


cdef inline PyObject* make_call(Call* call) except NULL:
    return vectorcall(call.function, call.arguments, call.count, call.names)


cdef inline void count_load(CacheCore c, bint done, int64_t nanoseconds) noexcept:
    sm_add_u64(&c.load_counts.done if done else &c.load_counts.failed, 1)
    sm_add_u64(&c.load_counts.nanoseconds, <uint64_t>nanoseconds)
