# Looking up the integers of an array: as core/bulk_lookup.pyx does it, without an object for each key.
#
# A number is compared with the stored key of the first entry that may be its own. That is nearly always the right one.
# Otherwise the number is written where code that compares plain keys takes it for an int (sm_integer_as_key). That code
# counts no reference and keeps no pointer. Where Python code must compare, an int is made first. So no other code ever
# sees what is not an object.

cdef Bulk new_integer_bulk(MapCore m, IntegerArray source):
    cdef Bulk self = new_bulk(m, source.size, INTEGER_BATCH)
    self.integers = <uint64_t*>allocate(self.room * sizeof(uint64_t), 64)
    if self.integers == NULL:
        raise MemoryError()
    self.array = source
    self.is_signed = source.element.is_signed
    sm_init_integer_key(&self.integer_key)
    memset(self.keys, 0, self.room * sizeof(PyObject*))
    memset(self.values, 0, self.room * sizeof(PyObject*))
    mark_shared(m)
    return self


cdef list get_many_integers(MapCore m, IntegerArray source, default):
    cdef Bulk self = new_integer_bulk(m, source)
    cdef list result = new_untracked_list(source.size)
    cdef Py_ssize_t done = 0
    while done < source.size:
        look_up_integers(m, self, done, default, list_items(result) + done)
        done += self.size
    track(<PyObject*>result)
    return result


cdef list contains_many_integers(MapCore m, IntegerArray source):
    cdef Bulk self = new_integer_bulk(m, source)
    cdef list result = new_untracked_list(source.size)
    cdef Py_ssize_t done = 0
    cdef uint32_t i
    while done < source.size:
        look_up_integers(m, self, done, None, NULL)
        for i in range(self.size):
            set_list_item(<PyObject*>result, done + i, box_bool(self.state[i] == THERE))
        done += self.size
    track(<PyObject*>result)
    return result


cdef int look_up_integers(MapCore m, Bulk self, Py_ssize_t begin, default, PyObject** into) except -1:
    """The numbers from `begin` on, as many as there is room for: whether each is there, in `state`, and references to
    the values, or to `default`, in `into` if that is not NULL."""
    cdef uint32_t i
    self.size = <uint32_t>min(<Py_ssize_t>self.room, self.array.size - begin)
    if HAS_GIL and self.size >= WORTH_DETACHING:
        find_integers_detached(m, self, begin)
        if not take_found(self, default, into):
            return 0
    else:
        split_if_wanted(m)
        hash_integers(self, layout_of(m), begin)
        if look_up_unlocked(m, self, into != NULL, True):
            look_up_locked(self, into != NULL, True)
        if into != NULL:
            move_values(self, default, into)
    for i in range(self.size):
        if self.state[i] >= NEEDS_PYTHON:
            look_up_integer(m, self, i, into != NULL)
            if into != NULL:
                into[i] = object_of(&self.values[i], default)
    return 0


cdef inline PyObject* object_of(PyObject** value, default) except NULL:
    """Moves a value that was found, or none."""
    cdef PyObject* found = value[0]
    if found == NULL:
        return new_reference(<PyObject*>default)
    if is_number(found):
        found = boxed(found)
    value[0] = NULL
    return found


cdef int move_values(Bulk self, default, PyObject** into) except -1:
    cdef uint32_t i
    for i in range(self.size):
        if self.state[i] < NEEDS_PYTHON:
            into[i] = object_of(&self.values[i], default)
    return 0


cdef inline void hash_integers(Bulk self, Layout* layout, Py_ssize_t begin) noexcept nogil:
    """Reads them, too, and sorts them by shard."""
    cdef uint32_t i, shard_bits = layout.shard_bits
    cdef bint is_signed = self.is_signed
    self.layout = layout
    read_integers(self.array, begin, self.size, self.integers)
    for i in range(self.size):
        put_hash(self, i, sm_integer_hash(self.integers[i], is_signed), shard_bits)
    group(self, 0)


cdef int look_up_integer(MapCore m, Bulk self, uint32_t i, bint values) except -1:
    """look_up_one(), with an int for Python code to see."""
    self.keys[i] = new_integer(self.integers[i], self.array.element)
    look_up_one(m, self, i, values)
    decref(self.keys[i])
    self.keys[i] = NULL
    return 0


cdef inline PyObject* key_to_compare(Bulk self, uint32_t i, bint integers) noexcept nogil:
    """For code that compares plain keys, until the next call."""
    return sm_integer_as_key(&self.integer_key, self.integers[i], self.is_signed) if integers else self.keys[i]


# --- The first entry that may be the key's ---

cdef inline void find_candidates(Bulk self, Block* block, uint32_t begin, uint32_t end) noexcept nogil:
    """For each key of a turn: the first entry that may be its own, or NOT_FOUND, in `entry`. Each step is made for all
    keys before the next step, so that the processor waits for many cache lines at a time."""
    cdef uint32_t at, i
    cdef bint far = block.mask >= FAR_INDEX
    if far:
        for at in range(begin, end):
            prefetch_slot(block, self.hash31[self.order[at]])
    for at in range(begin, end):
        i = self.order[at]
        self.entry[i] = candidate(block, self.hash31[i])
        if far and self.entry[i] != NOT_FOUND:
            prefetch(&block.entries[self.entry[i]])
    if far:
        for at in range(begin, min(end, begin + FAR_AHEAD)):
            prefetch_candidate(self, block, self.order[at])


