# Iterating over one point in time of a map, in insertion order.

cdef int checked(int what) except -1:
    if not KEYS <= what <= ITEMS:
        raise ValueError("neither keys, values nor items")
    return what


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
                    value_decref_if(item)
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
            value_decref_if(item)
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
