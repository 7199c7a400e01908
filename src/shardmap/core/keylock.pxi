# Locks of single keys: what makes compute(), merge() and `with m.lock(key)` exclusive, plain writes included.
#
# A key's lock exists while somebody holds it: a record in a list of the key's shard, looked at under the
# shard's mutex by every writer. The list is almost always empty, and then costs a writer one load. A writer
# that finds its key locked queues for the key's lock like anybody else, writes as its holder, and hands it
# on; so nobody starves, and other keys are not delayed. Readers never wait: they see the value from before.
#
# Waiting is detached, on a condition variable of the waiter's own under the shard's mutex; the lock is
# handed to the first in the queue. A thread that begins to wait without a time-out first follows the chain
# "I wait for a lock whose holder waits for a lock whose holder ..."; if it ends at itself, the wait would
# be for ever, and is a RuntimeError instead.

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

cdef enum Match:
    NONE = 0
    MATCH = 1
    AGAIN = 2               # the mutex was let go meanwhile

cdef enum Wait:
    TIMED_OUT = 0
    GRANTED = 1
    DEADLOCK = 2

cdef str DEADLOCK_MESSAGE = "deadlock: the key is locked by a thread that waits for a key locked by this one"

cdef double SIGNALS_EVERY = 0.05        # seconds: how often the main thread looks for Ctrl-C while it waits

cdef sm_mutex waiters_mutex      # the last one taken, for moments only, also by detached threads
cdef Waiter* newest_waiter = NULL
sm_mutex_init(&waiters_mutex)

import threading

cdef unsigned long main_thread = threading.main_thread().ident      # where signals' handlers run


cdef inline void start_pass(Pass* way, KeyLock* granted) noexcept:
    way.cleared = way.matched = 0
    way.held = NULL
    way.granted = granted


cdef Match match_key_lock(Position* at, PyObject* key, Pass* way, KeyLock** found) except? NONE:
    """The lock of `key` (NULL: the guard of its place). Under the mutex; raises without it."""
    cdef KeyLock* each = at.shard.key_locks
    cdef KeyLock* unknown = NULL
    cdef PyObject* other
    cdef uint64_t serial
    cdef bint equal
    while each != NULL:
        if each.place == at.place:
            if key == NULL or each.key == NULL:
                if key == each.key:
                    found[0] = each
                    return MATCH
            elif each.key == key or each.serial == way.matched:
                found[0] = each
                return MATCH
            elif type_of(each.key) == type_of(key) and sm_is_plain_key(key):
                if sm_compare(each.key, key) > 0:
                    found[0] = each
                    return MATCH
            elif each.serial > way.cleared and (unknown == NULL or each.serial < unknown.serial):
                unknown = each
        each = each.next
    if unknown == NULL:
        return NONE
    # A comparison that can run any code: as in lookup.pxi, with the mutex let go.
    other = unknown.key
    serial = unknown.serial
    incref(other)
    leave(at)
    try:
        equal = equal_objects(other, key)
    finally:
        decref(other)
    lock(at.shard)
    if equal:
        way.matched = serial
    else:
        way.cleared = serial
    return AGAIN


cdef bint may_pass(Position* at, PyObject* key, Pass* way) except -1:
    """Whether a writer may go on where it stands. If not, it starts over, and may the next time. Comes and leaves
    with the mutex held; raises without it."""
    cdef KeyLock* found = NULL
    cdef Match match
    if way.held != NULL:        # only ever one: an __eq__ that changes its mind must not make us forget it
        return True
    match = match_key_lock(at, key, way, &found)
    if match == NONE:
        return True
    if match == AGAIN:
        return False
    if found.owner == PyThread_get_thread_ident():
        if found.closed and found != way.granted:
            leave(at)
            raise RuntimeError("a function that computes the value of a key cannot change that key in the map")
        found.written = True
        found.closed = False        # the function has run: what it replaces may come back to the key as it dies
        return True
    if at.left != NULL:
        leave(at)
        lock(at.shard)
        return False
    if wait_for(at.shard, found, -1, False) == DEADLOCK:
        raise RuntimeError(DEADLOCK_MESSAGE)
    way.held = found
    lock(at.shard)
    return False


