# Refreshing: threads still get an entry that is older than `refresh_after`, while one thread makes a new value for it.
#
# A refresh is a Load like any other (core/cache_load.pyx). So there is one at a time for each key, a thread that finds
# the entry expired meanwhile waits for it, and a write, deletion or invalidation overtakes it. It stores its value only
# in place of the value that it is to replace, or where there is no value any more.

from functools import partial


cdef object get_or_load(CacheCore c, key, loader):
    cdef PyObject* value = NULL
    cdef PyObject* argument = <PyObject*>key
    cdef Py_hash_t hashed = 0
    cdef bint wants_refresh = False
    cdef Call call
    hash_of(argument, &hashed)
    if cache_get(c, argument, hashed, time_if_needed(c), True, &value, &wants_refresh) == PRESENT:
        found = steal(value)
        return refresh(c, key, hashed, found, loader) if wants_refresh else found
    call.function = <PyObject*>loader
    call.arguments = &argument
    call.count = 1
    call.names = NULL
    return steal(load_value(c, argument, hashed, &call))


cdef object refresh(CacheCore c, key, Py_hash_t hashed, old, loader):
    """The new value if this thread makes it, else the old one."""
    cdef Load around = load_of_thread()
    cdef Load load = new_load(innermost_load() if c.executor is None else None)
    cdef PyObject* there
    set_load_of_thread(load)
    try:
        there = register_load(c, <PyObject*>key, hashed, <PyObject*>load)
        decref(there)
        if there != <PyObject*>load:        # another thread is at it
            return old
        if c.executor is None:
            return run_refresh(c, key, hashed, load, old, loader)
    finally:
        set_load_of_thread(around)
    return refresh_in_executor(c, key, load, old, loader)


cdef object refresh_in_executor(CacheCore c, key, Load load, old, loader):
    """Queues the refresh. Until the executor begins with it, any thread may take it over, because a thread that waited
    for it might block the executor."""
    sm_store_u8(&load.is_queued, True)
    try:
        future = c.executor.submit(_refresh_in_executor, c, key, load, old, loader)
        future.add_done_callback(partial(_forget_queued_refresh, c, key, load))
    except BaseException as error:
        _forget_queued_refresh(c, key, load, None)
        if not isinstance(error, Exception):
            raise
        write_unraisable(c.executor, error)         # there is a value to return
        postpone_refresh(c, <PyObject*>key, hash(key), <PyObject*>old)
    return old


def _forget_queued_refresh(CacheCore c not None, key, Load load not None, future, /):
    """Ends a refresh that did not begin, because the executor refused or cancelled it."""
    if sm_change_u8(&load.is_queued, True, False):
        finish_load(c, <PyObject*>key, hash(key), load, LOAD_ABANDONED, None)


def _refresh_in_executor(CacheCore c not None, key, Load load not None, old, loader, /):
    cdef Load around = load_of_thread()
    if not sm_change_u8(&load.is_queued, True, False):
        return
    load.thread = sm_thread_token()
    set_load_of_thread(load)
    try:
        run_refresh(c, key, hash(key), load, old, loader)
    finally:
        set_load_of_thread(around)


cdef object run_refresh(CacheCore c, key, Py_hash_t hashed, Load load, old, loader):
    """Runs a load that is registered and is this thread's innermost. What the loader raises goes to sys.unraisablehook,
    because there is a value to return."""
    cdef PyObject* value = NULL
    cdef bint wants_refresh = False, done = False
    cdef LoadState state = LOAD_ABANDONED
    cdef int64_t begun
    outcome = None
    try:
        # The previous refresh may have ended after we looked.
        if cache_get(c, <PyObject*>key, hashed, time_now(c), False, &value, &wants_refresh) == PRESENT:
            found = steal(value)
            if not wants_refresh:
                return found        # who waits looks there, too
        begun = sm_monotonic_ns()
        try:
            outcome = loader(key)
            done = True
        finally:
            count_load(c, done, sm_monotonic_ns() - begun)
        state = LOAD_DONE
        if outcome is no_value:
            postpone_refresh(c, <PyObject*>key, hashed, <PyObject*>old)
            return old
        store_loaded(c, <PyObject*>key, hashed, <PyObject*>load, <PyObject*>old, <PyObject*>outcome)
        return outcome
    except Exception as error:
        outcome = error
        state = LOAD_FAILED
        write_unraisable(loader, error)
        postpone_refresh(c, <PyObject*>key, hashed, <PyObject*>old)
        return old
    finally:
        finish_load(c, <PyObject*>key, hashed, load, state, outcome)


cdef int postpone_refresh(CacheCore c, PyObject* key, Py_hash_t hashed, PyObject* old) except -1:
    """After a refresh that failed, so that not every hit tries again."""
    cdef Access at
    cdef int64_t now = time_now(c)
    locate_in_cache(c, hashed, &at)
    if lock_and_find(key, &at) == PRESENT and entry_of(&at).value == old:
        sm_store_i64(&column_of(at.found.block, c.columns, REFRESH_TIMES)[at.found.entry], later(now, c.refresh_after))
    unlock_and_reclaim(&at)
    return 0
