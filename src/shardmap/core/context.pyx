# Execution contexts: who holds a key's lock, as far as plain reads and writes through the map are concerned.
#
# A context is the running asyncio task if there is one, else the thread, within the contextvars.Context in which it
# took the lock (and copies made of that one). The contextvars part tells apart the calls that a pool runs on one
# thread one after the other: web frameworks run each call in a Context of its own, and one call may enter a `with`
# block that another call, in another thread, leaves. Contexts are known by tokens that are never used twice.

from weakref import WeakKeyDictionary
import sys


@cython.final
cdef class Scope:
    """A thread within one contextvars.Context (internal)."""


cdef object scope_variable = PyContextVar_New("shardmap scope", NULL)
cdef object task_tokens = WeakKeyDictionary()
cdef dict modules = sys.modules
cdef object get_running_loop = None     # asyncio's, once somebody has imported it
cdef object get_current_task = None
cdef Py_ssize_t modules_without_asyncio = 0


cdef inline bint asyncio_is_imported() except -1:
    # A module that comes changes the number of modules.
    return get_running_loop is not None or PyDict_Size(modules) != modules_without_asyncio and look_for_asyncio()


cdef bint look_for_asyncio() except -1:
    global get_running_loop, get_current_task, modules_without_asyncio
    cdef Py_ssize_t number = PyDict_Size(modules)
    # Not imported from here: who has not done so has no running loop, and need not wait for the import.
    tasks = modules.get("asyncio.tasks")
    if tasks is None:
        modules_without_asyncio = number
        return False
    current_task = getattr(tasks, "current_task", None)
    if current_task is None:        # is being imported just now
        return False
    get_current_task = current_task
    get_running_loop = modules["asyncio.events"]._get_running_loop
    return True


cdef int current_context(Context* self) except -1:
    """Fills in who is running. `scope` is a reference of the caller's, for context_clear(). May run Python code."""
    self.thread = sm_thread_token()
    self.is_task = self.in_loop = False
    self.scope = NULL
    if asyncio_is_imported():
        loop = get_running_loop()
        if loop is not None:
            self.in_loop = True
            task = get_current_task(loop)
            if task is None:
                self.id = sm_new_token()    # a callback: no other code is the same
            else:
                self.is_task = True
                self.id = token_of_task(task)
            return 0
    scope = current_scope(self.thread)
    self.id = (<Scope>scope).id
    self.scope = new_reference(<PyObject*>scope)
    return 0


cdef inline void context_clear(Context* self) noexcept:
    cdef PyObject* scope = self.scope
    self.scope = NULL
    if scope != NULL:
        decref(scope)


cdef uint64_t token_of_task(task) except 0:
    token = task_tokens.get(task)
    if token is None:
        token = task_tokens[task] = sm_new_token()
    return token


cdef object current_scope(uint64_t thread):
    cdef PyObject* found = NULL
    cdef Scope scope
    PyContextVar_Get(scope_variable, NULL, &found)
    if found != NULL:
        scope = <Scope>steal(found)
        if scope.thread == thread:
            return scope
        # Inherited by this thread's context from the one that started it, or from the task on whose behalf it runs.
    scope = Scope.__new__(Scope)
    scope.thread = thread
    scope.id = sm_new_token()
    PyContextVar_Set(scope_variable, scope)
    if is_entered(current_contextvars()):
        scope.entered = <object>current_contextvars()
    return scope


cdef bint is_entered(PyObject* context) except -1:
    """Whether a Context is on the stack of a thread by Context.run(). There is no other way to ask than to try."""
    if PyContext_Enter(context) != 0:
        PyErr_Clear()
        return True
    PyContext_Exit(context)
    return False


cdef inline Relation relation(Context* holder, Caller* caller) noexcept nogil:
    """Of a lock's holder to who wants it by a wait that blocks the thread."""
    if holder.thread != caller.context.thread or holder.id == caller.left:
        return OTHER_THREAD
    if holder.id == caller.context.id or holder.id == caller.same:
        return SAME_CONTEXT
    if holder.in_loop or caller.context.in_loop:
        return SAME_THREAD
    return UNKNOWN_SCOPE


cdef int learn_scope(Context* holder, Caller* caller) except -1:
    """Finds out whether the holder's contextvars.Context is still entered, that is below us on this thread's stack: then
    the holder is this very code. Else it was left, and the lock will be released elsewhere. No mutex may be held; the
    caller has a reference to `holder.scope`."""
    cdef Scope scope = <Scope>holder.scope
    if scope.entered is None or is_entered(<PyObject*>scope.entered):
        caller.same = scope.id
    else:
        caller.left = scope.id
    return 0


cdef inline void start_caller(Caller* caller) noexcept nogil:
    caller.is_known = False
    caller.left = caller.same = 0
    caller.context.scope = NULL


cdef inline int know_caller(Caller* caller) except -1:
    """No mutex may be held: may run Python code."""
    if not caller.is_known:
        current_context(&caller.context)
        caller.is_known = True
    return 0
