cdef enum Found:
    FAILED = -1     # an exception is set
    ABSENT = 0
    PRESENT = 1

# An entry that a key was found in, for as long as the shard's layout version is the same.
cdef struct FoundEntry:
    bint is_valid
    uint64_t layout_version
    uint32_t entry

# Where a look-up ended: the entry, or the slot where the key would go.
cdef struct LookupResult:
    Block* block
    uint32_t slot
    uint32_t entry

# What an operation has put out of reach under the mutex, and owes once the mutex is released: unlock_and_reclaim().
cdef struct Deferred:
    PyObject* table         # a table to release twice, or NULL
    Limbo* limbo            # full: to be freed, or NULL
    GracePeriod grace_period

# A stored key that only Python code can compare, found by a reader (core/compare_unlocked.pyx).
cdef struct Candidate:
    PyObject* stored        # owned; NULL: it could not be had
    bint is_key             # else `stored` is an object in the place of a key that has gone: only to be let go
    Block* block
    uint64_t layout_version
    uint32_t entry

# One operation on one key: what it is aimed at, what was found, what is to be cleaned up.
cdef struct Access:
    Shard* shard
    Block** published       # the shard's, in MapCore.blocks
    uint32_t hash31
    PyObject* equal         # a stored key that was found equal, borrowed: not compared again; or NULL
    LookupResult found
    Candidate candidate     # where a read says NEEDS_COMPARISON
    Deferred deferred

cdef enum Comparison:
    RAISED = -1
    DIFFERENT = 0
    EQUAL = 1
    START_OVER = 2
