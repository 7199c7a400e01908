# What a table keeps for the iterators over it that are under way (core/undo_log.pyx).

cdef struct Pin

# A key and value that an entry held.
cdef struct OldVersion:
    PyObject* key           # owned
    PyObject* value         # owned, or a number
    uint32_t entry
    uint32_t before         # the number of the entry's version before this one, plus one; 0: none

cdef struct UndoLog:
    Pin* pins               # the newest first
    OldVersion* versions    # the oldest first; then `latest`, in one piece
    uint32_t* latest        # an open-addressing index: the number of an entry's last version, plus one
    uint32_t count
    uint32_t room           # a power of two; the index has twice as many slots
    uint8_t lock            # of one byte (core/atomicref.h)

# One iterator's place in one table.
cdef struct Pin:
    Pin* next               # in the table's list
    Pin* previous
    PyObject* table         # the iterator's own reference
    UndoLog* log            # the table's
    uint32_t position       # the entry that comes next
    uint32_t end            # entries from here on are younger than the iterator
    uint32_t since          # old versions from this number on are younger than the iterator
    bint backward

cdef enum:
    FIRST_ROOM = 8
    PINS_LOOKED_AT = 32     # by one write
    LOCK_SPINS = 200        # turns; it is held for some dozen instructions, but where the log is doubled
