# Waiting for a key's lock. Waits that would never end are detected in core/deadlock.pyx.
#
# Waiters stand in the lock's queue; the lock is handed to the first one. A thread waits detached, on a condition
# variable of its own under the shard's mutex. An asyncio task waits for a future (core/key_request.pyx).
#
# While a thread waits, user code may run in it: signal handlers, and finalizers that the collector runs. Such code may
# ask for the same lock that the thread waits for, or for one whose holder waits behind this thread. So while it runs,
# the waiter is *away*: it keeps its place in the queue but is passed over. If there is no other waiter, the lock's
# record is removed, and the thread looks for the lock again when it is back.

cdef double NO_DEADLINE = -1
cdef double SIGNALS_EVERY = 0.05        # seconds: how often the main thread looks for signals while it waits

import threading

cdef unsigned long main_thread = threading.main_thread().ident      # where signals' handlers run


cdef Wait wait_for_key_lock_and_unlock(
    Shard* shard, KeyLock* wanted, PyObject* key, Context* caller, double deadline, bint computing
) except? TIMED_OUT:
    """Queues for a key's lock that another context holds. Mutex held on entry, not on return. May run any code, and
    raises what that raises; RuntimeError if a task or a callback of this thread's event loop holds the lock."""
    require_locked(shard)
    cdef Waiter waiter
    cdef Context holder = wanted.owner
    if relation(&holder, caller) == SAME_THREAD:
        unlock(shard)
        raise_own_thread(key, holder.task != 0)
    start_waiter(&waiter, wanted, caller, deadline < 0, computing)
    sm_cond_init(&waiter.wake)      # before anybody can find the waiter
    try:
        if not register_waiter_locked(&waiter):
            unlock(shard)
            return DEADLOCK
        join_queue_locked(&waiter)
        unlock(shard)
        return wait_in_thread(shard, &waiter, deadline)
    finally:
        sm_cond_destroy(&waiter.wake)
        context_clear(&waiter.owner)    # unless it is the lock's now


cdef Wait wait_in_thread(Shard* shard, Waiter* waiter, double deadline) except? TIMED_OUT:
    cdef bint main = PyThread_get_thread_ident() == main_thread
    while True:
        if wait_for_grant(shard, waiter, deadline, main):
            return TIMED_OUT
        lock(shard)
        if waiter.granted:
            unlock(shard)
            return GRANTED
        waiter.is_away = True
        forget_waiter(waiter)
        unlock(shard)
        try:
            PyErr_CheckSignals()    # runs handlers, and from 3.12 on the collector if it is due
        except:
            lock(shard)
            if waiter.lock != NULL:
                leave_queue_locked(waiter)
            unlock(shard)
            raise
        lock(shard)
        if waiter.lock == NULL:
            unlock(shard)
            return TRY_AGAIN
        if not register_waiter_locked(waiter):
            leave_queue_locked(waiter)
            unlock(shard)
            return DEADLOCK
        waiter.is_away = False
        unlock(shard)


cdef bint wait_for_grant(Shard* shard, Waiter* waiter, double deadline, bint main) noexcept:
    """Detached, until the lock is granted, the deadline has passed, or it is time to look for signals. True if the
    deadline has passed: then the waiter has left the queue, before attaching, which may not return (a daemon thread at
    exit)."""
    cdef PyThreadState* state = PyEval_SaveThread()
    cdef double until = deadline
    cdef double look = sm_now() + SIGNALS_EVERY
    cdef bint timed_out
    sm_mutex_lock(&shard.mutex)
    if main and (deadline < 0 or deadline > look):
        until = look
    while not waiter.granted and (until < 0 or sm_now() < until):
        if until < 0:
            sm_cond_wait(&waiter.wake, &shard.mutex)
        else:
            sm_cond_wait_until(&waiter.wake, &shard.mutex, until)
    timed_out = not waiter.granted and deadline >= 0 and sm_now() >= deadline
    if timed_out:
        leave_queue_locked(waiter)
    sm_mutex_unlock(&shard.mutex)
    PyEval_RestoreThread(state)
    return timed_out


# --- The queue of a lock. Under the shard's mutex. ---

cdef void start_waiter(Waiter* self, KeyLock* wanted, Context* owner, bint for_ever, bint computing) noexcept:
    self.lock = wanted
    context_copy(&self.owner, owner)
    self.for_ever = for_ever
    self.computing = computing
    self.granted = self.is_away = False
    self.request = NULL
    self.searched_by = 0


cdef void join_queue_locked(Waiter* self) noexcept nogil:
    self.next = NULL
    if self.lock.last == NULL:
        self.lock.first = self
    else:
        self.lock.last.next = self
    self.lock.last = self


cdef void leave_queue_locked(Waiter* self) noexcept nogil:
    cdef KeyLock* wanted = self.lock
    cdef Waiter* before = NULL
    cdef Waiter* each = wanted.first
    while each != self:
        before = each
        each = each.next
    if before == NULL:
        wanted.first = self.next
    else:
        before.next = self.next
    if wanted.last == self:
        wanted.last = before
    if not self.is_away:
        forget_waiter(self)


cdef inline Waiter* first_waiter_locked(KeyLock* wanted) noexcept nogil:
    cdef Waiter* each = wanted.first
    while each != NULL and each.is_away:
        each = each.next
    return each


cdef void grant_locked(KeyLock* self, Waiter* waiter) noexcept nogil:
    """Makes the first that waits the holder. The reference that the holder before has is the caller's."""
    leave_queue_locked(waiter)         # first: who holds a lock must not look as if it waited for it
    sm_mutex_lock(&waiters_mutex)
    self.owner = waiter.owner
    sm_mutex_unlock(&waiters_mutex)
    waiter.owner.contextvars = NULL
    self.is_compute = self.computing = waiter.computing
    self.written = False
    self.grant = sm_new_token()
    waiter.grant = self.grant
    waiter.granted = True
    if waiter.request == NULL:
        sm_cond_signal(&waiter.wake)
