# Snapshots: one point in time of a whole map, for as many tables as it has shards; and iteration over
# them, which merges the tables by stamp into the order in which the map's entries were inserted.

from types import GenericAlias

from cpython.tuple cimport PyTuple_New

cdef extern from "Python.h":
    void set_item "PyTuple_SET_ITEM"(PyObject* tuple, Py_ssize_t, PyObject*) noexcept

cdef extern from *:
    """
    /* As sm_note_use, but only once other threads have used the object often: a snapshot that one thread takes and
     * another reads a little is better let go at its last reference, tables and all. Losing a count is harmless. */
    #if defined(Py_GIL_DISABLED) && PY_VERSION_HEX >= 0x030E0000
    #define SM_OFTEN 4096
    static inline void sm_note_frequent_use(PyObject *op, uint32_t *uses)
    {
        uint32_t count = __atomic_load_n(uses, __ATOMIC_RELAXED);
        if (__builtin_expect(count < SM_OFTEN, 0) && !_Py_IsOwnedByCurrentThread(op)) {
            __atomic_store_n(uses, count + 1, __ATOMIC_RELAXED);
            if (count + 1 == SM_OFTEN)
                PyUnstable_Object_EnableDeferredRefcount(op);
        }
    }
    #else
    static inline void sm_note_frequent_use(PyObject *op, uint32_t *uses) { (void)op; (void)uses; }
    #endif
    """
    void sm_note_frequent_use(PyObject*, uint32_t*) noexcept

cdef enum:
    KEYS = 0
    VALUES = 1
    ITEMS = 2


cdef class SnapshotCore:
    """The state of a map at one point in time. Never changes; reads take no lock."""

    __class_getitem__ = classmethod(GenericAlias)

    def __cinit__(self, MapCore source=None):
        if source is not None:
            fill_snapshot(self, source)

    def __dealloc__(self):
        cdef uint32_t i
        if self.tables != NULL:
            for i in range(self.table_count):
                table_release(self.tables[i])
            free(self.tables)

    def __len__(self):
        return self.live

    def __contains__(self, key):
        cdef Position at
        sm_note_frequent_use(<PyObject*>self, &self.foreign_uses)
        return snapshot_find(self, <PyObject*>key, &at) == PRESENT

    def __getitem__(self, key):
        cdef Position at
        sm_note_frequent_use(<PyObject*>self, &self.foreign_uses)
        if snapshot_find(self, <PyObject*>key, &at) == PRESENT:
            return boxed_copy(at.block.entries[at.entry].value)
        raise KeyError(key)

    def get(self, key, default=None, /):
        """The value of `key`, or `default`. dict.get."""
        cdef Position at
        sm_note_frequent_use(<PyObject*>self, &self.foreign_uses)
        if snapshot_find(self, <PyObject*>key, &at) == PRESENT:
            return boxed_copy(at.block.entries[at.entry].value)
        return default

    def __iter__(self):
        return new_iterator(self, KEYS, False)

    def __reversed__(self):
        return new_iterator(self, KEYS, True)

    def _iterate(self, int what, bint backward=False, /):
        return new_iterator(self, checked(what), backward)


cdef int checked(int what) except -1:
    if not KEYS <= what <= ITEMS:
        raise ValueError("neither keys, values nor items")
    return what


cdef inline object boxed_copy(PyObject* raw):
    """The value as an object, of which the entry keeps its own reference."""
    hold(raw)
    return steal(boxed(raw))


cdef int fill_snapshot(SnapshotCore self, MapCore source) except -1:
    sm_note_use(<PyObject*>source, &source.seen)
    self.table_count = source.shard_count
    self.shard_bits = source.shard_bits
    self.chosen_shards = source.chosen_shards
    self.tables = map_share_tables(source, &self.live)
    return 0


cdef SnapshotCore snapshot_of(MapCore source):
    cdef SnapshotCore snapshot = SnapshotCore.__new__(SnapshotCore)
    fill_snapshot(snapshot, source)
    return snapshot


def _thaw(type cls not None, SnapshotCore source not None, /):
    """A map of class `cls` with the snapshot's entries, in as many shards: shares all its tables. O(shards)."""
    cdef MapCore self
    cdef uint32_t i
    if source.tables == NULL:
        return blank_map(cls, default_shard_bits)
    self = blank_map(cls, source.shard_bits)
    self.chosen_shards = source.chosen_shards
    for i in range(self.shard_count):
        table_share(source.tables[i])
        give_table(shard_at(self, i), source.tables[i])
    return self


cdef Found snapshot_find(SnapshotCore self, PyObject* key, Position* at) except FAILED:
    cdef Py_hash_t hashed = 0
    hash_of(key, &hashed)
    if self.tables == NULL:
        return ABSENT
    at.shard = NULL
    start_position(at)
    at.block = block_of(self.tables[sm_shard_of(<uint64_t>hashed, self.shard_bits)])
    at.place = sm_place_of(<uint64_t>hashed, self.shard_bits)
    return find_locked(key, at)


