# Snapshots: one point in time of a whole map, for as many tables as it has shards; and iteration over them.

from types import GenericAlias

from cpython.tuple cimport PyTuple_New

cdef extern from "Python.h":
    void set_item "PyTuple_SET_ITEM"(PyObject* tuple, Py_ssize_t, PyObject*) noexcept
    PyObject* new_tuple "PyTuple_New"(Py_ssize_t) except NULL
    void track "PyObject_GC_Track"(PyObject*) noexcept
    void untrack "PyObject_GC_UnTrack"(PyObject*) noexcept
    # May return NULL with an exception set: for places where something is to be undone first.
    PyObject* try_box_long_long "PyLong_FromLongLong"(long long) noexcept

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
                sm_defer(op);
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
        if self.tables != NULL and self.origin is None:
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


cdef inline PyObject* try_boxed_copy(PyObject* raw) noexcept:
    """The same; NULL with an exception set if there is no memory. Making an int neither detaches nor runs code (nor
    does raising MemoryError), so it may be called where nothing may stop."""
    if is_number(raw):
        return try_box_long_long(number_of(raw))
    return new_reference(raw)


cdef inline PyObject* new_untracked_pair() except NULL:
    """A tuple of two, to be filled and then tracked. Until then nobody else can find it (gc.get_objects() in another
    thread, while this one waits for a lock): its items are NULL."""
    cdef PyObject* pair = new_tuple(2)
    untrack(pair)
    return pair


cdef inline PyObject* filled_pair(PyObject* pair, PyObject* key, PyObject* value) noexcept:
    """Takes over the references."""
    set_item(pair, 0, key)
    set_item(pair, 1, value)
    track(pair)
    return pair


cdef int raise_what_is_set() except -1:
    """The exception that C code has set, once there is nothing left to undo."""
    return -1


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


# --- Iteration ---

cdef SnapshotIterator new_iterator(SnapshotCore snapshot, int what, bint backward):
    cdef SnapshotIterator self = SnapshotIterator.__new__(SnapshotIterator)
    self.what = what
    if snapshot.live == 0:
        return self
    self.merge = merge_new(snapshot.table_count)
    merge_start(self.merge, snapshot.tables, snapshot.table_count, backward)
    self.snapshot = snapshot
    self.remaining = snapshot.live
    return self


@cython.final
cdef class SnapshotIterator:
    """Iterates over one point in time of a map, in insertion order. Threads may share one: each entry goes to
    one of them."""

    def __dealloc__(self):
        free(self.merge)
        if self.item != NULL:
            decref(self.item)

    def __iter__(self):
        return self

    def __next__(self):
        cdef PyObject* key = NULL
        cdef PyObject* value = NULL
        cdef PyObject* item = NULL
        cdef Entry* entry
        cdef bint kept
        cdef SnapshotCore exhausted = None
        # What can fail is made first: an entry that was taken is not lost.
        if self.what == ITEMS and (sm_load_ptr(<void**>&self.item) == NULL or sm_load_u8(&self.kept)):
            item = new_untracked_pair()
        sm_byte_lock(&self.lock)        # nothing in here stops
        entry = merge_entry(self.merge) if self.merge != NULL and not self.merge.over else NULL
        if entry != NULL and entry.key != NULL:
            if self.what == ITEMS:
                kept = not sm_only_reference(self.item)
                if kept != self.kept:
                    sm_store_u8(&self.kept, kept)
                if item == NULL:
                    if kept:
                        sm_byte_unlock(&self.lock)
                        return self.__next__()      # again, with a new one
                    item = self.item        # the tuple of the last turn, as dict's iterator does
                    incref(item)
            # Before the iterator moves on: if there is no memory for an int, the entry comes next time.
            if self.what != KEYS:
                value = try_boxed_copy(entry.value)
                if value == NULL:
                    sm_byte_unlock(&self.lock)
                    let_go_if(item)
                    raise_what_is_set()
            key = entry.key
            if self.what != VALUES:
                incref(key)
            self.remaining -= 1
            merge_advance(self.merge)
        else:
            # At the end, or emptied by the collector: this iterator is garbage itself.
            exhausted = self.snapshot
            self.snapshot = None
            if self.merge != NULL:
                self.merge.over = True
        sm_byte_unlock(&self.lock)
        if key == NULL:
            let_go_if(item)
            raise StopIteration
        if self.what == KEYS:
            return steal(key)
        if self.what == VALUES:
            return steal(value)
        return steal(filled_item(self, item, key, value))

    def __length_hint__(self):
        cdef Py_ssize_t remaining
        sm_byte_lock(&self.lock)
        remaining = self.remaining
        sm_byte_unlock(&self.lock)
        return remaining

    def __reduce__(self):
        # As dict's iterators: what is left, as an iterator over a list. The iterator itself is not advanced.
        return iter, (list(self._rest()),)

    def _rest(self):
        """An iterator of its own over what is left."""
        cdef SnapshotIterator rest = SnapshotIterator.__new__(SnapshotIterator)
        cdef Merge* copy = NULL
        rest.what = self.what
        if self.merge == NULL:
            return rest
        copy = merge_new(self.merge.size)
        sm_byte_lock(&self.lock)
        merge_copy(copy, self.merge)
        rest.merge = copy
        rest.remaining = self.remaining
        rest.snapshot = self.snapshot
        sm_byte_unlock(&self.lock)
        return rest


cdef inline PyObject* filled_item(SnapshotIterator self, PyObject* item, PyObject* key, PyObject* value) noexcept:
    """(key, value), of which it takes over the references."""
    cdef PyObject* old_key = tuple_item(item, 0)
    cdef PyObject* old_value = tuple_item(item, 1)
    cdef PyObject* before
    set_item(item, 0, key)
    set_item(item, 1, value)
    if old_key != NULL:
        sm_recycle_tuple(item)
        decref(old_key)
        decref(old_value)
        return item
    track(item)
    if SM_TELLS_ONLY_REFERENCE:
        incref(item)
        sm_byte_lock(&self.lock)
        before = self.item
        sm_store_ptr(<void**>&self.item, item)
        sm_byte_unlock(&self.lock)
        if before != NULL:
            decref(before)
    return item


cdef int iterator_traverse(PyObject* self, visitproc visit, void* arg) noexcept:
    cdef int stop = visit_if(<PyObject*>(<SnapshotIterator>self).snapshot, visit, arg)
    return stop if stop else visit_if((<SnapshotIterator>self).item, visit, arg)


cdef int iterator_clear(PyObject* self) noexcept:
    # Every other cycle goes through a table, and is broken there; the cursors need the snapshot.
    cdef PyObject* item = (<SnapshotIterator>self).item
    (<SnapshotIterator>self).item = NULL
    if item != NULL:
        decref(item)
    return 0
