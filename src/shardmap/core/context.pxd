# Who runs.
cdef struct Context:
    uint64_t thread         # token
    uint64_t task           # token of the asyncio task that runs, or 0
    bint in_loop            # an event loop runs in this thread
    PyObject* contextvars   # the contextvars.Context that is current, owned; NULL: none was needed so far

# Who asks for a key's lock.
cdef struct Caller:
    bint is_known
    Context context

cdef enum Relation:
    OTHER = 0               # one may wait for it
    SAME_CONTEXT = 1
    SAME_THREAD = 2         # a task or a callback of this thread's loop: waiting would keep it from going on
