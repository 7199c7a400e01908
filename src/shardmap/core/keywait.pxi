# Waiting for a key's lock, and finding out that a wait would never end.
#
# Who waits stands in the lock's queue; the lock is handed to the first. A thread waits detached, on a condition
# variable of its own under the shard's mutex; an asyncio task waits for a future (core/keyrequest.pxi).
#
# While a thread waits, code of the user's may run in it: handlers of signals, finalizers that the collector runs there.
# Such code may want the very lock that the thread waits for, or one whose holder waits behind this thread. So while
# it runs the waiter is *away*: it keeps its place in the queue but is passed over, and if nobody is left to hand the lock
# to, the lock ceases to be and the thread looks for it again when it is back.
#
# A wait without a deadline that would close a cycle of waits is a RuntimeError. Each wait keeps somebody from running: a
# thread's wait all that runs in this thread, a task's wait the task. A wait that begins follows from lock to holder to
# the waits that keep the holder from running, each wait once at the most. What waits keeps the locks that it holds,
# so the chain stands still while it is followed: owners change, and waits end, under `waiters_mutex`.

cdef extern from "core/system.h" nogil:
    void sm_cond_init(sm_cond*)
    void sm_cond_destroy(sm_cond*)
    void sm_cond_signal(sm_cond*)
    void sm_cond_wait(sm_cond*, sm_mutex*)
    void sm_cond_wait_until(sm_cond*, sm_mutex*, double)
    double sm_now()

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident() noexcept nogil
    int PyErr_CheckSignals() except -1

cdef enum Wait:
    TIMED_OUT = 0
    GRANTED = 1
    TRY_AGAIN = 2           # the lock is no more, or more is known about its holder
    DEADLOCK = 3

cdef double NO_DEADLINE = -1
cdef double SIGNALS_EVERY = 0.05        # seconds: how often the main thread looks for signals while it waits

cdef sm_mutex waiters_mutex      # the last one taken, for moments only, also by detached threads
cdef Waiter* newest_waiter = NULL       # of all that wait: not away, not granted
cdef uint64_t newest_search = 0
sm_mutex_init(&waiters_mutex)

import threading

cdef unsigned long main_thread = threading.main_thread().ident      # where signals' handlers run


cdef Wait wait_for_key_lock(Shard* shard, KeyLock* wanted, PyObject* key, Caller* caller, Relation who,
                            double deadline, bint computing) except? TIMED_OUT:
    """Queues for a key's lock that another context holds. Mutex held on entry, not on return. May run any code, and
    raises what that raises; RuntimeError if another task of this thread holds the lock."""
    cdef Waiter waiter
    cdef Context holder = wanted.owner
    if who == UNKNOWN_SCOPE:
        incref(holder.scope)
        unlock(shard)
        try:
            learn_scope(&holder, caller)
        finally:
            decref(holder.scope)
        return TRY_AGAIN
    if who == SAME_THREAD:
        unlock(shard)
        raise_own_thread(key, &holder)
    start_waiter(&waiter, wanted, &caller.context, deadline < 0, computing)
    if not register_waiter(&waiter):
        unlock(shard)
        context_clear(&waiter.owner)
        return DEADLOCK
    join_queue(&waiter)
    unlock(shard)
    sm_cond_init(&waiter.wake)
    try:
        return wait_in_thread(shard, &waiter, deadline)
    finally:
        sm_cond_destroy(&waiter.wake)
        context_clear(&waiter.owner)    # unless it is the lock's now


cdef Wait wait_in_thread(Shard* shard, Waiter* waiter, double deadline) except? TIMED_OUT:
    cdef bint main = PyThread_get_thread_ident() == main_thread
    while True:
        wait_for_grant(shard, waiter, deadline, main)
        lock(shard)
        if waiter.granted or deadline >= 0 and sm_now() >= deadline:
            if not waiter.granted:
                leave_queue(waiter)
            unlock(shard)
            return GRANTED if waiter.granted else TIMED_OUT
        waiter.is_away = True
        forget_waiter(waiter)
        unlock(shard)
        try:
            PyErr_CheckSignals()    # runs handlers, and from 3.12 on the collector if it is due
        except:
            lock(shard)
            if waiter.lock != NULL:
                leave_queue(waiter)
            unlock(shard)
            raise
        lock(shard)
        if waiter.lock == NULL:
            unlock(shard)
            return TRY_AGAIN
        if not register_waiter(waiter):
            leave_queue(waiter)
            unlock(shard)
            return DEADLOCK
        waiter.is_away = False
        unlock(shard)


cdef void wait_for_grant(Shard* shard, Waiter* waiter, double deadline, bint main) noexcept:
    """Detached, until the lock is granted, the deadline has passed, or it is time to look for signals."""
    cdef PyThreadState* state = PyEval_SaveThread()
    cdef double until = deadline
    cdef double look = sm_now() + SIGNALS_EVERY
    sm_mutex_lock(&shard.mutex)
    if main and (deadline < 0 or deadline > look):
        until = look
    while not waiter.granted and (until < 0 or sm_now() < until):
        if until < 0:
            sm_cond_wait(&waiter.wake, &shard.mutex)
        else:
            sm_cond_wait_until(&waiter.wake, &shard.mutex, until)
    sm_mutex_unlock(&shard.mutex)
    PyEval_RestoreThread(state)


cdef int raise_deadlock(PyObject* key) except -1:
    raise RuntimeError(f"deadlock: {<object>key!r} is locked by a thread or a task that waits, perhaps over others, "
                       "for what this one holds")


