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


cdef int give_merge(SnapshotIterator self, uint32_t most) except -1:
    """A merge of at most so many tables."""
    if most > 1:
        self.merge = merge_new(most)
        return 0
    self.merge = &self.own_merge
    self.own_merge.size = 1
    self.own_merge.cursors = &self.own_cursor
    self.own_merge.losers = &self.own_standing
    return 0


cdef SnapshotIterator new_iterator(SnapshotCore snapshot, int what, bint backward):
    cdef SnapshotIterator self = SnapshotIterator.__new__(SnapshotIterator)
    self.what = what
    if snapshot.live == 0:
        return self
    give_merge(self, snapshot.table_count)
    merge_start(self.merge, snapshot.tables, snapshot.table_count, backward)
    self.snapshot = snapshot
    self.remaining = snapshot.live
    return self


cdef SnapshotIterator iterate_map(MapCore m, int what, bint backward):
    """Over one point in time of a map, whose writers need not copy its tables."""
    cdef SnapshotIterator self = SnapshotIterator.__new__(SnapshotIterator)
    cdef Layout* layout
    cdef uint32_t room = 0, pinned
    cdef bint done = False
    self.what = what
    mark_shared(m)
    while not done:
        if room < layout_of(m).shard_count:
            free_merge(self)
            room = layout_of(m).shard_count
            give_merge(self, room)
            self.pins = &self.own_pin
            if room > 1:
                self.pins = <Pin*>allocate(room * sizeof(Pin), sizeof(void*))
                if self.pins == NULL:
                    raise MemoryError()
        layout = lock_all(m)
        done = layout.shard_count <= room and pin_tables_locked(self, layout, backward)
        unlock_layout(layout)
        if not done:
            pinned = self.pinned
            self.pinned = 0         # for the collector: what unpinning lets go may run any code
            unpin_all(self, pinned)
            refuse_without_log(m)
    merge_start_pinned(self.merge, self.pins, self.pinned, backward)
    return self


cdef bint pin_tables_locked(SnapshotIterator self, Layout* layout, bint backward) noexcept:
    require_locked(shard_in(layout, 0))
    cdef uint32_t i
    cdef uint32_t live
    self.remaining = 0
    for i in range(layout.shard_count):
        live = block_of(shard_in(layout, i).table).live
        if live != 0:
            if not pin_locked(shard_in(layout, i), &self.pins[self.pinned], backward):
                return False
            self.pinned += 1
            self.remaining += live
    return True


cdef int refuse_without_log(MapCore m) except -1:
    """After tables could not be pinned: MemoryError if that is for want of memory; else it is worth another try."""
    cdef void* memory = allocate(sizeof(UndoLog), sizeof(void*))
    if memory == NULL:
        raise MemoryError()
    free(memory)
    return 0


cdef void unpin_all(SnapshotIterator self, uint32_t pinned) noexcept:
    """May run any code."""
    cdef uint32_t i
    for i in range(pinned):
        unpin(&self.pins[i])


cdef void free_merge(SnapshotIterator self) noexcept:
    if self.merge != &self.own_merge:
        free(self.merge)
    if self.pins != &self.own_pin:
        free(self.pins)
    self.merge = NULL
    self.pins = NULL


