cdef enum Found:
    FAILED = -1     # an exception is set
    ABSENT = 0
    PRESENT = 1

# An entry that a key was found in, for as long as the shard's layout version is the same.
cdef struct FoundEntry:
    bint is_valid
    uint64_t layout_version
    uint32_t entry

# Where a look-up ended: the entry, or the empty slot where the key would go.
cdef struct Position:
    Shard* shard
    Block** published            # the shard's, in MapCore.blocks
    Block* block
    uint32_t hash31
    uint32_t slot
    uint32_t entry
    PyObject* equal         # a stored key that was found equal, borrowed: not compared again; or NULL
    PyObject* left          # a table to release twice once the mutex is released, or NULL
    Limbo* full             # to be emptied then, or NULL
    GracePeriod removed

cdef enum Comparison:
    RAISED = -1
    DIFFERENT = 0
    EQUAL = 1
    START_OVER = 2