cdef int raise_own_thread(PyObject* key, Context* holder) except -1:
    raise RuntimeError(f"deadlock: {<object>key!r} is locked by "
                       + ("another task" if holder.is_task else "other code")
                       + " of this thread, which cannot go on while this one waits; in a task, `async with` waits")


# --- The queue of a lock. Under the shard's mutex. ---

cdef void start_waiter(Waiter* self, KeyLock* wanted, Context* owner, bint for_ever, bint computing) noexcept:
    self.lock = wanted
    self.owner = owner[0]
    if self.owner.scope != NULL:
        incref(self.owner.scope)
    self.for_ever = for_ever
    self.computing = computing
    self.granted = self.is_away = False
    self.request = NULL
    self.searched_by = 0


cdef void join_queue(Waiter* self) noexcept nogil:
    self.next = NULL
    if self.lock.last == NULL:
        self.lock.first = self
    else:
        self.lock.last.next = self
    self.lock.last = self


cdef void leave_queue(Waiter* self) noexcept nogil:
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


cdef inline Waiter* first_that_waits(KeyLock* wanted) noexcept nogil:
    cdef Waiter* each = wanted.first
    while each != NULL and each.is_away:
        each = each.next
    return each


cdef void grant_to(KeyLock* self, Waiter* waiter) noexcept nogil:
    """Makes the first that waits the holder. The reference to the scope of the holder before is the caller's."""
    leave_queue(waiter)         # first: who holds a lock must not look as if it waited for it
    sm_mutex_lock(&waiters_mutex)
    self.owner = waiter.owner
    sm_mutex_unlock(&waiters_mutex)
    waiter.owner.scope = NULL
    self.is_compute = self.computing = waiter.computing
    self.written = False
    self.grant = sm_new_token()
    waiter.grant = self.grant
    waiter.granted = True
    if waiter.request == NULL:
        sm_cond_signal(&waiter.wake)


# --- All that wait, for finding deadlocks ---

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


# --- For operations on the whole map ---

cdef struct HeldLock:
    HeldLock* next
    Shard* shard
    KeyLock* lock


cdef KeyLock* foreign_lock(Shard* shard, Caller* caller) noexcept:
    """A key's lock that clear() has to wait for, or that this very context computes under; or NULL. Under the mutex. Not
    those of functions that compute, which it overtakes. Nor those of blocks whose key had no entry so far: to
    their holders it is all one whether the map is cleared, and else threads that lock one new key after the other
    would keep clear() waiting for ever."""
    cdef KeyLock* each = shard.key_locks
    while each != NULL:
        if relation(&each.owner, caller) == SAME_CONTEXT:
            if each.computing:
                break
        elif not each.is_compute and each.key != NULL and (
                each.written or has_place(block_of(shard.table), each.place)):
            break
        each = each.next
    return each


cdef bint has_place(Block* block, uint32_t place) noexcept nogil:
    """Whether there is an entry of this place."""
    cdef uint32_t mask = block.mask, around = round_of(block), perturb = place
    cdef uint32_t word = place & mask, content, step
    while True:
        for step in range(around + 1):
            content = block.index[word]
            if content == EMPTY:
                return False
            if may_be(content, place, mask):
                if place_of_entry(block, (content & mask) - FIRST_ENTRY) == place:
                    return True
            word = (word & ~around) | ((word + 1) & around)
        word = next_line(word, &perturb, mask)


cdef bint locked_by_another(Position* at, PyObject* key, KeyLockCheck* check) noexcept:
    """Whether another context may hold the key's lock: holds that one, or one of the same place that is not known to be
    another key's. Under the mutex; compares nothing but plain keys."""
    cdef KeyLock* each = at.shard.key_locks
    cdef bint unknown = False
    while each != NULL:
        if each.place == at.place and each.key != NULL:
            if each.key == key or each.serial == check.matched:
                return not (each == check.held
                            or check.caller.is_known and relation(&each.owner, &check.caller) == SAME_CONTEXT)
            unknown |= not (each.serial <= check.cleared or type_of(each.key) == type_of(key)
                            and sm_is_plain_key(key) and sm_compare(each.key, key) == 0)
        each = each.next
    return unknown


cdef int take_foreign_lock(Shard* shard, Caller* caller, HeldLock** held) except -1:
    """Waits for it and holds it. Mutex held on entry, not on return. Where that would be a deadlock, lets all that was
    taken go, so that the others can go on."""
    cdef KeyLock* wanted = foreign_lock(shard, caller)
    cdef HeldLock* node = <HeldLock*>allocate(sizeof(HeldLock), sizeof(void*))
    cdef PyObject* key = wanted.key
    cdef Relation who = relation(&wanted.owner, caller)
    cdef Wait outcome
    incref(key)
    try:
        if node == NULL or who == SAME_CONTEXT:
            unlock(shard)
            if node == NULL:
                raise MemoryError()
            raise RuntimeError(f"a function that computes the value of {<object>key!r} cannot clear the map")
        outcome = wait_for_key_lock(shard, wanted, key, caller, who, NO_DEADLINE, False)
        if outcome == GRANTED:
            node.shard = shard
            node.lock = wanted
            node.next = held[0]
            held[0] = node
            node = NULL
        elif outcome == DEADLOCK:
            if held[0] == NULL:
                raise_deadlock(key)
            release_all_held(held)
    finally:
        decref(key)
        free(node)
    return 0


cdef void release_all_held(HeldLock** held) noexcept:
    cdef HeldLock* node
    while held[0] != NULL:
        node = held[0]
        held[0] = node.next
        release_key_lock(node.shard, node.lock)
        free(node)