@cython.final
cdef class SnapshotIterator:
    """Iterates over one point in time of a map, in insertion order. Threads may share one: each entry goes to
    one of them."""

    def __dealloc__(self):
        unpin_all(self, self.pinned)
        free_merge(self)
        if self.item != NULL:
            decref(self.item)

    def __iter__(self):
        return self

    def __next__(self):
        cdef PyObject* key = NULL
        cdef PyObject* value = NULL
        cdef PyObject* item = NULL
        cdef PyObject* raw = NULL
        cdef uint32_t pinned = 0
        cdef bint kept
        cdef SnapshotCore exhausted = None
        # What can fail is made first: an entry that was taken is not lost.
        if self.what == ITEMS and (sm_load_ptr(<void**>&self.item) == NULL or sm_load_u8(&self.kept)):
            item = new_untracked_pair()
        # Nothing in here stops. An iterator that has one reference needs the lock as well: threads may share the map(),
        # zip() or enumerate() that has it.
        sm_byte_lock(&self.lock)
        if self.merge != NULL and not self.merge.over and take_entry(self.merge, self.what, &key, &raw):
            if self.what == ITEMS:
                kept = not sm_only_reference(self.item)
                if kept != self.kept:
                    sm_store_u8(&self.kept, kept)
                if item == NULL:
                    if kept:
                        sm_byte_unlock(&self.lock)
                        decref(key)
                        value_decref(raw)
                        return self.__next__()      # again, with a new one
                    item = self.item        # the tuple of the last turn, as dict's iterator does
                    incref(item)
            # Before the iterator moves on: if there is no memory for an int, the entry comes next time.
            value = raw
            if raw != NULL and is_number(raw):
                value = try_box_long_long(number_of(raw))
                if value == NULL:
                    sm_byte_unlock(&self.lock)
                    value_decref_if(key)
                    value_decref_if(item)
                    raise_what_is_set()
            self.remaining -= 1
            merge_advance(self.merge)
        else:
            # At the end, or emptied by the collector: this iterator is garbage itself.
            exhausted = self.snapshot
            self.snapshot = None
            pinned = self.pinned
            self.pinned = 0
            if self.merge != NULL:
                self.merge.over = True
        sm_byte_unlock(&self.lock)
        if key == NULL and value == NULL:
            unpin_all(self, pinned)
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
        cdef uint32_t i
        rest.what = self.what
        if self.merge == NULL:
            return rest
        give_merge(rest, self.merge.size)
        rest.pins = &rest.own_pin
        if self.pinned > 1:
            rest.pins = <Pin*>allocate(self.pinned * sizeof(Pin), sizeof(void*))
            if rest.pins == NULL:
                raise MemoryError()
        sm_byte_lock(&self.lock)
        for i in range(self.pinned):        # fewer by now, perhaps, if it has come to its end
            copy_pin(&rest.pins[i], &self.pins[i])
        rest.pinned = self.pinned
        merge_copy(rest.merge, self.merge)
        for i in range(rest.merge.size):
            if rest.merge.cursors[i].pin != NULL:
                rest.merge.cursors[i].pin = &rest.pins[self.merge.cursors[i].pin - self.pins]
        rest.remaining = self.remaining
        rest.snapshot = self.snapshot
        sm_byte_unlock(&self.lock)
        return rest


cdef inline bint take_next_raw(Merge* merge, PyObject** key, PyObject** value) noexcept:
    """References to the key and value that come next, of tables that cannot change; then goes on. False at the end; also
    where the collector has emptied the tables, if this runs in a finalizer of the same garbage. The value may be a
    number (core/value.pyx)."""
    if merge.over or not take_entry(merge, ITEMS, key, value):
        return False
    merge_advance(merge)
    return True


cdef inline bint take_next(Merge* merge, PyObject** key, PyObject** value) except -1:
    """The same with the value as an object."""
    if not take_next_raw(merge, key, value):
        return False
    if is_number(value[0]):
        value[0] = try_box_long_long(number_of(value[0]))
        if value[0] == NULL:
            decref(key[0])
            raise_what_is_set()
    return True


cdef inline bint take_entry(Merge* merge, int what, PyObject** key, PyObject** value) noexcept:
    """References to the key, the value or both that come next. False if the collector has emptied the table."""
    cdef Cursor* cursor = &merge.cursors[merge.winner]
    cdef Entry* entry
    if cursor.pin != NULL:
        return take_pinned(cursor.pin, cursor.block, cursor.entry, what, key, value)
    entry = &cursor.block.entries[cursor.entry]
    if entry.key == NULL:
        return False
    reference_what(entry.key, entry.value, what, key, value)
    return True


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
