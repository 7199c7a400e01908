# Iterating over one point in time of a map, in insertion order.
#
# Threads may share an iterator, knowingly or through map(), zip() or enumerate(), so each turn excludes all others.
# Nearly always there is one thread, for which a lock would be a third of the work: so the iterator is biased towards
# the thread that made it (as Java's monitors were; Russell and Detlefs, OOPSLA 2006). Its turns are sections of a
# reader (core/readers.h), two plain stores. The first turn of another thread ends that for good, and waits, as for
# readers, until the owner's turn is over; from then on all take the lock. Nothing in a turn stops.

cdef int checked(int what) except -1:
    if not KEYS <= what <= ITEMS:
        raise ValueError(f"expected 0 (keys), 1 (values) or 2 (items), not {what}")
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
    give_owner(self)
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
    give_owner(self)
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


cdef inline void give_owner(SnapshotIterator self) noexcept:
    """Before anybody else can have it."""
    cdef sm_reader* me
    if SM_READERS_MEET_WRITERS and sm_reads_unlocked:
        me = sm_read_lock()
        if me != NULL:
            sm_read_unlock(me)
        self.owner = me


cdef inline sm_reader* begin_turn(SnapshotIterator self) noexcept:
    """What end_turn() wants."""
    cdef sm_reader* me
    if SM_READERS_MEET_WRITERS and sm_load_ptr(&self.owner) != NULL:
        me = sm_read_lock()
        if me != NULL:
            if sm_load_ptr(&self.owner) == me:
                return me
            sm_read_unlock(me)
    begin_locked_turn(self)
    return NULL


cdef inline void end_turn(SnapshotIterator self, sm_reader* me) noexcept:
    if SM_READERS_MEET_WRITERS and me != NULL:
        sm_read_unlock(me)
    else:
        sm_byte_unlock(&self.lock)


cdef void begin_locked_turn(SnapshotIterator self) noexcept:
    sm_byte_lock(&self.lock)
    if SM_READERS_MEET_WRITERS and sm_load_ptr(&self.owner) != NULL:
        sm_store_ptr(&self.owner, NULL)
        sm_wait_for_readers()


cdef void unpin_all(SnapshotIterator self, uint32_t pinned) noexcept:
    """May run any code."""
    cdef uint32_t i
    for i in range(pinned):
        unpin(&self.pins[i])


cdef void free_merge(SnapshotIterator self) noexcept:
    if self.merge != &self.own_merge:
        merge_free(self.merge)
    if self.pins != &self.own_pin:
        free(self.pins)
    self.merge = NULL
    self.pins = NULL


@cython.final
cdef class SnapshotIterator:
    """Iterates over the keys, values or items of a map at one point in time, in insertion order. If threads share one
    iterator, each entry goes to one of them."""

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
        cdef sm_reader* me
        if self.what == ITEMS:
            value = next_item(self)
            if value == NULL:
                raise StopIteration
            return steal(value)
        me = begin_turn(self)
        if not take_now(self, &key, &value):
            end_iteration(self, me)
            raise StopIteration     # makes no exception if it stands in __next__
        if self.what == KEYS:
            go_on(self)
            end_turn(self, me)
            return steal(key)
        if is_number(value):
            value = number_taken(self, me, value)
        go_on(self)
        end_turn(self, me)
        return steal(value)

    def __length_hint__(self):
        cdef Py_ssize_t remaining
        cdef sm_reader* me = begin_turn(self)
        remaining = self.remaining
        end_turn(self, me)
        return remaining

    def __reduce__(self):
        # As dict's iterators: what is left, as an iterator over a list. The iterator itself is not advanced.
        return iter, (list(self._rest()),)

    def _rest(self):
        """An iterator of its own over what is left."""
        cdef SnapshotIterator rest = SnapshotIterator.__new__(SnapshotIterator)
        cdef sm_reader* me
        cdef uint32_t i
        give_owner(rest)
        rest.what = self.what
        if self.merge == NULL:
            return rest
        give_merge(rest, self.merge.size)
        rest.pins = &rest.own_pin
        if self.pinned > 1:
            rest.pins = <Pin*>allocate(self.pinned * sizeof(Pin), sizeof(void*))
            if rest.pins == NULL:
                raise MemoryError()
        me = begin_turn(self)
        for i in range(self.pinned):        # fewer by now, perhaps, if it has come to its end
            copy_pin(&rest.pins[i], &self.pins[i])
        rest.pinned = self.pinned
        merge_copy(rest.merge, self.merge, self.pins, rest.pins)
        rest.remaining = self.remaining
        rest.snapshot = self.snapshot
        end_turn(self, me)
        return rest


