cdef enum LoadState:
    LOAD_PENDING = 0
    LOAD_DONE = 1           # `outcome` is the value
    LOAD_FAILED = 2         # `outcome` is the exception
    LOAD_ABANDONED = 3      # it will never have one: who waited looks again

# A value that is being loaded for a key. In `CacheCore.loads` as long as others are to wait for it.
cdef class Load:
    cdef object __weakref__
    cdef object outcome
    cdef object traceback       # of an exception, when it was raised
    cdef PyObject* waiters      # NULL, or a list of functions to call at the end; owned
    cdef PyObject* waits_for    # NULL, or a list of the loads that those wait for who run for this one; owned
    cdef Load parent            # the load in the middle of which this one began
    cdef uint64_t thread        # that runs it, by its token; 0: a task does
    cdef uint64_t deletions     # of the cache, when this began
    cdef bint is_alone          # it is not in `CacheCore.loads`: nobody waits for it
    cdef object loop            # the event loop of the task that runs it; None: no task does
    cdef uint64_t loop_thread   # that the loop runs in, by its token; 0
    cdef uint8_t is_queued      # an executor is to run it, and has not begun
    cdef uint8_t is_ending
    cdef uint8_t state          # LoadState
    cdef uint8_t overtaken      # somebody has written, deleted or invalidated the key since

# A function with its arguments, as PyObject_Vectorcall() takes them.
cdef struct Call:
    PyObject* function
    PyObject** arguments
    size_t count
    PyObject* names
