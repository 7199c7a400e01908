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
        self.block = &empty_block
        self.emptied = NULL
        self.cow_refs = 1

    def __dealloc__(self):
        # First out of reach, then released: what runs meanwhile finds an empty table.
        cdef Block* block = self.block
        cdef Block* emptied = self.emptied
        self.block = &empty_block
        if block != &empty_block:
            block_dispose(block)
        while emptied != NULL:
            block = emptied.next_emptied
            block_free(emptied)
            emptied = block
        free_log(self.log)


cdef Block empty_block       # what an emptied table points to: full, so that nothing is ever put in
cdef uint32_t empty_index[SMALLEST_INDEX]
empty_block.mask = SMALLEST_INDEX - 1
empty_block.capacity = 0
empty_block.index = empty_index
empty_block.stamps = NULL
empty_block.entries = NULL
empty_block.bytes = 0


# The table of a shard that never had an entry. Shared by all of them and so never written; its references
# and shares are not counted, because all threads would count on one line.
cdef Table empty_table_owner = Table()

empty_table_owner.cow_refs = 2
cdef PyObject* EMPTY_TABLE = <PyObject*>empty_table_owner
incref(EMPTY_TABLE)     # for good: maps that outlive this module's globals point to it


cdef inline Block* block_of(PyObject* table) noexcept:
    return (<Table>table).block


cdef inline bint is_shared(PyObject* table) noexcept:
    # Acquire: others have read before they gave their shares back.
    return sm_load_u64(&(<Table>table).cow_refs) != 1


cdef inline void table_share(PyObject* table) noexcept:
    """One more holder. The caller holds the mutex, or a share that nobody can take away meanwhile."""
    if table != EMPTY_TABLE:
        incref(table)
        sm_add_u64(&(<Table>table).cow_refs, 1)


cdef inline void table_release(PyObject* table) noexcept:
    """One holder less; may run any code. Not under a mutex."""
    if table != EMPTY_TABLE:
        sm_add_u64(&(<Table>table).cow_refs, <uint64_t>-1)      # release: all that was read is before it
        decref(table)


cdef inline void release_tables(PyObject** tables, uint32_t count) noexcept:
    """All of an array, and the array. May run any code."""
    cdef uint32_t i
    for i in range(count):
        table_release(tables[i])
    free(tables)


cdef void keep_references(Block* block) noexcept:
    """One more reference to every key and value: of another block with the same entries."""
    cdef uint32_t entry
    for entry in range(block.used):
        if block.entries[entry].key != NULL:
            incref(block.entries[entry].key)
            value_incref(block.entries[entry].value)


cdef PyObject* table_new(uint64_t wanted, int columns) except NULL:
    """A new table with room for `wanted` entries and one share. The caller owns it."""
    cdef Table table = Table.__new__(Table)
    cdef Block* block = block_new(wanted, columns)
    if block == NULL:
        raise MemoryError()
    trace_block(block)
    table.block = block
    incref(<PyObject*>table)
    return <PyObject*>table