cdef inline bint take_next_raw(Merge* merge, PyObject** key, PyObject** value) noexcept:
    """References to the key and value that come next, of tables that cannot change; then goes on. False at the end;
    also where the collector has emptied the tables, if this runs in a finalizer of the same garbage. The value may be a
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
        return take_pinned(cursor.pin, &cursor.entries[cursor.entry], cursor.entry, what, key, value)
    entry = &cursor.entries[cursor.entry]
    if entry.key == NULL:
        return False
    reference_what(entry.key, entry.value, what, key, value)
    return True


cdef inline bint take_now(SnapshotIterator self, PyObject** key, PyObject** value) noexcept:
    """In a turn: references to what comes next. False at the end; or emptied by the collector, as garbage."""
    return self.merge != NULL and not self.merge.over and take_entry(self.merge, self.what, key, value)


cdef inline void go_on(SnapshotIterator self) noexcept:
    self.remaining -= 1
    merge_advance(self.merge)


cdef PyObject* number_taken(SnapshotIterator self, sm_reader* me, PyObject* number) except NULL:
    """As an object. Before the iterator goes on: if there is no memory, the turn ends, and the entry comes next
    time."""
    cdef PyObject* value = try_box_long_long(number_of(number))
    if value == NULL:
        end_turn(self, me)
        raise_what_is_set()
    return value


cdef void end_iteration(SnapshotIterator self, sm_reader* me) noexcept:
    """Ends the turn, too. May run any code."""
    cdef SnapshotCore _exhausted = self.snapshot    # released at the end
    cdef uint32_t pinned = self.pinned
    self.snapshot = None
    self.pinned = 0
    if self.merge != NULL:
        self.merge.over = True
    end_turn(self, me)
    unpin_all(self, pinned)


cdef PyObject* next_item(SnapshotIterator self) except? NULL:
    """NULL without an exception: it is over."""
    cdef PyObject* key = NULL
    cdef PyObject* value = NULL
    cdef PyObject* item = NULL
    cdef bint kept
    cdef sm_reader* me
    # What can fail is made first: an entry that was taken is not lost.
    if sm_load_ptr(<void**>&self.item) == NULL or sm_load_u8(&self.kept):
        item = new_untracked_pair()
    me = begin_turn(self)
    if not take_now(self, &key, &value):
        end_iteration(self, me)
        value_decref_if(item)
        return NULL
    kept = not sm_only_reference(self.item)
    if kept != self.kept:
        sm_store_u8(&self.kept, kept)
    if item == NULL:
        if kept:
            end_turn(self, me)
            decref(key)
            value_decref(value)
            return next_item(self)      # again, with a new one
        item = self.item        # the tuple of the last turn, as dict's iterator does
        incref(item)
    if is_number(value):
        try:
            value = number_taken(self, me, value)
        except MemoryError:
            decref(key)
            decref(item)
            raise
    go_on(self)
    end_turn(self, me)
    return filled_item(self, item, key, value)


cdef inline PyObject* filled_item(SnapshotIterator self, PyObject* item, PyObject* key, PyObject* value) noexcept:
    """(key, value), of which it takes over the references."""
    cdef PyObject* old_key = tuple_item(item, 0)
    cdef PyObject* old_value = tuple_item(item, 1)
    cdef PyObject* before
    cdef sm_reader* me
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
        me = begin_turn(self)
        before = self.item
        sm_store_ptr(<void**>&self.item, item)
        end_turn(self, me)
        if before != NULL:
            decref(before)
    return item
