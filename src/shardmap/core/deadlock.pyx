# Finding out that a wait for a key's lock would never end.
#
# A wait without a deadline that would close a cycle of waits is a RuntimeError. Each wait keeps somebody from running: a
# thread's wait all that runs in this thread, a task's wait the task. A wait that begins follows from lock to holder to
# the waits that keep the holder from running, each wait once at the most. What waits keeps the locks that it holds,
# so the chain stands still while it is followed: owners change, and waits end, under `waiters_mutex`.

cdef sm_mutex waiters_mutex      # the last one taken, for moments only, also by detached threads
cdef Waiter* newest_waiter = NULL       # of all that wait: not away, not granted
cdef uint64_t newest_search = 0
sm_mutex_init(&waiters_mutex)


cdef int raise_deadlock(PyObject* key) except -1:
    raise RuntimeError(f"deadlock: {<object>key!r} is locked by a thread or a task that waits, perhaps over others, "
                       "for what this one holds")


cdef int raise_own_thread(PyObject* key, Context* holder) except -1:
    raise RuntimeError(f"deadlock: {<object>key!r} is locked by "
                       + ("another task" if holder.is_task else "other code")
                       + " of this thread, which cannot go on while this one waits; in a task, `async with` waits")


cdef bint register_waiter(Waiter* self) noexcept nogil:
    """False, and nothing done, if the wait would be for ever. Under the mutex of its lock's shard."""
    global newest_waiter
    cdef bint ends
    sm_mutex_lock(&waiters_mutex)
    ends = not self.for_ever or not closes_cycle(self)
    if ends:
        self.newer = NULL
        self.older = newest_waiter
        if newest_waiter != NULL:
            newest_waiter.newer = self
        newest_waiter = self
    sm_mutex_unlock(&waiters_mutex)
    return ends


cdef void forget_waiter(Waiter* self) noexcept nogil:
    global newest_waiter
    sm_mutex_lock(&waiters_mutex)
    if self.newer != NULL:
        self.newer.older = self.older
    else:
        newest_waiter = self.older
    if self.older != NULL:
        self.older.newer = self.newer
    sm_mutex_unlock(&waiters_mutex)


cdef bint closes_cycle(Waiter* self) noexcept nogil:
    """Whether the holder of the lock is kept from running by this very wait, perhaps over others. Each wait is looked at
    once, so the search ends, whatever the waits are. With `waiters_mutex`."""
    global newest_search
    cdef Waiter* at = self
    cdef Waiter* last = self    # the end of the list of those that are still to be followed
    cdef Waiter* each
    newest_search += 1
    self.searched_by = newest_search
    self.next_to_follow = NULL
    while at != NULL:
        if keeps_from_running(self, &at.lock.owner):
            return True
        each = newest_waiter
        while each != NULL:
            if (each.for_ever and each.searched_by != newest_search
                    and keeps_from_running(each, &at.lock.owner)):
                each.searched_by = newest_search
                each.next_to_follow = NULL
                last.next_to_follow = each
                last = each
            each = each.older
        at = at.next_to_follow
    return False


cdef inline bint keeps_from_running(Waiter* waiter, Context* holder) noexcept nogil:
    """Whether a context cannot go on while this wait lasts."""
    if holder.thread != waiter.owner.thread:
        return False
    if holder.id == waiter.owner.id:
        return True
    if waiter.request != NULL:
        return not holder.in_loop       # the code that runs the loop
    # Another scope of a thread that waits may have been left: then the lock will be released elsewhere.
    return holder.in_loop or waiter.owner.in_loop