cdef KeyLock* take_key_lock(Position* at, PyObject* key, double timeout, bint closed) except? NULL:
    """Takes the lock of the aimed key; a negative time-out waits for ever. NULL without an exception: timed out."""
    cdef KeyLock* fresh = <KeyLock*>allocate(sizeof(KeyLock), sizeof(void*))
    cdef KeyLock* found = NULL
    cdef Pass way
    cdef Match match
    cdef Wait outcome
    if fresh == NULL:
        raise MemoryError()
    start_pass(&way, NULL)
    try:
        lock(at.shard)
        while True:
            match = match_key_lock(at, key, &way, &found)
            if match == NONE:
                break
            if match == MATCH:
                if found.owner == PyThread_get_thread_ident():
                    leave(at)
                    raise RuntimeError("this thread holds the lock of this key already")
                outcome = wait_for(at.shard, found, timeout, closed)
                if outcome == DEADLOCK:
                    raise RuntimeError(DEADLOCK_MESSAGE)
                return found if outcome == GRANTED else NULL
        fresh.key = key
        if key != NULL:
            incref(key)
        fresh.place = at.place
        fresh.closed = closed
        fresh.written = False
        at.shard.lock_serial += 1
        fresh.serial = at.shard.lock_serial
        fresh.owner = PyThread_get_thread_ident()
        fresh.first = fresh.last = NULL
        fresh.next = at.shard.key_locks
        at.shard.key_locks = fresh
        found = fresh
        fresh = NULL
        leave(at)
        return found
    finally:
        free(fresh)


cdef void release_key_lock(Shard* shard, KeyLock* held) noexcept:
    """Hands the lock to the first in the queue; if there is none it ceases to be. May run any code."""
    cdef Waiter* waiter
    cdef KeyLock** link
    lock(shard)
    waiter = held.first
    if waiter != NULL:
        held.first = waiter.next
        if held.first == NULL:
            held.last = NULL
        forget_waiter(waiter)       # first: who holds a lock must not look as if it waited for it
        sm_store_ulong_relaxed(&held.owner, waiter.thread)
        held.closed = waiter.closed
        held.written = False
        waiter.granted = True
        sm_cond_signal(&waiter.wake)   # still under the mutex: without it the waiter could be gone
        unlock(shard)
        return
    link = &shard.key_locks
    while link[0] != NULL and link[0] != held:      # NULL: lost in a fork
        link = &link[0].next
    if link[0] != NULL:
        link[0] = held.next
    unlock(shard)
    if held.key != NULL:
        decref(held.key)
    free(held)


cdef Wait wait_for(Shard* shard, KeyLock* wanted, double timeout, bint closed) except? TIMED_OUT:
    """Queues for a key's lock. Comes with the mutex held, leaves and raises without it. Interrupted by signals in
    the main thread, where Python runs their handlers."""
    cdef Waiter waiter
    cdef PyThreadState* state
    cdef double end = -1, until
    cdef bint granted, over, main
    if timeout >= 0:
        end = sm_now() + timeout
    waiter.lock = wanted
    waiter.thread = PyThread_get_thread_ident()
    waiter.closed = closed
    waiter.for_ever = timeout < 0
    waiter.granted = False
    waiter.next = NULL
    if not register_waiter(&waiter):
        unlock(shard)
        return DEADLOCK
    sm_cond_init(&waiter.wake)
    if wanted.last == NULL:
        wanted.first = &waiter
    else:
        wanted.last.next = &waiter
    wanted.last = &waiter
    unlock(shard)
    main = waiter.thread == main_thread
    while True:
        state = PyEval_SaveThread()
        sm_mutex_lock(&shard.mutex)
        until = end
        if main and (end < 0 or end > sm_now() + SIGNALS_EVERY):
            until = sm_now() + SIGNALS_EVERY
        while not waiter.granted and (until < 0 or sm_now() < until):
            if until < 0:
                sm_cond_wait(&waiter.wake, &shard.mutex)
            else:
                sm_cond_wait_until(&waiter.wake, &shard.mutex, until)
        granted = waiter.granted
        over = not granted and end >= 0 and sm_now() >= end
        if over:
            leave_queue(&waiter)
        sm_mutex_unlock(&shard.mutex)
        PyEval_RestoreThread(state)
        if granted or over:
            sm_cond_destroy(&waiter.wake)
            return GRANTED if granted else TIMED_OUT
        try:
            PyErr_CheckSignals()
        except:
            lock(shard)
            granted = waiter.granted
            if not granted:
                leave_queue(&waiter)
            unlock(shard)
            sm_cond_destroy(&waiter.wake)
            if granted:
                release_key_lock(shard, wanted)
            raise


cdef void leave_queue(Waiter* waiter) noexcept nogil:
    """Under the shard's mutex."""
    cdef KeyLock* wanted = waiter.lock
    cdef Waiter* before = NULL
    cdef Waiter* each = wanted.first
    while each != waiter:
        before = each
        each = each.next
    if before == NULL:
        wanted.first = waiter.next
    else:
        before.next = waiter.next
    if wanted.last == waiter:
        wanted.last = before
    forget_waiter(waiter)


# --- All who wait, for finding deadlocks ---