# --- Iteration: a binary heap of one cursor per table, the next entry's on top ---

cdef inline bint settle(Cursor* cursor, bint backward) noexcept nogil:
    """Moves a cursor that may stand on a removed entry to the next one that is there. False at the end."""
    cdef Block* block = cursor.block
    cdef uint32_t entry = cursor.entry
    while entry < block.used:       # going backward, below zero is above
        if block.entries[entry].key != NULL:
            cursor.entry = entry
            cursor.stamp = ~block.stamps[entry] if backward else block.stamps[entry]
            return True
        entry = entry - 1 if backward else entry + 1
    return False


cdef inline bint comes_before(Cursor* a, Cursor* b) noexcept nogil:
    # Clocks tick in steps: entries that two threads insert in one step have equal stamps, and any order will do
    # that is the same forward, backward and for popitem.
    return a.stamp < b.stamp or (a.stamp == b.stamp and a.rank < b.rank)


cdef void sift_down(Cursor* heap, uint32_t size, uint32_t at) noexcept nogil:
    cdef Cursor moving = heap[at]
    cdef uint32_t child
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and comes_before(&heap[child + 1], &heap[child]):
            child += 1
        if comes_before(&moving, &heap[child]):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = moving


cdef SnapshotIterator new_iterator(SnapshotCore snapshot, int what, bint backward):
    cdef SnapshotIterator self = SnapshotIterator.__new__(SnapshotIterator)
    cdef uint32_t i, size = 0
    cdef Cursor* cursor
    cdef Block* block
    self.what = what
    self.backward = backward
    if snapshot.live == 0:
        return self
    self.heap = <Cursor*>allocate(snapshot.table_count * sizeof(Cursor), sizeof(void*))
    if self.heap == NULL:
        raise MemoryError()
    for i in range(snapshot.table_count):
        block = block_of(snapshot.tables[i])
        cursor = &self.heap[size]
        cursor.block = block
        cursor.rank = snapshot.table_count - i if backward else i
        cursor.entry = end_of_entries(block) - 1 if backward else first_entry(block)
        size += settle(cursor, backward)
    self.heap_size = size
    for i in range(size // 2, 0, -1):
        sift_down(self.heap, size, i - 1)
    self.snapshot = snapshot
    self.remaining = snapshot.live
    return self


@cython.final
@cython.no_gc_clear     # every cycle goes through a table, and is broken there; the cursors need the snapshot
cdef class SnapshotIterator:
    """Iterates over one point in time of a map, in insertion order. Threads may share one: each entry goes to
    one of them."""

    def __dealloc__(self):
        free(self.heap)

    def __iter__(self):
        return self

    def __next__(self):
        cdef PyObject* key = NULL
        cdef PyObject* value = NULL
        cdef Cursor* top
        cdef SnapshotCore exhausted = None
        cdef object made = None
        if self.what == ITEMS:      # made first: from here on nothing can fail
            made = PyTuple_New(2)
        # Nothing in here detaches, so the critical section is not suspended.
        with cython.critical_section(self):
            if self.heap_size != 0 and self.heap[0].block.entries[self.heap[0].entry].key == NULL:
                self.heap_size = 0      # emptied by the collector: this iterator is garbage itself
            if self.heap_size != 0:
                top = self.heap
                key = top.block.entries[top.entry].key
                value = top.block.entries[top.entry].value
                if self.what != VALUES:
                    incref(key)
                if self.what != KEYS:
                    hold(value)
                self.remaining -= 1
                top.entry = top.entry - 1 if self.backward else top.entry + 1
                if not settle(top, self.backward):
                    self.heap_size -= 1
                    top[0] = self.heap[self.heap_size]
                if self.heap_size > 1:
                    sift_down(self.heap, self.heap_size, 0)
            else:
                exhausted = self.snapshot
                self.snapshot = None
        if key == NULL:
            raise StopIteration
        if self.what == KEYS:
            return steal(key)
        if self.what == VALUES:
            return steal(boxed(value))
        set_item(<PyObject*>made, 0, key)
        set_item(<PyObject*>made, 1, boxed(value))
        return made

    def __length_hint__(self):
        return self.remaining

    def __reduce__(self):
        # As dict's iterators: what is left, as an iterator over a list. The iterator itself is not advanced.
        return iter, (list(self._rest()),)

    def _rest(self):
        """An iterator of its own over what is left."""
        cdef SnapshotIterator rest = SnapshotIterator.__new__(SnapshotIterator)
        with cython.critical_section(self):
            rest.what = self.what
            rest.backward = self.backward
            if self.heap_size != 0:
                rest.heap = <Cursor*>allocate(self.heap_size * sizeof(Cursor), sizeof(void*))
                if rest.heap == NULL:
                    raise MemoryError()
                memcpy(rest.heap, self.heap, self.heap_size * sizeof(Cursor))
                rest.heap_size = self.heap_size
                rest.remaining = self.remaining
                rest.snapshot = self.snapshot
        return rest
