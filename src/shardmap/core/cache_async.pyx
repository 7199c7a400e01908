# What asynchronous loads are made of (src/shardmap/_cache_async.py), and what a forked child does with loads.

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
        give_up_if_stopped(there)
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
    finish_load(c, <PyObject*>key, hashed, load, LOAD_ABANDONED, None)      # who waits looks there, too
    return found, None


def _end_load(CacheCore c not None, key, Load load not None, value, /):
    """Stores the value, and gives it to those who wait; or what weighing it, or asking for its time to live, raises."""
    cdef Py_hash_t hashed = 0
    cdef LoadState state = LOAD_ABANDONED
    outcome = value
    hash_of(<PyObject*>key, &hashed)
    try:
        store_loaded(c, <PyObject*>key, hashed, <PyObject*>load, NULL, <PyObject*>value)
        state = LOAD_DONE
    except Exception as error:
        outcome = error
        state = LOAD_FAILED
        raise
    finally:
        finish_load(c, <PyObject*>key, hashed, load, state, outcome)


def _fail_load(CacheCore c not None, key, Load load not None, error, /):
    """Gives an exception to those who wait; None: they look again."""
    cdef Py_hash_t hashed = 0
    hash_of(<PyObject*>key, &hashed)
    finish_load(c, <PyObject*>key, hashed, load, LOAD_ABANDONED if error is None else LOAD_FAILED, error)


def _keep_task(CacheCore c not None, task, /):
    """Keeps a task that loads alive for as long as the cache lives: an event loop has weak references only. Those of
    loops that were closed, where no task ends, are let go now and then."""
    cdef set tasks
    with cython.critical_section(c):
        if c.tasks is None:
            c.tasks = set()
        tasks = c.tasks
    tasks.add(task)
    if len(tasks) > c.most_tasks:
        tasks.difference_update([each for each in list(tasks) if each.get_loop().is_closed()])
        c.most_tasks = 2 * len(tasks) + 16
    task.add_done_callback(tasks.discard)


def _count_load(CacheCore c not None, bint done, double seconds, /):
    count_load(c, done, <int64_t>(seconds * NANOSECONDS))


def _abandon_loads_of_others(CacheCore c not None, /):
    """In a forked child: of threads that are gone, and of tasks, whose loop does not go on."""
    for key, load in iterate_map(c.loads, ITEMS, False):
        if (<Load>load).thread != sm_thread_token():
            finish_load(c, <PyObject*>key, hash(key), load, LOAD_ABANDONED, None)
    count_weight(c)
