# Execution contexts: who holds a key's lock, as far as plain writes through the map are concerned.
#
# A context is the running asyncio task if there is one. Else it is the thread, as long as the contextvars.Context in
# which the lock was taken is on the thread's stack of entered contexts. That tells apart the calls that a pool runs on
# one thread one after the other: web frameworks run each call with Context.run(), and one call may enter a `with`
# block that another call, in another thread, leaves. Threads and tasks are known by tokens that are never used twice.

from weakref import WeakKeyDictionary
import sys

cdef object task_tokens = WeakKeyDictionary()
cdef dict modules = sys.modules
cdef object get_running_loop = None     # asyncio's, once somebody has imported it
cdef object get_current_task = None
cdef Py_ssize_t modules_without_asyncio = 0


cdef inline bint asyncio_is_imported() except -1:
    # A module that comes changes the number of modules.
    return get_running_loop is not None or PyDict_Size(modules) != modules_without_asyncio and look_for_asyncio()


cdef bint look_for_asyncio() except -1:
    """Not imported from here: who has not done so has no running loop, and need not wait for the import."""
    global get_running_loop, get_current_task, modules_without_asyncio
    cdef Py_ssize_t number = PyDict_Size(modules)
    asyncio = modules.get("asyncio")
    if asyncio is None:
        modules_without_asyncio = number
        return False
    if getattr(getattr(asyncio, "__spec__", None), "_initializing", False):
        return False        # it is being imported: not all of its functions are what they will be
    get_current_task = asyncio.current_task
    get_running_loop = asyncio._get_running_loop
    return True


cdef int current_context(Context* self) except -1:
    """Fills in who is running, with a reference of the caller's, for context_clear(). May run Python code."""
    self.thread = sm_thread_token()
    self.task = 0
    self.in_loop = False
    self.contextvars = NULL
    if asyncio_is_imported():
        loop = get_running_loop()
        if loop is not None:
            self.in_loop = True
            task = get_current_task(loop)
            if task is not None:
                self.task = token_of_task(task)
    self.contextvars = current_contextvars()
    if self.contextvars != NULL:
        incref(self.contextvars)
    return 0


cdef inline void context_copy(Context* self, Context* other) noexcept:
    """With a reference of its own."""
    self[0] = other[0]
    if self.contextvars != NULL:
        incref(self.contextvars)


cdef inline void context_clear(Context* self) noexcept:
    cdef PyObject* contextvars = self.contextvars
    self.contextvars = NULL
    if contextvars != NULL:
        decref(contextvars)


cdef uint64_t token_of_task(task) except 0:
    token = task_tokens.get(task)
    if token is None:
        token = task_tokens[task] = sm_new_token()
    return token


cdef inline bint is_on_stack(PyObject* contextvars, PyObject* top) noexcept nogil:
    """Whether a contextvars.Context is entered in the thread whose current one is `top`. Of this thread, or of one that
    waits: then nothing is entered or left there. NULL stands for the bottom of the stack."""
    while top != NULL and top != contextvars:
        top = sm_context_below(top)
    return contextvars == top or contextvars == NULL


cdef inline Relation relation(Context* holder, Context* caller) noexcept nogil:
    """Of a lock's holder to who asks for it in this thread."""
    if holder.task != 0 and holder.task == caller.task:
        return SAME_CONTEXT
    if holder.thread != caller.thread:
        return OTHER
    if holder.in_loop != caller.in_loop or holder.task != 0 or caller.task != 0:
        return SAME_THREAD
    if is_on_stack(holder.contextvars, caller.contextvars):
        return SAME_CONTEXT
    return SAME_THREAD if holder.in_loop else OTHER


cdef inline void start_caller(Caller* caller) noexcept nogil:
    caller.is_known = False
    caller.context.contextvars = NULL


cdef inline int know_caller(Caller* caller) except -1:
    """No mutex may be held: may run Python code."""
    if not caller.is_known:
        current_context(&caller.context)
        caller.is_known = True
    return 0
