# Tables: the garbage collector's view of a block.
#
# A Table is a real object that owns its block's keys and values. The collector visits it while no other
# thread runs Python (GIL, or the world stopped). A published block changes only while the changing thread
# is attached, and never between two points where it could stop, so what the collector sees is whole and
# it needs no lock.
#
# Maps and snapshots hold tables, each holder one reference and one share. Shares are counted apart
# because a writer has to know whether it is alone, and nobody can tell from a reference count on a
# free-threaded build. A share is added only by a holder, under the mutex of the shard it holds the table
# in; so a writer that holds the mutex and reads 1 is alone and stays alone. Reading more is harmless: it
# copies what it would not have had to.

@cython.final
@cython.freelist(16)
@cython.trashcan(True)      # every chain of maps, snapshots and iterators that hold each other has tables in it
cdef class Table:
    """The keys and values of one shard (internal)."""

    def __cinit__(self):
        self.block = &no_entries
        self.emptied = NULL
        self.shares = 1

    def __dealloc__(self):
        # First out of reach, then let go: what runs meanwhile finds an empty table.
        cdef Block* block = self.block
        cdef Block* emptied = self.emptied
        self.block = &no_entries
        if block != &no_entries:
            block_dispose(block)
        while emptied != NULL:
            block = emptied.emptied_before
            block_free(emptied)
            emptied = block


cdef Block no_entries       # what an emptied table points to: full, so that nothing is ever put in
cdef uint32_t no_index[SMALLEST_INDEX]
no_entries.mask = SMALLEST_INDEX - 1
no_entries.capacity = 0
no_entries.index = no_index
no_entries.entries = NULL
no_entries.bytes = 0


# The table of a shard that never had an entry. Shared by all of them and so never written; its references
# and shares are not counted, because all threads would count on one line.
cdef Table nothing_owner = Table()

nothing_owner.shares = 2
cdef PyObject* NOTHING = <PyObject*>nothing_owner
incref(NOTHING)     # for good: maps that outlive this module's globals point to it


cdef inline Block* block_of(PyObject* table) noexcept:
    return (<Table>table).block


cdef inline bint is_shared(PyObject* table) noexcept:
    return sm_load_u64(&(<Table>table).shares) != 1


cdef inline void table_share(PyObject* table) noexcept:
    """One more holder. The caller holds the mutex, or a share that nobody can take away meanwhile."""
    if table != NOTHING:
        incref(table)
        sm_add_u64(&(<Table>table).shares, 1)


cdef inline void table_release(PyObject* table) noexcept:
    """One holder less; may run any code. Not under a mutex."""
    if table != NOTHING:
        sm_add_u64(&(<Table>table).shares, <uint64_t>-1)
        decref(table)


cdef PyObject* table_new(uint64_t wanted) except NULL:
    """A new table with room for `wanted` entries and one share. The caller owns it."""
    cdef Table table = Table.__new__(Table)
    cdef Block* block = block_new(wanted)
    if block == NULL:
        raise MemoryError()
    trace_memory(block, block.bytes)
    table.block = block
    incref(<PyObject*>table)
    return <PyObject*>table


# --- The garbage collector's slots: Cython has no syntax for them. No reference is counted in traverse. ---
