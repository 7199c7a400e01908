# A split under way: what was allocated before any mutex was taken, and what is to be let go after the last.
cdef struct Split:
    Layout* before
    Layout* after
    PyObject** tables       # new ones, one for each shard of `after`; NULL once given to a shard
    Merge* merge            # or NULL: one table only
    PyObject** replaced     # tables of `before`, each with the shard's share
    Block** blocks          # of those that were not shared: nobody's entries any more
    Limbo** limbos
    uint32_t* sizes         # entries of each new shard

cdef enum:
    CONTENDED_ENOUGH = 16   # contended acquisitions of one mutex after which more shards are made
    SPLIT_BITS = 4          # one shard becomes sixteen, at most
    GROWN_BY_SEVERAL = 1024     # entries of a table from which on it matters that several threads let it grow
