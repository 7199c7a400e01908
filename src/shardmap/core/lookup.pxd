cdef enum Found:
    FAILED = -1     # an exception is set
    ABSENT = 0
    PRESENT = 1

# An entry that a key was found in, for as long as the shard's epoch is the same.
cdef struct FoundEntry:
    bint is_valid
    uint64_t epoch
    uint32_t entry

# Where a look-up ended: the entry, or the empty index word where the key would go.
cdef struct Position:
    Shard* shard
    Block** slot            # the shard's, in MapCore.blocks
    Block* block
    uint32_t place
    uint32_t word
    uint32_t entry
    PyObject* equal         # a stored key that was found equal, borrowed: not compared again; or NULL
    PyObject* left          # a table to let go twice once the mutex is let go, or NULL
    Limbo* full             # to be emptied then, or NULL
    Removed removed

cdef enum Comparison:
    RAISED = -1
    DIFFERENT = 0
    EQUAL = 1
    START_OVER = 2