cdef bint register_waiter(Waiter* waiter) noexcept nogil:
    """False if waiting would close a circle of threads that all wait for ever. A thread in this list is waiting, so
    what it holds it keeps: the chain stands still while we follow it. But a lock of another shard may be handed on
    meanwhile: then we see its old holder or its new one, and neither waits."""
    global newest_waiter
    cdef unsigned long holder = waiter.lock.owner
    cdef Waiter* each
    cdef bint circle = False
    sm_mutex_lock(&waiters_mutex)
    if waiter.for_ever:
        while not circle:
            each = newest_waiter
            while each != NULL and not (each.thread == holder and each.for_ever):
                each = each.older
            if each == NULL:
                break
            holder = sm_load_ulong_relaxed(&each.lock.owner)
            circle = holder == waiter.thread
    if not circle:
        waiter.newer = NULL
        waiter.older = newest_waiter
        if newest_waiter != NULL:
            newest_waiter.newer = waiter
        newest_waiter = waiter
    sm_mutex_unlock(&waiters_mutex)
    return not circle


cdef void forget_waiter(Waiter* waiter) noexcept nogil:
    global newest_waiter
    sm_mutex_lock(&waiters_mutex)
    if waiter.newer != NULL:
        waiter.newer.older = waiter.older
    else:
        newest_waiter = waiter.older
    if waiter.older != NULL:
        waiter.older.newer = waiter.newer
    sm_mutex_unlock(&waiters_mutex)


cdef void drop_lost_key_locks(Shard* shard) noexcept:
    """In a forked child: the locks of threads that are gone, and who waited. Frees nothing: nothing may be let go
    inside fork(), and a KeyEntry may still point to its lock. If the forking thread itself waits (a handler of
    a signal forks), it gets the lock."""
    cdef KeyLock** link = &shard.key_locks
    cdef KeyLock* each
    cdef Waiter* waiter
    while link[0] != NULL:
        each = link[0]
        waiter = each.first
        while waiter != NULL and waiter.thread != PyThread_get_thread_ident():
            waiter = waiter.next
        each.first = each.last = NULL
        if waiter != NULL:
            each.owner = waiter.thread
            each.closed = waiter.closed
            each.written = False
            waiter.granted = True
        if each.owner == PyThread_get_thread_ident():
            link = &each.next
        else:
            link[0] = each.next
            each.owner = 0


# --- For operations on the whole map ---

cdef struct HeldLock:
    HeldLock* next
    Shard* shard
    KeyLock* lock


cdef KeyLock* foreign_lock(Shard* shard) noexcept:
    """A key's lock that another thread holds, or that this one computes under; or NULL. Under the mutex. Leaves out
    those of others whose key had no entry so far: to their holders it is all one whether the map is cleared. Else
    threads that compute one new key after the other would keep clear() waiting for ever."""
    cdef KeyLock* each = shard.key_locks
    while each != NULL:
        if each.owner == PyThread_get_thread_ident():
            if each.closed:
                break
        elif each.written or has_place(block_of(shard.table), each.place):
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


cdef bint locked_by_another(Position* at, PyObject* key, Pass* way) noexcept:
    """Whether another thread may hold the key's lock: holds one of the same place that is not known to be another
    key's. Under the mutex; compares nothing but plain keys."""
    cdef KeyLock* each = at.shard.key_locks
    while each != NULL:
        if each.place == at.place and each.key != NULL and each.owner != PyThread_get_thread_ident() and not (
                each.serial <= way.cleared or type_of(each.key) == type_of(key) and sm_is_plain_key(key)
                and sm_compare(each.key, key) == 0):
            return True
        each = each.next
    return False


cdef int take_foreign_lock(Shard* shard, HeldLock** held) except -1:
    """Waits for it and holds it. Comes with the mutex held, leaves and raises without it. Where that would be a
    deadlock, lets all that was taken go, so that the others can go on."""
    cdef KeyLock* wanted = foreign_lock(shard)
    cdef HeldLock* node
    cdef Wait outcome
    if wanted.owner == PyThread_get_thread_ident():
        unlock(shard)
        raise RuntimeError("a function that computes the value of a key cannot change that key in the map")
    node = <HeldLock*>allocate(sizeof(HeldLock), sizeof(void*))
    if node == NULL:
        unlock(shard)
        raise MemoryError()
    try:
        outcome = wait_for(shard, wanted, -1, False)
        if outcome == GRANTED:
            node.shard = shard
            node.lock = wanted
            node.next = held[0]
            held[0] = node
            node = NULL
        elif held[0] == NULL:
            raise RuntimeError(DEADLOCK_MESSAGE)
        else:
            release_all_held(held)
    finally:
        free(node)
    return 0


cdef void release_all_held(HeldLock** held) noexcept:
    cdef HeldLock* node
    while held[0] != NULL:
        node = held[0]
        held[0] = node.next
        release_key_lock(node.shard, node.lock)
        free(node)
