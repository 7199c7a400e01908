# Detecting that a wait for a key's lock would never end.
#
# A wait without a deadline that would close a cycle of waits raises RuntimeError. A thread's wait stops all code of
# that thread; a task's wait stops that task. A wait that begins follows the chain from its lock to the holder, and on
# to the waits that stop the holder. It follows each wait at most once. A waiting thread or task keeps the locks that it
# holds, so the chain does not change while it is followed: owners change and waits end only under `waiters_mutex`.

cdef enum:
    WAITER_LISTS = 1024

cdef sm_mutex waiters_mutex     # the last in the order of mutexes; held briefly, also by detached threads
# All that wait, neither away nor granted: threads by their token, tasks by theirs.
cdef Waiter* waiter_lists[WAITER_LISTS]
cdef uint64_t newest_search = 0
sm_mutex_init(&waiters_mutex)


cdef int raise_deadlock(PyObject* key) except -1:
    raise RuntimeError(f"deadlock: the lock of {<object>key!r} is held by a thread or a task that waits, directly or "
                       "through others, for a lock that this one holds")


cdef int raise_own_thread(PyObject* key, bint by_task) except -1:
    raise RuntimeError(f"deadlock: the lock of {<object>key!r} is held by "
                       + ("another task" if by_task else "other code")
                       + " of this thread, which cannot run while this call waits; in a task, use `async with`")


cdef inline Waiter** waiters_of(uint64_t token) noexcept nogil:
    """The list in which waits of a thread or of a task are, among others."""
    return &waiter_lists[token % WAITER_LISTS]


cdef inline Waiter** list_of(Waiter* self) noexcept nogil:
    return waiters_of(self.owner.thread if self.request == NULL else self.owner.task)


cdef bint register_waiter_locked(Waiter* self) noexcept nogil:
    """False, and nothing done, if the wait would be for ever. Under the mutex of its lock's shard."""
    cdef Waiter** waiters = list_of(self)
    cdef bint ends
    sm_mutex_lock(&waiters_mutex)
    ends = not self.for_ever or not closes_cycle(self)
    if ends:
        self.newer = NULL
        self.older = waiters[0]
        if waiters[0] != NULL:
            waiters[0].newer = self
        waiters[0] = self
    sm_mutex_unlock(&waiters_mutex)
    return ends


cdef void forget_waiter(Waiter* self) noexcept nogil:
    sm_mutex_lock(&waiters_mutex)
    if self.newer != NULL:
        self.newer.older = self.older
    else:
        list_of(self)[0] = self.older
    if self.older != NULL:
        self.older.newer = self.newer
    sm_mutex_unlock(&waiters_mutex)


cdef bint closes_cycle(Waiter* self) noexcept nogil:
    """Whether the holder of the lock is kept from running by this very wait, perhaps over others. Each wait is followed
    once, so the search ends, whatever the waits are. With `waiters_mutex`."""
    global newest_search
    cdef Waiter* at = self
    cdef Waiter* last = self    # the end of the list of those that are still to be followed
    newest_search += 1
    self.searched_by = newest_search
    self.next_to_follow = NULL
    while at != NULL:
        if keeps_from_running(self, &at.lock.owner):
            return True
        last = follow_later(waiters_of(at.lock.owner.thread)[0], &at.lock.owner, last)
        if at.lock.owner.task != 0:
            last = follow_later(waiters_of(at.lock.owner.task)[0], &at.lock.owner, last)
        at = at.next_to_follow
    return False


cdef inline Waiter* follow_later(Waiter* each, Context* holder, Waiter* last) noexcept nogil:
    """Appends the waits of a list that keep the holder from running; returns the new end."""
    while each != NULL:
        if each.for_ever and each.searched_by != newest_search and keeps_from_running(each, holder):
            each.searched_by = newest_search
            each.next_to_follow = NULL
            last.next_to_follow = each
            last = each
        each = each.older
    return last


cdef inline bint keeps_from_running(Waiter* waiter, Context* holder) noexcept nogil:
    """Whether a context cannot go on while this wait lasts. What a thread that waits has on its stack stays there."""
    if waiter.request != NULL and holder.task != 0:
        return holder.task == waiter.owner.task
    if holder.thread != waiter.owner.thread:
        return False
    if holder.in_loop:
        return waiter.request == NULL
    return is_on_stack(holder.contextvars, waiter.owner.contextvars)     # for a task: the code that runs its loop
