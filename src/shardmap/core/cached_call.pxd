# A function whose results are cached (@cached). Called without a frame of its own (vectorcall).
cdef class CachedCall:
    cdef object __weakref__
    cdef dict __dict__
    cdef void* vectorcall
    cdef object function
    cdef CacheCore cache
    cdef object make_cache          # a new cache like it, for an instance
    cdef object key                 # makes keys of arguments; None: as lru_cache
    cdef object parameters
    cdef uint8_t is_shared_between_threads
    cdef bint typed
    cdef bint once                  # concurrent calls with equal arguments run the function once
    cdef bint is_method             # defined in a class: each instance has a cache of its own
    cdef bint bypasses              # maxsize=0: nothing is cached
    cdef str name_in_instance
    cdef uint64_t generation    # how often all results were forgotten

# The cache of one instance, in the instance's __dict__.
cdef class InstanceCache:
    cdef CacheCore cache
    cdef CachedCall owner
    cdef uint64_t generation    # of the owner, when it was cleared last
    cdef object instance        # a weak reference; None: it can have none
    cdef PyObject* address      # of the instance

cdef class BoundCachedCall:
    cdef object __weakref__
    cdef object function        # a CachedCall, or what is made of one for a coroutine function
    cdef object instance
