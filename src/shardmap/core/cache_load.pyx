# Loading: a value that is not in a cache is made once, however many threads ask for it.
#
# Who finds nothing puts a Load into the cache's map `loads`, by setdefault: one of many wins and runs the loader; the
# others wait for that Load. Nothing is locked meanwhile. The winner looks into the cache once more, since the load
# before may have ended in between; so for each insertion the loader runs once. At the end it stores the value, takes
# the Load out, and wakes those who wait, in this order: who finds no Load finds the value.
#
# What is stale is not stored. Who writes, deletes or invalidates a key first marks its Load as overtaken and takes it
# out, then takes the shard's mutex for its own change. The loader's store looks at the mark under that mutex. So either
# the store comes first, and the change comes after it; or it sees the mark. Besides, it stores only where there is no
# entry, or for a refresh the very value that it is to replace.
#
# No wait for a load is for ever. A thread that loads, and in the middle of that waits for another load, keeps its own
# from ending. So a Load knows what is waited for in the middle of it; who begins to wait first puts that down, in its
# own loads, the innermost and those around it, then follows these notes from the load that it wants. If it comes to one
# of its own, that would be a circle: it runs the loader by itself, and stores nothing. Of several threads that close a
# circle together the last to put its note down finds it, at least. A load knows the one in whose middle it began: in
# the same thread (core/counts.h), or, for tasks, by a contextvars.Context variable, which the tasks that a loader makes
# inherit.
#
# A wait is one for a lock of the waiter's own, which the loader releases. Signal handlers and finalizers that run in
# the waiting thread may load, too: the waiter holds nothing, and its loads are around theirs.

from _thread import allocate_lock
from contextvars import ContextVar

cdef object task_load = ContextVar("shardmap_load", default=None)   # the innermost that the running task is for
cdef bint tasks_load = False                                        # there ever was one


@cython.final
@cython.freelist(16)
cdef class Load:
    """A value that is being loaded (internal)."""

    def __dealloc__(self):
        if self.waiters != NULL:
            decref(self.waiters)
        if self.waits_for != NULL:
            decref(self.waits_for)

    @property
    def is_done(self):
        return sm_load_u8(&self.state) == LOAD_DONE

    @property
    def is_abandoned(self):
        return sm_load_u8(&self.state) == LOAD_ABANDONED

    @property
    def is_pending(self):
        return sm_load_u8(&self.state) == LOAD_PENDING

    def result(self):
        """The value, or raises what the loader has raised."""
        if sm_load_u8(&self.state) == LOAD_FAILED:
            raise_outcome(self)
        return self.outcome

    def call_at_end(self, function, /):
        """Has a function called when it ends; False if it has ended."""
        return call_at_end(self, function)

    def begin_wait(self):
        """Notes that who runs here waits for it. False, and no wait, if that would be for ever."""
        return begin_load_wait(self, innermost_load())

    def end_wait(self):
        end_load_wait(self, innermost_load())

    def wait(self):
        """Until it has ended. False: it would be for ever."""
        return wait_for_load(self)

    def enter_task(self):
        """From here on the running context is for this load. Returns what leave_task() wants."""
        global tasks_load
        tasks_load = True
        self.thread = 0
        return task_load.set(self)

    def leave_task(self, token):
        task_load.reset(token)


cdef Load innermost_load():
    """What the running code is in the middle of loading; None: nothing."""
    cdef PyObject* of_thread = sm_get_innermost_load()
    cdef Load of_task
    cdef Load each
    if tasks_load:
        of_task = task_load.get()
        each = of_task
        while each is not None:
            if of_thread == NULL or <PyObject*>each == of_thread:
                return of_task
            each = each.parent
    return <Load>of_thread if of_thread != NULL else None


cdef list list_in(PyObject** place):
    """The list that is in a place, which may be made just now."""
    cdef PyObject* mine
    cdef PyObject* there = <PyObject*>sm_load_ptr(<void**>place)
    if there == NULL:
        made = []
        mine = <PyObject*>made
        incref(mine)
        there = <PyObject*>sm_put_if_null(<void**>place, mine)
        if there != mine:
            decref(mine)
    return <list>there


cdef bint call_at_end(Load self, function) except -1:
    cdef list waiters = list_in(&self.waiters)
    waiters.append(function)
    sm_fence_full()         # either this sees the end, or wake_all() sees the function
    if sm_load_u8(&self.state) == LOAD_PENDING:
        return True
    wake_all(self)
    return False


cdef void wake_all(Load self) noexcept:
    cdef list waiters
    if sm_load_ptr(<void**>&self.waiters) == NULL:
        return
    waiters = <list>self.waiters
    while True:
        try:
            waiters.pop(0)()
        except IndexError:
            return
        except BaseException:       # a loop that was closed
            pass


cdef void end_load(Load self, LoadState state, outcome) noexcept:
    self.outcome = outcome
    if state == LOAD_FAILED:
        self.traceback = outcome.__traceback__
    sm_store_u8(&self.state, state)
    sm_fence_full()
    wake_all(self)


cdef bint begin_load_wait(Load self, Load mine) except -1:
    cdef Load each = mine
    while each is not None:
        list_in(&each.waits_for).append(self)
        each = each.parent
    if mine is not None:
        sm_fence_full()
        if leads_to(self, mine):
            end_load_wait(self, mine)
            return False
    return True


cdef int end_load_wait(Load self, Load mine) except -1:
    cdef Load each = mine
    while each is not None:
        list_in(&each.waits_for).remove(self)
        each = each.parent
    return 0


