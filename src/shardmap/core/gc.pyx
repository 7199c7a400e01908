# The garbage collector's slots of all types, for which Cython has no syntax.
#
# The collector visits tables while no other thread runs Python (GIL, or the world stopped). A published block changes
# only while the changing thread is attached, and never between two points where it could stop, so what the collector
# sees is whole and it needs no lock. No reference is counted in traverse, not even for a moment: an object may have
# none left, and would be deallocated with the world stopped. So no local variable there has an extension type, for
# which Cython counts.
#
# Every cycle through a map, a snapshot or an iterator goes through a table, and is broken there.

cdef int ref_traverse(PyObject* self, visitproc visit, void* arg) noexcept:
    cdef PyObject* value = (<AtomicRef>self).value
    return visit(value, arg) if value != NULL else 0


cdef int ref_clear(PyObject* self) noexcept:
    # Something must be there: what runs while garbage is taken apart may still load it.
    decref(ref_swap(<AtomicRef>self, <PyObject*>None))
    return 0


cdef int version_traverse(PyObject* self, visitproc visit, void* arg) noexcept:
    cdef int stop = visit_if(<PyObject*>(<Version>self).content, visit, arg)
    return stop if stop else visit_if(<PyObject*>(<Version>self).meta, visit, arg)


cdef inline int visit_if(PyObject* op, visitproc visit, void* arg) noexcept:
    return visit(op, arg) if op != NULL else 0


cdef int version_clear(PyObject* self) noexcept:
    (<Version>self).meta = None
    return 0


cdef int iterator_traverse(PyObject* self, visitproc visit, void* arg) noexcept:
    cdef int stop = visit_if(<PyObject*>(<SnapshotIterator>self).snapshot, visit, arg)
    if not stop:
        stop = visit_if((<SnapshotIterator>self).item, visit, arg)
    if not stop:
        stop = visit_pins((<SnapshotIterator>self).pins, (<SnapshotIterator>self).pinned, visit, arg)
    return stop


cdef int visit_pins(Pin* pins, uint32_t count, visitproc visit, void* arg) noexcept:
    cdef uint32_t i
    cdef int stop
    for i in range(count):
        stop = visit(pins[i].table, arg)
        if stop:
            return stop
    return 0


cdef int iterator_clear(PyObject* self) noexcept:
    # Every other cycle goes through a table, and is broken there; the cursors need the snapshot.
    cdef PyObject* item = (<SnapshotIterator>self).item
    (<SnapshotIterator>self).item = NULL
    if item != NULL:
        decref(item)
    return 0


cdef int load_traverse(PyObject* self, visitproc visit, void* arg) noexcept:
    """Who waits for it, and for what it waits, are lists that threads make without a lock."""
    cdef int stop = visit_if(<PyObject*>(<Load>self).outcome, visit, arg)
    if not stop:
        stop = visit_if(<PyObject*>(<Load>self).traceback, visit, arg)
    if not stop:
        stop = visit_if(<PyObject*>(<Load>self).parent, visit, arg)
    if not stop:
        stop = visit_if(<PyObject*>(<Load>self).loop, visit, arg)
    if not stop:
        stop = visit_if((<Load>self).waiters, visit, arg)
    return stop if stop else visit_if((<Load>self).waits_for, visit, arg)


cdef int load_clear(PyObject* self) noexcept:
    (<Load>self).traceback = None
    (<Load>self).loop = None
    if (<Load>self).waiters != NULL:
        (<list>(<Load>self).waiters).clear()
    if (<Load>self).waits_for != NULL:
        (<list>(<Load>self).waits_for).clear()
    return 0


cdef int table_traverse(PyObject* self, visitproc visit, void* arg) noexcept:
    cdef Block* block = block_of(self)
    cdef uint32_t entry
    cdef int stop
    for entry in range(block.used):
        if block.entries[entry].key != NULL:
            stop = visit(block.entries[entry].key, arg)
            if stop:
                return stop
            if not is_number(block.entries[entry].value):
                stop = visit(block.entries[entry].value, arg)
                if stop:
                    return stop
    return visit_log((<Table>self).log, visit, arg)


