# An asyncio task's wait for a key's lock: a place in the same queue as threads have, and a future that is set when the
# lock is granted. The coroutines that await it are in _locks.py.

cdef object async_enter = None
cdef object async_enter_many = None
cdef object async_exit = None


def _set_async(enter, enter_many, exit, /):
    """The coroutine functions behind `async with`."""
    global async_enter, async_enter_many, async_exit
    async_enter = enter
    async_enter_many = enter_many
    async_exit = exit


@cython.final
cdef class LockRequest:
    """A task's place in the queue of a key's lock (internal). While it is in the queue, the queue has a reference to it."""

    def __dealloc__(self):
        cdef KeyLock* granted
        if self.held_map != NULL:
            granted = conclude(self)
            if granted != NULL:
                release_key_lock(self.shard, granted)
            context_clear(&self.waiter.owner)
            decref(self.held_map)

    def claim(self, KeyEntry entry not None, /):
        """Gives the lock to the entry, if it was granted. Otherwise leaves the queue; returns whether it was."""
        cdef KeyLock* granted = conclude(self)
        if granted == NULL:
            return False
        give_lock(entry, self.shard, granted)
        return True

    def withdraw(self):
        """Leaves the queue; a lock that was granted meanwhile goes to the next."""
        cdef KeyLock* granted = conclude(self)
        if granted != NULL:
            release_key_lock(self.shard, granted)


def _request(KeyEntry entry not None, loop, future, bint for_ever, /):
    """Takes the entry's lock for the running task and returns None; or queues for it, and returns the request. The
    future's result is set when the lock is granted."""
    cdef LockRequest self = LockRequest.__new__(LockRequest)
    cdef PyObject* key = NULL if entry.is_hash_lock else <PyObject*>entry.key
    cdef PyObject* name = <PyObject*>entry.key
    cdef KeyLock* fresh = NULL
    cdef KeyLock* found
    cdef KeyLockCheck check
    cdef Position at
    check_is_free(entry)
    locate_entry(entry, &at)
    start_check(&check, 0)
    try:
        know_caller(&check.caller)
        fresh = new_key_lock(&at, key, &check.caller.context, False)
        lock(at.shard)
        found = find_or_add_key_lock(&at, key, &check, &fresh)
        if fresh == NULL:
            unlock_and_reclaim(&at)
            give_lock(entry, at.shard, found)
            return None
        if relation(&found.owner, &check.caller) == SAME_CONTEXT:
            unlock_and_reclaim(&at)
            raise_held_already(name, &check.caller)
        start_waiter(&self.waiter, found, &check.caller.context, for_ever, False)
        self.waiter.request = <PyObject*>self
        if not register_waiter(&self.waiter):
            unlock_and_reclaim(&at)
            raise_deadlock(name)
        join_queue(&self.waiter)
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


cdef KeyLock* conclude(LockRequest self) noexcept:
    """The lock, if it was granted and this is the first who asks. Leaves the queue otherwise."""
    cdef bint was_queued = False, granted = False
    lock(self.shard)
    if not self.is_over:
        self.is_over = True
        granted = self.waiter.granted
        if not granted and self.waiter.lock != NULL:
            leave_queue(&self.waiter)
            was_queued = True
    unlock(self.shard)
    if was_queued:
        decref(<PyObject*>self)     # the queue's; the caller has its own
    return self.lock if granted else NULL


cdef void wake_request(PyObject* granted) noexcept:
    """Has the task of a request, whose reference this takes over, wake up. May run any code. Where its loop has been
    closed the lock goes to the next."""
    cdef LockRequest self = <LockRequest>steal(granted)
    cdef KeyLock* left
    cdef int attempt
    for attempt in range(ATTEMPTS):
        try:
            self.loop.call_soon_threadsafe(_set_done, self.future)
            return
        except RuntimeError as error:
            if self.loop.is_closed():
                break
            PyErr_WriteUnraisable(self)
        except KeyboardInterrupt:
            interrupt_main()        # later, where it finds nothing half done
        except BaseException:
            PyErr_WriteUnraisable(self)
    left = conclude(self)
    if left != NULL:
        release_key_lock(self.shard, left)


def _set_done(future, /):
    if not future.done():
        future.set_result(None)


from _thread import interrupt_main
