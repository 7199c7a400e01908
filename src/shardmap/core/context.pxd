# Who runs (core/context.pyx).
cdef struct Context:
    uint64_t thread         # token
    uint64_t id             # token of the task, or of the thread's scope
    bint is_task
    bint in_loop            # an event loop runs in this thread
    PyObject* scope         # a Scope, owned; NULL in a loop

# Who asks for a key's lock.
cdef struct Caller:
    Context context
    bint is_known
    uint64_t left           # a scope of this thread that was left
    uint64_t same           # one that was not

cdef enum Relation:
    OTHER_THREAD = 0        # one may wait for it
    SAME_CONTEXT = 1
    SAME_THREAD = 2         # another task of this thread: waiting would keep it from going on
    UNKNOWN_SCOPE = 3       # another scope of this thread: look whether it was left (learn_scope)

cdef class Scope:
    cdef uint64_t thread
    cdef uint64_t id
    cdef object entered     # the Context, if it is one that was entered with Context.run(); None: the thread's own
