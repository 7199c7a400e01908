# Locks of single keys: what makes compute(), merge() and `with m.lock(key)` exclusive, plain writes included.
#
# A key's lock exists only while it is held: it is a record in a list of the key's shard. Every writer reads this list
# under the shard's mutex. The list is almost always empty, and then costs a writer one load. A writer whose key is
# locked queues for the key's lock, writes as its holder, and hands it on. So no writer starves, and other keys are
# not delayed. Readers never wait: they see the previous value.
#
# Each time a lock is acquired or handed on, it gets a new `grant`, a token that is never used twice. The object that
# has the grant holds the lock, in any thread: a KeyEntry, or a call of compute(). A plain write also passes if it comes
# from the execution context that acquired the lock (core/context.pyx).
#
# clear() does not wait for functions that compute values (`is_compute`). What they return after a clear() is returned
# to their callers, but not stored (core/compute.pyx).
#
# Waiting is in core/key_wait.pyx.

cdef inline void start_check(KeyLockCheck* check, uint64_t granted) noexcept nogil:
    check.cleared = check.matched = 0
    check.held = NULL
    check.granted = granted
    start_caller(&check.caller)


cdef inline void end_check(Shard* shard, KeyLockCheck* check) noexcept:
    """Hands on the lock that was taken on the way, if any. May run any code."""
    if check.held != NULL:
        release_key_lock(shard, check.held)
    context_clear(&check.caller.context)


cdef Match match_key_lock_locked(Access* at, PyObject* key, KeyLockCheck* check, KeyLock** found) except? NONE:
    """The lock of `key` (NULL: the lock of its hash). Under the mutex; raises without it."""
    require_locked(at.shard)
    cdef KeyLock* each = at.shard.key_locks
    cdef KeyLock* unknown = NULL
    cdef uint64_t serial
    cdef int answer
    while each != NULL:
        if each.hash31 == at.hash31:
            if key == NULL or each.key == NULL:
                if key == each.key:
                    found[0] = each
                    return MATCH
            elif each.key == key or each.serial == check.matched:
                found[0] = each
                return MATCH
            else:
                answer = sm_compare(each.key, key) if sm_is_plain_key(key) else -1
                if answer > 0:
                    found[0] = each
                    return MATCH
                if answer < 0 and each.serial > check.cleared and (unknown == NULL or each.serial < unknown.serial):
                    unknown = each
        each = each.next
    if unknown == NULL:
        return NONE
    serial = unknown.serial     # `unknown` may be gone once its key has been compared
    if equal_keys_locked(at, unknown.key, key):
        check.matched = serial
    else:
        check.cleared = serial
    return AGAIN


cdef Check check_key_lock_locked(Access* at, PyObject* key, KeyLockCheck* check) except? START_AGAIN:
    """Whether a writer may go on where it stands. Waits where another one holds the key's lock. Mutex held on entry and
    on return; raises without it. May run any code unless it answers MAY_WRITE."""
    require_locked(at.shard)
    cdef KeyLock* found = NULL
    cdef Match match
    cdef Wait outcome
    if check.held != NULL:      # only ever one: an __eq__ that changes its mind must not make us forget it
        return MAY_WRITE
    match = match_key_lock_locked(at, key, check, &found)
    if match == NONE:
        return MAY_WRITE
    if match == AGAIN:
        return START_AGAIN
    if found.grant == check.granted:
        found.written = True
        found.computing = False     # the function has run: what it replaces may come back to the key as it dies
        return MAY_WRITE
    if not check.caller.is_known:
        unlock_and_reclaim(at)
        know_caller(&check.caller)
        lock_located(at)
        return START_AGAIN
    if relation(&found.owner, &check.caller.context) == SAME_CONTEXT:
        if found.computing:
            unlock_and_reclaim(at)
            raise RuntimeError(
                f"a function that computes the value of {<object>key!r} cannot change that key in the map")
        found.written = True
        return MAY_WRITE
    if at.deferred.table != NULL or at.deferred.limbo != NULL or at.deferred.grace_period != NO_GRACE_PERIOD:
        unlock_and_reclaim(at)
        lock_located(at)
        return START_AGAIN
    outcome = wait_for_key_lock_and_unlock(at.shard, found, key, &check.caller.context, NO_DEADLINE, False)
    if outcome == GRANTED:
        check.held = found
    elif outcome == DEADLOCK:
        raise_deadlock(key)
    lock_located(at)
    return START_AGAIN


