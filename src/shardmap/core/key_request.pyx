# `async with`: an asyncio task's wait for a key's lock is a place in the same queue as threads have, and a future
# whose result is set when the lock is granted.
#
# Entering and leaving are C from end to end: between two instructions of a coroutine a handler of a signal may raise,
# and must find either nothing locked or what `async with` has taken charge of. Leaving happens in the call of
# __aexit__, before anything is awaited. What waits to enter cleans up when it is dropped, at whatever point.

from _thread import interrupt_main
from time import sleep

cdef enum:
    ATTEMPTS = 3            # to wake a task from where the lock is released, before a thread of its own does it


@cython.final
cdef class LockRequest:
    """A task's place in the queue of a key's lock (internal)."""

    def __dealloc__(self):
        if self.held_map != NULL:
            withdraw(self)
            context_clear(&self.waiter.owner)
            decref(self.held_map)


cdef LockRequest request_lock(KeyEntry entry, loop, future, bint for_ever):
    """Takes the entry's lock for the running task and returns None; or queues for it. The future's result is set when
    the lock is granted."""
    cdef LockRequest self = LockRequest.__new__(LockRequest)
    cdef PyObject* key = NULL if entry.is_hash_lock else <PyObject*>entry.key
    cdef PyObject* name = <PyObject*>entry.key
    cdef KeyLock* fresh = NULL
    cdef KeyLock* found
    cdef KeyLockCheck check
    cdef Access at
    check_is_free(entry)
    locate_entry(entry, &at)
    start_check(&check, 0)
    try:
        know_caller(&check.caller)
        fresh = new_key_lock(&at, key, &check.caller.context, False)
        lock_located(&at)
        found = find_or_add_key_lock_locked(&at, key, &check, &fresh)
        if fresh == NULL:
            unlock_and_reclaim(&at)
            give_lock(entry, at.shard, found)
            return None
        if relation(&found.owner, &check.caller.context) == SAME_CONTEXT:
            unlock_and_reclaim(&at)
            raise_held_already(name, &check.caller)
        start_waiter(&self.waiter, found, &check.caller.context, for_ever, False)
        self.waiter.request = <PyObject*>self
        if not register_waiter_locked(&self.waiter):
            unlock_and_reclaim(&at)
            context_clear(&self.waiter.owner)
            raise_deadlock(name)
        join_queue_locked(&self.waiter)
        incref(<PyObject*>self)
        self.source = entry.source
        self.loop = loop
        self.future = future
        self.lock = found
        self.shard = at.shard
        self.held_map = new_reference(<PyObject*>entry.source)
        unlock_and_reclaim(&at)
        return self
    finally:
        free_key_lock(fresh)
        context_clear(&check.caller.context)


cdef bint claim(LockRequest self, KeyEntry entry) noexcept:
    """Gives the lock to the entry, if it was granted. Otherwise leaves the queue; returns whether it was."""
    cdef KeyLock* granted = conclude(self)
    if granted == NULL:
        return False
    give_lock(entry, self.shard, granted)
    return True


cdef void withdraw(LockRequest self) noexcept:
    """Leaves the queue; a lock that was granted meanwhile goes to the next. May run any code."""
    cdef KeyLock* granted = conclude(self)
    if granted != NULL:
        release_key_lock(self.shard, granted)


cdef KeyLock* conclude(LockRequest self) noexcept:
    """The lock, if it was granted and this is the first who asks. Leaves the queue otherwise."""
    cdef bint was_queued = False, granted = False
    lock(self.shard)
    if not self.is_over:
        self.is_over = True
        granted = self.waiter.granted
        if not granted and self.waiter.lock != NULL:
            leave_queue_locked(&self.waiter)
            was_queued = True
    unlock(self.shard)
    if was_queued:
        decref(<PyObject*>self)     # the queue's; the caller has its own
    return self.lock if granted else NULL


# --- Waking the task ---

cdef bint wake_request(PyObject* granted) noexcept:
    """Has the task of a request, whose reference this takes over, wake up. False if its loop has been closed: then the
    lock is the caller's again. May run any code."""
    cdef LockRequest self = <LockRequest>steal(granted)
    cdef int _
    for _ in range(ATTEMPTS):
        if wake(self):
            return True
        if is_closed(self.loop):
            return conclude(self) == NULL
    # Here nothing can be called: the stack is full, or there is no memory. A thread of its own has room. It is started
    # from C, which takes no stack of Python's.
    incref(<PyObject*>self)
    if PyThread_start_new_thread(wake_from_thread, <void*>self) != PYTHREAD_INVALID_THREAD_ID:
        return True
    decref(<PyObject*>self)
    return conclude(self) == NULL


