# A bounded cache: a map, and what it knows of its entries besides. Essay in core/cache.pyx.

cdef enum RemovalKind:
    REMOVED_EXPLICITLY = 0
    REMOVED_AS_REPLACED = 1
    REMOVED_AS_EVICTED = 2
    REMOVED_AS_EXPIRED = 3
    REMOVAL_KINDS = 4

# What one shard knows of its entries' order and use. Under its mutex.
cdef struct CacheShard:
    Policy policy
    uint64_t layout_version     # of the block that the cursors stand in
    EntryCursor swept                # entries before it were looked at in this sweep
    int64_t earliest            # no entry expires before; read without the mutex, too
    int64_t earliest_swept      # of those looked at, and of those stored, since the sweep began
    uint64_t removals[4]        # by kind

cdef class CacheCore:
    cdef object __weakref__
    cdef MapCore entries
    cdef int columns            # of its blocks
    cdef uint32_t shard_count
    cdef uint32_t before_marks  # bytes of each entry's hash31 and words, which stand in front of the marks
    cdef bint expires           # entries may expire: every read asks for the time
    cdef uint8_t is_shared_between_threads
    cdef uint32_t number        # among the counts that threads keep (core/counts.h)
    cdef int64_t ttl            # nanoseconds; FOREVER
    cdef int64_t idle
    cdef int64_t idle_grain     # accesses are noted when the one noted before is that long ago
    cdef int64_t refresh_after
    cdef int64_t most           # total weight at the most; UNBOUNDED
    cdef uint64_t most_in_shard  # entries, if they are spread evenly; 0: not known
    cdef object timer           # None: the system's monotonic clock
    cdef object ttl_function
    cdef object weigh
    cdef object on_remove
    cdef object loader
    cdef object executor
    cdef char* shards           # a CacheShard for each shard, on whole cache lines: known_of()
    cdef int64_t* total         # weight of what is there or about to be: a line of its own
    cdef uint64_t deletions     # by anybody, of any key or all: counted before they are done
    cdef MapCore loads          # key: the Load that is under way (core/cache_load.pyx)
    cdef LoadCounts* load_counts
    cdef set tasks              # None, or those that load asynchronously
    cdef Py_ssize_t most_tasks  # when they are looked through again
    cdef uint64_t forgotten_hits        # counted before the counts were set to zero
    cdef uint64_t forgotten_misses
    cdef uint64_t own_hits      # with a GIL, and where a thread has no counts of its own
    cdef uint64_t own_misses

cdef struct LoadCounts:
    uint64_t done
    uint64_t failed
    uint64_t nanoseconds

# Something that has left a cache and waits for the mutex to be released.
cdef struct RemovedEntry:
    PyObject* key           # owned
    PyObject* value         # owned
    RemovalKind kind

cdef enum:
    MOST_REMOVALS = 8       # under one acquisition of a mutex
    SWEPT_BY_WRITE = 16     # entries that one write looks at for those that have expired
    SWEPT_AT_ONCE = 1024    # entries that a sweep of everything looks at before it releases the mutex

cdef struct RemovedEntries:
    int64_t freed           # weight of what was removed, still counted in the cache's total
    uint32_t count
    RemovedEntry items[8]

# One write to a cache.
cdef struct CacheWrite:
    PyObject* value         # NULL: remove
    CacheWriteWhen when
    PyObject* expected      # for IF_UNCHANGED: what the entry may hold; NULL: only if there is none
    PyObject* load          # NULL, or the Load that must not have been overtaken
    PyObject** old          # NULL, or where to put a reference to the value before
    int64_t now
    int64_t deadline
    int64_t weight
    FoundEntry found
    bint stored

cdef enum CacheWriteWhen:
    CACHE_ALWAYS = 0
    CACHE_IF_ABSENT = 1
    CACHE_IF_UNCHANGED = 2
    CACHE_IF_EXPIRED = 3    # removes the entry if it has expired, else does nothing