cdef KeyLock* take_key_lock(Access* at, PyObject* key, PyObject* name, double deadline,
                            bint computing) except? NULL:
    """Takes the lock of the located key (`key` is NULL: the lock of its hash; `name` is what messages call it).
    NULL without an exception: not by the deadline."""
    cdef KeyLock* fresh = NULL
    cdef KeyLock* found = NULL
    cdef KeyLockCheck check
    cdef Wait outcome
    start_check(&check, 0)
    try:
        know_caller(&check.caller)
        fresh = new_key_lock(at, key, &check.caller.context, computing)
        lock_located(at)
        while True:
            found = find_or_add_key_lock_locked(at, key, &check, &fresh)
            if fresh == NULL:
                unlock_and_reclaim(at)
                return found
            if relation(&found.owner, &check.caller.context) == SAME_CONTEXT:
                unlock_and_reclaim(at)
                raise_held_already(name, &check.caller)
            outcome = wait_for_key_lock_and_unlock(at.shard, found, name, &check.caller.context, deadline, computing)
            if outcome == DEADLOCK:
                raise_deadlock(name)
            if outcome != TRY_AGAIN:
                return found if outcome == GRANTED else NULL
            lock_located(at)
    finally:
        free_key_lock(fresh)
        context_clear(&check.caller.context)


class HeldAlready(RuntimeError):
    """A key's lock is held by the thread or task that asks for it. `of`: the key."""


cdef int raise_held_already(PyObject* key, Caller* caller) except -1:
    error = HeldAlready(f"the lock of {<object>key!r} is already held by this "
                        + ("task" if caller.context.task != 0 else "thread"))
    error.of = <object>key
    raise error


cdef KeyLock* new_key_lock(Access* at, PyObject* key, Context* owner, bint computing) except NULL:
    cdef KeyLock* self = <KeyLock*>allocate(sizeof(KeyLock), sizeof(void*))
    if self == NULL:
        raise MemoryError()
    enlist(<MapCore>at.shard.owner)
    self.key = key
    if key != NULL:
        incref(key)
    self.hash31 = at.hash31
    self.is_compute = self.computing = computing
    self.written = False
    context_copy(&self.owner, owner)
    self.first = self.last = NULL
    return self


cdef void free_key_lock(KeyLock* self) noexcept:
    """May run any code."""
    if self != NULL:
        context_clear(&self.owner)
        if self.key != NULL:
            decref(self.key)
        free(self)


cdef KeyLock* find_or_add_key_lock_locked(Access* at, PyObject* key, KeyLockCheck* check, KeyLock** fresh) except NULL:
    """The lock of the key, held by somebody; or `fresh`, which is then NULL and holds it from now on. Under the mutex,
    which is released for comparisons; raises without it."""
    require_locked(at.shard)
    cdef KeyLock* found = NULL
    cdef Match match = AGAIN
    while match == AGAIN:
        match = match_key_lock_locked(at, key, check, &found)
    if match == MATCH:
        return found
    found = fresh[0]
    fresh[0] = NULL
    found.hash31 = at.hash31        # of this layout: the map may have been split since the record was made
    at.shard.lock_serial += 1
    found.serial = at.shard.lock_serial
    found.grant = sm_new_token()
    found.next = at.shard.key_locks
    sm_store_ptr(<void**>&at.shard.key_locks, found)        # is_settled() looks without the mutex
    return found


cdef void release_key_lock(Shard* shard, KeyLock* held) noexcept:
    """Hands the lock to the first waiter in the queue, or removes it if there is none. May run any code."""
    cdef PyObject* request
    while True:
        request = hand_on(shard, held)
        if request == NULL or wake_request(request):
            return


cdef PyObject* hand_on(Shard* shard, KeyLock* held) noexcept:
    """The request of the task that has the lock now, with a reference, to be woken; NULL if there is nothing to do."""
    cdef Waiter* waiter
    cdef Waiter* each
    cdef KeyLock** link
    cdef PyObject* request
    cdef Context before
    lock(shard)
    waiter = first_waiter_locked(held)
    if waiter != NULL:
        before = held.owner
        request = waiter.request
        grant_locked(held, waiter)      # under the mutex: without it `waiter` could be gone
        unlock(shard)
        context_clear(&before)
        return request
    each = held.first
    while each != NULL:             # they run other code just now, and then look again
        each.lock = NULL
        each = each.next
    link = &shard.key_locks
    while link[0] != NULL and link[0] != held:      # NULL: lost in a fork
        link = &link[0].next
    if link[0] != NULL:
        sm_store_ptr(<void**>link, held.next)
    unlock(shard)
    free_key_lock(held)
    return NULL