cdef bint wake(LockRequest self) noexcept:
    try:
        self.loop.call_soon_threadsafe(_set_done, self.future)
        return True
    except KeyboardInterrupt:
        interrupt_main()        # later, where it finds nothing half done
    except BaseException:
        pass                    # what a handler of a signal raises is lost here: the lock must not be
    return False


cdef bint is_closed(loop) noexcept:
    try:
        return loop.is_closed()
    except BaseException:
        return False


cdef void wake_from_thread(void* request) noexcept with gil:
    """A thread of its own, with a reference."""
    cdef LockRequest self = <LockRequest>steal(<PyObject*>request)
    while not wake(self):
        if is_closed(self.loop):
            withdraw(self)
            return
        sleep_a_little()


cdef int sleep_a_little() noexcept:
    try:
        sleep(0.001)
    except BaseException:
        PyErr_Clear()
    return 0


def _set_done(future, /):
    if not future.done():
        future.set_result(None)


# --- Entering and leaving ---

cdef AsyncEnter enter_later(result, LockedMany many, list entries, double seconds, timeout):
    cdef AsyncEnter self = AsyncEnter.__new__(AsyncEnter)
    self.result = result
    self.many = many
    self.entries = entries
    self.deadline = deadline_after(seconds)
    self.timeout = timeout
    return self


@cython.final
cdef class AsyncEnter:
    """What `async with` awaits to enter a block (internal). It may be awaited once."""

    def __dealloc__(self):
        abandon(self)

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    def send(self, value):
        try:
            while True:
                if self.request is None and not begin_next(self):
                    break
                try:
                    return self.waiting.send(value)
                except StopIteration:
                    end_wait(self)
        except:
            abandon(self)
            raise
        self.entries = None     # they are the caller's now
        raise StopIteration(self.result)

    def throw(self, error, /, *rest):
        try:
            if self.waiting is not None:
                return self.waiting.throw(error, *rest)
            raise thrown(error, rest)
        except:
            abandon(self)
            raise

    def close(self):
        abandon(self)


cdef object thrown(error, tuple rest):
    """What throw(error) raises, or throw(type, error, traceback), as CPython before 3.12 called it."""
    return rest[0] if rest and isinstance(rest[0], BaseException) else error


cdef bint begin_next(AsyncEnter self) except -1:
    """Takes locks until one has to be waited for. False if all are taken."""
    cdef KeyEntry entry
    if self.entries is None:
        raise RuntimeError("cannot await __aenter__() of a lock a second time")
    if self.loop is None:
        if not asyncio_is_imported() or get_running_loop() is None:
            raise RuntimeError("no running event loop")
        self.loop = get_running_loop()
        if self.many is not None:
            begin_many(self.many)
    while self.taken < len(self.entries):
        entry = self.entries[self.taken]
        future = self.loop.create_future()
        self.request = request_lock(entry, self.loop, future, self.deadline < 0)
        if self.request is not None:
            self.waiting = future.__await__()
            if self.deadline >= 0:
                self.timer = self.loop.call_later(max(self.deadline - sm_now(), 0.0), _set_done, future)
            return True
        self.taken += 1
    if self.many is not None:
        self.many.state = HELD
    return False


cdef int end_wait(AsyncEnter self) except -1:
    cdef LockRequest request = self.request
    cdef KeyEntry entry = self.entries[self.taken]
    timer = self.timer
    self.request = self.waiting = self.timer = None
    if not claim(request, entry):
        raise TimeoutError(f"could not acquire the lock of {entry.key!r} within {self.timeout} s")
    self.taken += 1
    if timer is not None:
        timer.cancel()
    return 0


cdef void abandon(AsyncEnter self) noexcept:
    """Leaves the queue and releases what was taken. May run any code."""
    cdef LockRequest request = self.request
    cdef list entries = self.entries
    cdef Py_ssize_t i
    self.request = self.waiting = self.entries = None
    if request is not None:
        withdraw(request)
    if entries is not None and self.loop is not None:
        for i in range(self.taken - 1, -1, -1):
            let_entry_go(<KeyEntry>entries[i], True)
        if self.many is not None:
            self.many.state = FREE
    timer = self.timer
    self.timer = None
    if timer is not None:
        try:
            timer.cancel()
        except BaseException:
            PyErr_WriteUnraisable(timer)


@cython.final
cdef class Finished:
    """An awaitable that is at its end (internal)."""

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration

    def send(self, value):
        raise StopIteration

    def throw(self, error, /, *rest):
        raise thrown(error, rest)

    def close(self):
        pass


cdef object finished = Finished()