cdef inline uint32_t candidate(Block* block, uint32_t hash31) noexcept nogil:
    """The first entry with a plain key that may be of this hash, or NOT_FOUND."""
    cdef ProbeSequence sequence
    cdef uint32_t content
    probe_start(&sequence, block, hash31)
    while True:
        content = sm_load_u32(&block.index[sequence.slot])
        sm_sched_point()
        if may_be(content, hash31, sequence.mask):
            return (content & sequence.mask) - FIRST_ENTRY if is_plain_slot(content) else NOT_FOUND
        if content == EMPTY:
            return NOT_FOUND
        probe_next(&sequence)


cdef inline void prefetch_candidate_ahead(Bulk self, Block* block, uint32_t at, uint32_t end) noexcept nogil:
    """Called for each key in turn, if the table is far (FAR_INDEX)."""
    if at + FAR_AHEAD < end:
        prefetch_candidate(self, block, self.order[at + FAR_AHEAD])


cdef inline void prefetch_candidate(Bulk self, Block* block, uint32_t i) noexcept nogil:
    """The objects of an entry whose cache line was prefetched."""
    cdef Entry* entry
    if self.entry[i] != NOT_FOUND:
        entry = &block.entries[self.entry[i]]
        prefetch(sm_load_ptr(<void**>&entry.key))
        prefetch_to_write(sm_load_ptr(<void**>&entry.value))


cdef inline Read read_candidate(Bulk self, Block* block, uint32_t i, bint take) noexcept:
    """While reading: goes on as look_along() does from the slot of the candidate. FOUND_PRESENT or LOOK_AGAIN as
    read_block(); ABSENT_BEYOND_TOMBSTONE: the key is to be looked up from the beginning."""
    cdef uint32_t entry = self.entry[i]
    cdef PyObject* found
    if entry == NOT_FOUND:
        return ABSENT_BEYOND_TOMBSTONE
    found = <PyObject*>sm_load_ptr(<void**>&block.entries[entry].key)
    sm_sched_point()
    if found == NULL:
        return ABSENT_BEYOND_TOMBSTONE
    sm_require_unfreed_key(found)
    if not sm_is_integer(found, self.integers[i], self.is_signed):
        return ABSENT_BEYOND_TOMBSTONE
    found = <PyObject*>sm_load_ptr(<void**>&block.entries[entry].value)
    sm_sched_point()
    if found == NULL:
        return ABSENT_BEYOND_TOMBSTONE
    return FOUND_PRESENT if not take or reference_value(block, entry, found, &self.values[i]) else LOOK_AGAIN


# --- With a GIL: without it ---
#
# As look_up_detached() and take_values(), but by turns both times, so that what a turn has in common is read once.

cdef void find_integers_detached(MapCore m, Bulk self, Py_ssize_t begin) noexcept:
    """Notes the entries of the keys in `entry`, and for the first key of each turn the shard's layout version."""
    cdef PyThreadState* thread
    enlist(m)
    thread = PyEval_SaveThread()
    hash_integers(self, layout_of(m), begin)
    find_turns(self)
    PyEval_RestoreThread(thread)


cdef void find_turns(Bulk self) noexcept nogil:
    cdef uint32_t begin = 0, end, at
    cdef Shard* shard
    cdef Block* block
    cdef bint far
    while begin < self.size:
        end = turn_end(self, begin)
        shard = shard_of_key(self, self.order[begin])
        sm_mutex_lock(&shard.mutex)
        self.layout_version[begin] = shard.layout_version
        if shard.is_moved:
            for at in range(begin, end):
                self.entry[self.order[at]] = NOT_KNOWN
        else:
            block = (<Table>shard.table).block
            find_candidates(self, block, begin, end)
            far = block.mask >= FAR_INDEX
            for at in range(begin, end):
                if far:
                    prefetch_candidate_ahead(self, block, at, end)
                find_integer(self, block, self.order[at])
        sm_mutex_unlock(&shard.mutex)
        begin = end


cdef inline void find_integer(Bulk self, Block* block, uint32_t i) noexcept nogil:
    """Under the mutex: notes the entry, NOT_FOUND or NOT_KNOWN."""
    cdef uint32_t slot = 0, entry = self.entry[i]
    cdef ProbeResult result
    if entry != NOT_FOUND and sm_is_integer(block.entries[entry].key, self.integers[i], self.is_signed):
        return
    result = probe(block, key_to_compare(self, i, True), self.hash31[i], &slot, &self.entry[i])
    if result != THERE:
        self.entry[i] = NOT_FOUND if result == NOT_THERE else NOT_KNOWN


cdef bint take_found(Bulk self, default, PyObject** into) except -1:
    """References to the values of the entries that were noted, if `into` is not NULL, and `state` for all keys. Whether
    there are keys left to look up: state NEEDS_PYTHON."""
    cdef uint32_t begin = 0, end, at, i, entry
    cdef Shard* shard
    cdef Block* block
    cdef bint is_valid, left = False
    self.has_left = False
    while begin < self.size:
        end = turn_end(self, begin)
        shard = shard_of_key(self, self.order[begin])
        block = block_of(shard.table)
        is_valid = shard.layout_version == self.layout_version[begin]
        for at in range(begin, end):
            i = self.order[at]
            entry = self.entry[i]
            if comes_after_left(self, i):
                self.state[i] = NEEDS_PYTHON
            elif is_valid and entry < NOT_KNOWN and block.entries[entry].key != NULL:
                self.state[i] = THERE
                if into != NULL:
                    into[i] = boxed_reference(block.entries[entry].value)
            elif entry == NOT_FOUND:
                self.state[i] = NOT_THERE
                if into != NULL:
                    into[i] = new_reference(<PyObject*>default)
            else:
                self.state[i] = NEEDS_PYTHON
                leave(self, i)
                left = True
        begin = end
    return left