cdef int visit_log(UndoLog* log, visitproc visit, void* arg) noexcept:
    cdef uint32_t i
    cdef int stop = 0
    if log == NULL:
        return 0
    for i in range(log.count):
        stop = visit(log.versions[i].key, arg)
        if not stop and not is_number(log.versions[i].value):
            stop = visit(log.versions[i].value, arg)
        if stop:
            break
    return stop


cdef int table_clear(PyObject* self) noexcept:
    # The block itself stays for as long as the table: an iterator in the same garbage may still stand on it.
    cdef Block* block = block_of(self)
    cdef uint32_t entry
    cdef PyObject* key
    cdef PyObject* value
    clear_log((<Table>self).log)
    block = block_of(self)
    if block == &empty_block:
        return 0
    (<Table>self).block = &empty_block
    block.next_emptied = (<Table>self).emptied
    (<Table>self).emptied = block       # readers without the mutex find its entries gone
    for entry in range(block.used):
        key = block.entries[entry].key
        value = block.entries[entry].value
        block.entries[entry].key = NULL
        block.entries[entry].value = NULL
        if key != NULL:
            decref(key)
            value_decref(value)
    return 0


cdef void clear_log(UndoLog* log) noexcept:
    cdef OldVersion* versions
    cdef uint32_t count
    if log != NULL:
        versions = log.versions
        count = log.count
        forget_versions(log)
        free_versions(versions, count)


cdef int map_traverse(PyObject* self, visitproc visit, void* arg) noexcept:
    cdef Layout* layout = layout_of(<MapCore>self)      # the older ones are empty
    cdef uint32_t i
    cdef PyObject* table
    cdef int stop
    if layout == NULL:
        return 0
    for i in range(layout.shard_count):
        table = shard_in(layout, i).table
        if table != EMPTY_TABLE:
            stop = visit(table, arg)
            if stop:
                return stop
    return 0


cdef int snapshot_traverse(PyObject* self, visitproc visit, void* arg) noexcept:
    cdef PyObject* origin = <PyObject*>(<SnapshotCore>self).origin
    if origin != <PyObject*>None and origin != NULL:
        return visit(origin, arg)
    return visit_tables((<SnapshotCore>self).tables, (<SnapshotCore>self).table_count, visit, arg)


cdef int visit_tables(PyObject** tables, uint32_t count, visitproc visit, void* arg) noexcept:
    cdef uint32_t i
    cdef int stop
    if tables == NULL:
        return 0
    for i in range(count):
        if tables[i] != NULL and tables[i] != EMPTY_TABLE:
            stop = visit(tables[i], arg)
            if stop:
                return stop
    return 0


cdef int no_clear(PyObject* self) noexcept:
    # Every cycle through a map or a snapshot goes through a table, and is broken there.
    return 0


cdef int entry_traverse(PyObject* self, visitproc visit, void* arg) noexcept:
    """What is held by way of the lock is the entry's as well: its key, the context that took it, the map."""
    cdef int stop = visit_if(<PyObject*>(<KeyEntry>self).source, visit, arg)
    if not stop:
        stop = visit_if(<PyObject*>(<KeyEntry>self).key, visit, arg)
    if not stop:
        stop = visit_if(<PyObject*>(<KeyEntry>self).timeout, visit, arg)
    if not stop and (<KeyEntry>self).lock != NULL:
        stop = visit_if((<KeyEntry>self).held_map, visit, arg)
        if not stop:
            stop = visit_if((<KeyEntry>self).lock.key, visit, arg)
        if not stop:
            stop = visit_if((<KeyEntry>self).lock.owner.contextvars, visit, arg)
    return stop