cdef bint leads_to(Load start, Load mine) except -1:
    """Whether a load waits for one that `mine` is in the middle of, perhaps over others."""
    cdef list to_follow = [start]
    cdef set followed = set()
    cdef Load each
    cdef Load own
    while to_follow:
        each = to_follow.pop()
        own = mine
        while own is not None:
            if own is each:
                return True
            own = own.parent
        if id(each) not in followed:
            followed.add(id(each))
            if sm_load_ptr(<void**>&each.waits_for) != NULL:
                to_follow.extend(list(<list>each.waits_for))
    return False


cdef bint wait_for_load(Load self) except -1:
    """False: it would never end. What a signal handler raises ends the wait."""
    cdef Load mine = innermost_load()
    if sm_load_u8(&self.state) != LOAD_PENDING:
        return True
    if not begin_load_wait(self, mine):
        return False
    try:
        gate = allocate_lock()
        gate.acquire()
        if call_at_end(self, gate.release):
            gate.acquire()
    finally:
        end_load_wait(self, mine)
    return True


# --- The loads of a cache ---

cdef inline bint is_overtaken(CacheCore c, PyObject* load) noexcept:
    """Under the shard's mutex. A load that is not among the cache's is overtaken by every deletion."""
    return sm_load_u8(&(<Load>load).overtaken) or (<Load>load).is_alone and (
        (<Load>load).deletions != sm_load_u64(&c.deletions))


cdef inline int overtake_load(CacheCore c, PyObject* key, Py_hash_t hashed) except -1:
    """Before a key is written or deleted."""
    cdef PyObject* loads = <PyObject*>c.loads
    if map_len(<MapCore>loads) != 0:
        return overtake(c, key, hashed)
    return 0


cdef int overtake(CacheCore c, PyObject* key, Py_hash_t hashed) except -1:
    cdef Access at
    cdef PyObject* load = NULL
    cdef Read answer
    if find_load(c, key, hashed, &load) == PRESENT:
        try:
            sm_store_u8(&(<Load>load).overtaken, True)
            remove_load(c, key, hashed, load)
        finally:
            decref(load)
    return 0


cdef int overtake_all(CacheCore c) except -1:
    cdef PyObject* each
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
    cdef PyObject* around = sm_get_innermost_load()
    cdef Load load = None
    cdef Load other
    cdef uint8_t state
    while True:
        if load is None:
            load = new_load(innermost_load())
            sm_set_innermost_load(<PyObject*>load)      # from here on, what runs in this thread is in the middle of it
        try:
            there = register_load(c, key, hashed, <PyObject*>load)
        except:
            sm_set_innermost_load(around)
            raise
        if there == <PyObject*>load:
            decref(there)
            return run_load(c, key, hashed, load, around, call)
        sm_set_innermost_load(around)
        load = None
        other = steal_load(there)
        if not wait_for_load(other):
            return make_call(call)
        state = sm_load_u8(&other.state)
        if state == LOAD_DONE:
            return new_reference(<PyObject*>other.outcome)
        if state == LOAD_FAILED:
            raise_outcome(other)
        remove_load(c, key, hashed, <PyObject*>other)       # should it still be there


cdef inline Load new_load(Load parent):
    cdef Load load = Load.__new__(Load)
    load.parent = parent
    load.thread = sm_thread_token()
    return load


cdef inline Load steal_load(PyObject* load):
    return <Load>steal(load)


cdef PyObject* run_load(CacheCore c, PyObject* key, Py_hash_t hashed, Load load, PyObject* around,
                        Call* call) except NULL:
    """Of a load that is registered, and this thread's innermost."""
    cdef PyObject* value = NULL
    cdef LoadState state = LOAD_ABANDONED
    cdef int64_t begun
    outcome = None
    try:
        # The load before may have ended after we had looked.
        if cache_get(c, key, hashed, time_if_needed(c), False, &value, NULL) == ABSENT:
            begun = sm_monotonic_ns()
            try:
                value = make_call(call)
            finally:
                count_load(c, value != NULL, sm_monotonic_ns() - begun)
            store_loaded(c, key, hashed, <PyObject*>load, NULL, value)
        outcome = <object>value
        state = LOAD_DONE
        return value
    except Exception as error:
        value_decref_if(value)
        outcome = error
        state = LOAD_FAILED
        raise
    except:                     # KeyboardInterrupt and its like are this thread's alone
        value_decref_if(value)
        raise
    finally:
        finish_load(c, key, hashed, load, state, outcome)
        sm_set_innermost_load(around)


cdef int raise_outcome(Load self) except -1:
    """What the loader has raised, for one who waited: with the traceback that it had then, not those of all others."""
    raise self.outcome.with_traceback(self.traceback)


cdef int finish_load(CacheCore c, PyObject* key, Py_hash_t hashed, Load load, LoadState state, outcome) except -1:
    """Out of the map first, so that who comes now looks into the cache."""
    try:
        remove_load(c, key, hashed, <PyObject*>load)
    except:
        end_load(load, LOAD_ABANDONED, None)
        raise
    end_load(load, state, outcome)
    return 0


cdef inline PyObject* make_call(Call* call) except NULL:
    return vectorcall(call.function, call.arguments, call.count, call.names)


cdef inline void count_load(CacheCore c, bint done, int64_t nanoseconds) noexcept:
    sm_add_u64(&c.load_counts.done if done else &c.load_counts.failed, 1)
    sm_add_u64(&c.load_counts.nanoseconds, <uint64_t>nanoseconds)
