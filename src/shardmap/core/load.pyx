# A Load: a value that is being made, who waits for it, and why no wait for one is for ever.
#
# A thread that loads, and in the middle of that waits for another load, keeps its own from ending. So a Load knows what
# is waited for in the middle of it; who begins to wait first puts that down, in its own loads, the innermost and those
# around it, then follows these notes from the load that it wants. If it comes to one of its own, that would be a
# circle: it does not wait, runs the loader by itself, and stores nothing. Of several threads that close a circle
# together the last to put its note down finds it, at least.
#
# A load knows the one in whose middle it began: in the same thread (core/counts.h), or, for tasks, by a
# contextvars.Context variable, which the tasks that a loader makes inherit. A load that a task runs needs its event
# loop's thread: so a thread that blocks puts down what for, and does not wait for a load of its own loop.
#
# A wait is one for a lock of the waiter's own, which the loader releases. Signal handlers and finalizers that run in
# the waiting thread may load, too: the waiter holds nothing, and its loads are around theirs.

from _thread import allocate_lock
from contextvars import ContextVar
from types import GetSetDescriptorType, MemberDescriptorType

cdef object task_load = ContextVar("shardmap_load", default=None)   # the innermost that the running task is for
cdef unsigned long HEAP_TYPE = 1 << 9   # Py_TPFLAGS_HEAPTYPE: a class that was made by Python code
cdef tuple FIELDS = (GetSetDescriptorType, MemberDescriptorType)    # of objects made in C, and slots
cdef bint tasks_load = False            # there ever was one
cdef dict waits_of_threads = {}         # the token of a thread that blocks: the loads that it waits for
cdef double LOOK_EVERY = 0.1            # seconds: how often who waits looks whether an event loop has stopped


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

    def begin_wait(self, Load mine, /):
        """Notes that the running task, in the middle of `mine`, waits for it. False, and no wait, if that would be for
        ever."""
        return begin_load_wait(self, mine, False)

    def end_wait(self, Load mine, /):
        """Of the wait that began with the same: another load may be the innermost by now."""
        end_load_wait(self, mine, False)

    def wait(self):
        """Blocks until it has ended. False: it would be for ever."""
        return wait_for_load(self)

    def may_be_given_up(self, loop, /):
        """Whether it is run by another event loop than this one, which may stop."""
        return self.loop is not None and self.loop is not loop

    def give_up_if_stopped(self):
        """Abandons it if the event loop that was to run it does not run."""
        give_up_if_stopped(self)

    def run_in(self, loop, /):
        """A task of this event loop, which runs in this thread, is to run it."""
        self.loop = loop
        self.loop_thread = sm_thread_token()
        self.thread = 0

    def enter_task(self):
        """From here on the running context is in the middle of it."""
        global tasks_load
        tasks_load = True
        task_load.set(self)


cdef Load innermost_load():
    """What the running code is in the middle of loading, and has not ended; None: nothing."""
    cdef Load found = load_of_thread()
    cdef Load of_task
    cdef Load each
    if tasks_load:
        of_task = task_load.get()
        each = of_task
        while each is not None:
            if found is None or each is found:
                found = of_task
                break
            each = each.parent
    while found is not None and sm_load_u8(&found.state) != LOAD_PENDING:
        found = found.parent
    return found


cdef inline Load load_of_thread():
    """Where this thread's loads begin: None, or the innermost one that it has begun and not left."""
    cdef PyObject* load = sm_get_innermost_load()
    return <Load>load if load != NULL else None


cdef inline void set_load_of_thread(Load load) noexcept:
    """Owned: where greenlets switch in the middle of loads, the one to go back to may have ended."""
    cdef PyObject* before = sm_get_innermost_load()
    sm_set_innermost_load(NULL if load is None else new_reference(<PyObject*>load))
    if before != NULL:
        decref(before)


def _innermost_load():
    return innermost_load()


cdef inline Load new_load(Load parent):
    cdef Load load = Load.__new__(Load)
    load.parent = parent
    load.thread = sm_thread_token()
    return load


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


# --- Its end ---

cdef void end_load(Load self, LoadState state, outcome) noexcept:
    """Whoever comes first."""
    if not sm_change_u8(&self.is_ending, False, True):
        return
    self.outcome = outcome
    if state == LOAD_FAILED:
        self.traceback = outcome.__traceback__
    sm_store_u8(&self.state, state)     # release: the outcome before it
    sm_fence_full()         # see call_at_end()
    wake_all(self)


