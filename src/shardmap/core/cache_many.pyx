# Many keys of a cache at once.

from collections.abc import Mapping


def _cache_peek(CacheCore c not None, key, default, /):
    """The value, with nothing counted or marked."""
    cdef PyObject* value = NULL
    if find_in_cache(c, <PyObject*>key, False, &value) == PRESENT:
        return steal(value)
    return default


def _cache_get_many(CacheCore c not None, keys, default, /):
    cdef PyObject* value = NULL
    cdef list values = []
    for key in plain_keys(keys, RAISE_TYPE_ERROR):
        if find_in_cache(c, <PyObject*>key, True, &value) == PRESENT:
            values.append(steal(value))
        else:
            values.append(default)
    return values


def _cache_load_many(CacheCore c not None, keys, default, load_many, /):
    """get_many() with a loader."""
    keys = list(plain_keys(keys, RAISE_TYPE_ERROR))
    cdef list found = _cache_get_many(c, keys, no_value)
    cdef dict missing = {key: None for key, value in zip(keys, found) if value is no_value}
    cdef dict loaded, others
    cdef list alone
    cdef Load load
    while missing:
        loaded = {}
        others = load_what_nobody_loads(c, missing, load_many, loaded)
        alone = []
        for key, load in others.items():
            if not wait_for_load(load):
                alone.append(key)
            elif sm_load_u8(&load.state) != LOAD_ABANDONED:
                loaded[key] = load.result()
        if alone:       # to wait for them would be for ever
            put_made(loaded, alone, call_load_many(load_many, alone))
        found = [loaded.get(key, value) if value is no_value else value for key, value in zip(keys, found)]
        missing = {key: None for key in missing if key not in loaded}
    return [default if value is no_value else value for value in found]


cdef dict load_what_nobody_loads(CacheCore c, dict missing, load_many, dict loaded):
    """Puts what there is by then into `loaded`; returns the loads of others. From its first load on, whatever runs in
    the thread is in the middle of all of them. Those that have not ended when it returns fail with what was raised, if
    that is an Exception, else they are abandoned.

    In the core, since this must not be left half done: from Python 3.14 on a signal handler may raise at a place in a
    `with` or `try` block where its end does not run (a jump back to the head of a loop)."""
    cdef Load around = load_of_thread()
    cdef dict mine = {}, others = {}
    cdef list keys
    cdef Load load
    cdef int64_t begun
    error_of_loads = made = None
    try:
        for key in missing:
            start_one_of_many(c, key, mine, others, loaded)
        keys = list(mine)
        if keys:
            begun = sm_monotonic_ns()
            try:
                made = call_load_many(load_many, keys)
            finally:
                count_load(c, made is not None, sm_monotonic_ns() - begun)
            put_made(loaded, keys, made)
            for key, load in mine.items():
                value = loaded[key]
                if value is no_value:
                    finish_load(c, <PyObject*>key, hash(key), load, LOAD_ABANDONED, None)
                else:
                    _end_load(c, key, load, value)
    except Exception as error:
        error_of_loads = error
        raise
    finally:
        try:
            for key, load in mine.items():
                if sm_load_u8(&load.state) == LOAD_PENDING:
                    finish_load(c, <PyObject*>key, hash(key), load,
                                LOAD_ABANDONED if error_of_loads is None else LOAD_FAILED, error_of_loads)
        finally:
            for load in mine.values():
                end_load(load, LOAD_ABANDONED, None)
            set_load_of_thread(around)
    return others


cdef int start_one_of_many(CacheCore c, key, dict mine, dict others, dict loaded) except -1:
    cdef Load inner = load_of_thread()
    cdef Load load = new_load(innermost_load())
    set_load_of_thread(load)
    try:
        mine[key] = load        # before it can be found: nothing is to come between
        load_or_value, is_mine = start_load(c, key, load)
    except:
        mine.pop(key, None)
        end_load(load, LOAD_ABANDONED, None)
        set_load_of_thread(inner)
        raise
    if is_mine is True:
        return 0
    set_load_of_thread(inner)
    del mine[key]
    if is_mine is None:
        loaded[key] = load_or_value
    else:
        others[key] = load_or_value
    return 0


cdef object call_load_many(load_many, list keys):
    made = load_many(keys)
    if not isinstance(made, Mapping):
        raise TypeError(f"load_many must return a mapping, not {type(made).__name__}")
    return made


cdef int put_made(dict loaded, list keys, made) except -1:
    for key in keys:
        loaded[key] = made.get(key, no_value)
    return 0