cdef int raise_outcome(Load self) except -1:
    """What the loader has raised, for one who waited."""
    raise BaseException.with_traceback(copy_of_exception(self.outcome), self.traceback)


cdef object copy_of_exception(error):
    """One of the waiter's own: raising writes the exception's traceback, which threads must not do to one and the same
    at once (Cython's code reads it without a lock). Where it cannot be copied, it is the same."""
    kind = type(error)
    try:
        # Without the class's own __init__, which may want other arguments.
        copied = kind.__new__(kind, *error.args)
        if type(copied) is not kind:
            return error
        for base in kind.__mro__:
            for name, descriptor in vars(base).items():
                if isinstance(descriptor, FIELDS) and not name.startswith("__"):
                    value = getattr(error, name, no_value)
                    try:
                        # None is what fields of C's structures say that were never set; Python's slots raise.
                        if value is not no_value and (value is not None or base.__flags__ & HEAP_TYPE):
                            setattr(copied, name, value)
                    except (AttributeError, TypeError):     # for reading only: it came with the arguments
                        pass
        copied.__dict__.update(error.__dict__)
        if hasattr(copied, "__notes__"):
            copied.__notes__ = list(copied.__notes__)
        copied.__cause__ = error.__cause__
        copied.__context__ = error.__context__
        copied.__suppress_context__ = error.__suppress_context__
    except Exception:
        return error
    return copied


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
            function = waiters.pop(0)
        except IndexError:
            return
        try:
            function()
        except BaseException:       # of a loop that was closed
            pass


cdef int give_up_if_stopped(Load self) except -1:
    """Should the loop go on one day, what the load makes is out of date: its value is not stored."""
    if self.loop is not None and not self.loop.is_running():
        sm_store_u8(&self.overtaken, True)
        end_load(self, LOAD_ABANDONED, None)
    return 0


# --- Waiting for it ---

cdef bint begin_load_wait(Load self, Load mine, bint blocks) except -1:
    """`blocks`: the thread does nothing else meanwhile."""
    cdef Load each = mine
    cdef uint64_t thread = sm_thread_token() if blocks else 0
    while each is not None:
        list_in(&each.waits_for).append(self)
        each = each.parent
    if blocks:
        waits_of_threads.setdefault(thread, []).append(self)
    sm_fence_full()         # of several that close a circle, the last one here sees all the notes
    if leads_to(self, mine, thread):
        end_load_wait(self, mine, blocks)
        return False
    return True


cdef int end_load_wait(Load self, Load mine, bint blocks) except -1:
    cdef Load each = mine
    cdef list waits
    while each is not None:
        list_in(&each.waits_for).remove(self)
        each = each.parent
    if blocks:
        waits = waits_of_threads[sm_thread_token()]
        waits.remove(self)
        if not waits:
            del waits_of_threads[sm_thread_token()]
    return 0


cdef bint leads_to(Load start, Load mine, uint64_t thread) except -1:
    """Whether a load waits, perhaps over others, for one that `mine` is in the middle of, or for one of the event loop
    of a thread that is to block (0: of none)."""
    cdef list to_follow = [start]
    cdef set followed = set()
    cdef Load each
    cdef Load own
    while to_follow:
        each = to_follow.pop()
        if id(each) in followed or sm_load_u8(&each.state) != LOAD_PENDING:
            continue
        followed.add(id(each))
        if thread != 0 and each.loop_thread == thread:
            return True
        own = mine
        while own is not None:
            if own is each:
                return True
            own = own.parent
        if sm_load_ptr(<void**>&each.waits_for) != NULL:
            to_follow.extend(list(<list>each.waits_for))
        if each.loop_thread != 0:
            to_follow.extend(list(waits_of_threads.get(each.loop_thread, ())))
    return False


cdef bint wait_for_load(Load self) except -1:
    """False: it would never end. What a signal handler raises ends the wait."""
    cdef Load mine
    if sm_load_u8(&self.state) != LOAD_PENDING:
        return True
    give_up_if_stopped(self)
    mine = innermost_load()
    if not begin_load_wait(self, mine, True):
        return False
    try:
        gate = allocate_lock()
        gate.acquire()
        if call_at_end(self, gate.release):
            if self.loop is None:
                gate.acquire()
            else:
                while not gate.acquire(True, LOOK_EVERY):
                    give_up_if_stopped(self)
    finally:
        end_load_wait(self, mine, True)
    return True
