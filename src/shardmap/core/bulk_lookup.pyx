# Looking up many keys at once.
#
# With a GIL: a batch that is large enough is hashed and probed with the GIL released, so that threads look up in
# parallel. Each shard's mutex is held meanwhile, and released before the thread attaches again. While detached, the
# thread reads the tables, and the contents of keys to which the table or the call has references. It counts no
# references and writes only the call's own memory. It remembers an entry's number and the shard's layout version. When
# it is attached again, it is the only attached thread, and published tables are changed only by attached threads. So it
# reads the entry without the mutex. If the layout version is the same and the entry has not been removed, the entry is
# that of the key, and its current value is the answer. Otherwise the key is looked up again. "Not there" needs no
# second look, because it was true at one point during the call.
#
# Free-threaded: keys are looked up without the mutex, as in core/read_key.pyx; the keys of a turn count as one reader.
# Keys that cannot be read this way are looked up under the mutex, so that the next reader can read them without it.

cdef list map_get_many(MapCore m, keys, default):
    cdef object source = source_of_keys(keys, RAISE_TYPE_ERROR)
    cdef Bulk self
    cdef list result = None, part
    if type(source) is IntegerArray:
        return get_many_integers(m, <IntegerArray>source, default)
    self = new_bulk(m, known_size(source), READ_BATCH)
    mark_shared(m)
    while not self.source.ended and look_up_batch(m, self, source, True):
        part = values_of(self, default)
        if result is None:
            result = part
        else:
            result.extend(part)
    raise_error_of(self)
    return [] if result is None else result


cdef list map_contains_many(MapCore m, keys):
    cdef object source = source_of_keys(keys, RAISE_TYPE_ERROR)
    cdef Bulk self
    cdef list result = []
    cdef uint32_t i
    if type(source) is IntegerArray:
        return contains_many_integers(m, <IntegerArray>source)
    self = new_bulk(m, known_size(source), READ_BATCH)
    mark_shared(m)
    while not self.source.ended and look_up_batch(m, self, source, False):
        for i in range(self.size):
            result.append(self.state[i] == THERE)
    raise_error_of(self)
    return result


cdef list values_of(Bulk self, default):
    """The values that were found, which are the list's from now on."""
    cdef list result = PyList_New(self.size)
    cdef PyObject* value
    cdef uint32_t i
    for i in range(self.size):
        value = self.values[i]
        if value == NULL:
            value = <PyObject*>default
            incref(value)
        elif is_number(value):
            value = boxed(value)
        self.values[i] = NULL
        set_list_item(<PyObject*>result, i, value)
    return result


cdef bint look_up_batch(MapCore m, Bulk self, source, bint values) except -1:
    """Takes the next keys and finds them: THERE or NOT_THERE in `state`, and a reference to the value in `values`
    if asked for. False if there were no keys."""
    cdef uint32_t i
    cdef bint detached = False
    cdef PyThreadState* thread
    drop_keys(self)
    self.size = take(self, source, &self.source, self.keys, self.room)
    for i in range(self.size):
        self.values[i] = NULL
    if HAS_GIL and self.size >= WORTH_DETACHING and sm_has_plain_hash(self.keys[0]):
        enlist(m)
        thread = PyEval_SaveThread()
        self.layout = layout_of(m)
        detached = hash_detached(self, self.layout.shard_bits)
        if detached:
            group(self, 0)
            look_up_detached(self, values)
        PyEval_RestoreThread(thread)
    if not detached:
        hash_keys(self, m)
        group(self, 0)
        if look_up_unlocked(m, self, values, False):
            look_up_locked(self, values, False)
    else:
        take_values(self, values)
    for i in range(self.size):
        if self.state[i] >= NEEDS_PYTHON:
            look_up_one(m, self, i, values)
    return self.size != 0


# --- Keys that are left for later ---
#
# If a key is left, the equal keys after it are, too: otherwise, the first would have a later answer than the second.
# Equal keys have equal hashes.

cdef inline uint32_t left_bit(Bulk self, uint32_t i) noexcept nogil:
    return (self.hash31[i] + self.shard[i]) & (LEFT_BITS - 1)


cdef inline void leave(Bulk self, uint32_t i) noexcept nogil:
    cdef uint32_t bit = left_bit(self, i)
    if not self.has_left:
        self.has_left = True
        memset(self.left, 0, LEFT_BITS // 8)
    self.left[bit >> 6] |= <uint64_t>1 << (bit & 63)


cdef inline bint comes_after_left(Bulk self, uint32_t i) noexcept nogil:
    """Whether an equal key before it may have been left."""
    cdef uint32_t bit = left_bit(self, i)
    return self.has_left and self.left[bit >> 6] >> (bit & 63) & 1


# For each kind of keys there is a copy of the code, in which `integers` is a constant: whether the keys are numbers, of
# which there are no objects (core/bulk_integers.pyx).

cdef inline bint look_up_unlocked(MapCore m, Bulk self, bint values, bint integers) noexcept:
    """True if there are keys left to look up: state UNKNOWN."""
    cdef uint32_t begin = 0, end, at, i
    cdef bint left = False, far
    cdef Shard* shard
    cdef Block** published
    cdef Block* block
    cdef sm_reader* me
    cdef ProbeResult found
    self.has_left = False
    while begin < self.size:
        end = turn_end(self, begin)
        me = sm_read_lock() if sm_reads_unlocked else NULL
        block = NULL
        shard = shard_of_key(self, self.order[begin])
        published = shard.published
        if me != NULL and not sm_load_u64(&m.whole_map_seq) & 1:
            block = <Block*>sm_load_ptr(<void**>published)
            if integers:
                find_candidates(self, block, begin, end)
            else:
                prefetch_first(self, block, begin, end)
            far = block.mask >= FAR_INDEX
            for at in range(begin, end):
                if integers:
                    if far:
                        prefetch_candidate_ahead(self, block, at, end)
                else:
                    prefetch_ahead(self, block, at, end, values)
                i = self.order[at]
                found = read_one(shard, self, block, i, values, integers)
                if comes_after_left(self, i) and found < NEEDS_PYTHON:
                    found = UNKNOWN
                elif found >= NEEDS_PYTHON:
                    leave(self, i)
                self.state[i] = found
                left |= found == UNKNOWN
        if block == NULL or sm_load_ptr(<void**>published) != block:
            left = True
            for at in range(begin, end):
                self.state[self.order[at]] = UNKNOWN
                if sm_reads_unlocked:       # otherwise, no key has been read yet
                    leave(self, self.order[at])
        if me != NULL:
            sm_read_unlock(me)
        begin = end
    return left


cdef inline ProbeResult read_one(Shard* shard, Bulk self, Block* block, uint32_t i, bint values,
                                 bint integers) noexcept:
    """To be believed if the block is still the shard's afterwards. Where it says UNKNOWN there may be a value to
    release."""
    cdef uint32_t entry = 0
    cdef Read answer
    if integers:
        answer = read_candidate(self, block, i, values)
        if answer != ABSENT_BEYOND_TOMBSTONE:
            return THERE if answer == FOUND_PRESENT else UNKNOWN
    answer = read_block(shard, block, self.hash31[i], key_to_compare(self, i, integers), values, &self.values[i],
                        &entry)
    if answer == NEEDS_COMPARISON:
        return NEEDS_PYTHON
    return THERE if answer == FOUND_PRESENT else NOT_THERE if answer == FOUND_ABSENT else UNKNOWN


cdef inline void look_up_locked(Bulk self, bint values, bint integers) noexcept:
    """Those that are left, but for those that only Python can compare: state NEEDS_PYTHON."""
    cdef uint32_t begin = 0, end, at, i, slot = 0, entry = 0
    cdef Shard* shard
    cdef Block* block
    drop_values(self)
    self.has_left = False
    while begin < self.size:
        end = turn_end(self, begin)
        at = begin
        while at < end and self.state[self.order[at]] != UNKNOWN:
            if self.state[self.order[at]] == NEEDS_PYTHON:
                leave(self, self.order[at])
            at += 1
        if at < end:
            shard = shard_of_key(self, self.order[begin])
            lock(shard)
            block = block_of(shard.table)
            while at < end and not shard.is_moved:
                i = self.order[at]
                if self.state[i] == UNKNOWN and comes_after_left(self, i):
                    self.state[i] = NEEDS_PYTHON
                if self.state[i] == UNKNOWN:
                    self.state[i] = probe(block, key_to_compare(self, i, integers), self.hash31[i], &slot, &entry)
                    if values and self.state[i] == THERE:
                        self.values[i] = block.entries[entry].value
                        value_incref_for_readers(self.values[i])
                if self.state[i] == NEEDS_PYTHON:
                    leave(self, i)
                at += 1
            unlock(shard)
        begin = end


cdef void drop_values(Bulk self) noexcept:
    """Of keys that are to be looked up again; may run any code."""
    cdef uint32_t i
    cdef PyObject* value
    for i in range(self.size):
        if self.state[i] == UNKNOWN and self.values[i] != NULL:
            value = self.values[i]
            self.values[i] = NULL
            value_decref(value)


cdef inline void value_incref_for_readers(PyObject* raw) noexcept:
    """value_incref(), after which the next reader needs no mutex."""
    if not is_number(raw):
        sm_allow_try_incref(raw)
        incref(raw)


cdef bint hash_detached(Bulk self, uint32_t shard_bits) noexcept nogil:
    """False if there is a key that takes Python to hash: its code may change what keys before and after it find."""
    cdef uint32_t i
    for i in range(self.size):
        if not sm_has_plain_hash(self.keys[i]):
            return False
        put_hash(self, i, sm_plain_hash(self.keys[i]), shard_bits)
    return True


cdef void look_up_detached(Bulk self, bint values) noexcept nogil:
    cdef uint32_t begin = 0, end, at, i, slot = 0
    cdef uint64_t layout_version
    cdef Shard* shard
    cdef Block* block
    cdef ProbeResult result
    cdef uint32_t entry = 0
    cdef bint is_moved
    while begin < self.size:
        end = turn_end(self, begin)
        shard = shard_of_key(self, self.order[begin])
        sm_mutex_lock(&shard.mutex)
        block = (<Table>shard.table).block
        layout_version = shard.layout_version
        is_moved = shard.is_moved
        prefetch_first(self, block, begin, end)
        for at in range(begin, end):
            prefetch_ahead(self, block, at, end, values)
            i = self.order[at]
            result = NEEDS_PYTHON
            if not is_moved:
                result = probe(block, self.keys[i], self.hash31[i], &slot, &entry)
            self.entry[i] = entry
            self.layout_version[i] = layout_version
            self.state[i] = result
        sm_mutex_unlock(&shard.mutex)
        begin = end


cdef inline Entry* entry_found(Bulk self, uint32_t i) noexcept:
    """With the GIL: the entry that was found without it, or NULL if positions have lost their meaning since."""
    cdef Shard* shard = shard_of_key(self, i)
    if self.state[i] != THERE or shard.layout_version != self.layout_version[i]:
        return NULL
    return &block_of(shard.table).entries[self.entry[i]]


cdef void take_values(Bulk self, bint values) noexcept:
    """With the GIL: references to the values of the entries that were found without it, if `values` are wanted."""
    cdef uint32_t i
    cdef Entry* entry
    cdef PyObject* value
    self.has_left = False
    for i in range(self.size):
        if self.state[i] < NEEDS_PYTHON and comes_after_left(self, i):
            self.state[i] = NEEDS_PYTHON
        if self.state[i] == NEEDS_PYTHON:
            leave(self, i)
        if not values:
            continue
        if i + 2 * FAR_AHEAD < self.size:
            prefetch(&block_of(shard_of_key(self, i + 2 * FAR_AHEAD).table).entries[self.entry[i + 2 * FAR_AHEAD]])
        if i + FAR_AHEAD < self.size:
            entry = entry_found(self, i + FAR_AHEAD)
            if entry != NULL:
                prefetch_to_write(entry.value)
        entry = entry_found(self, i)
        if entry != NULL and entry.key != NULL:
            value = entry.value
            value_incref(value)
            self.values[i] = value
        elif self.state[i] == THERE:
            self.state[i] = NEEDS_PYTHON
            leave(self, i)


cdef int look_up_one(MapCore m, Bulk self, uint32_t i, bint values) except -1:
    cdef Access at
    cdef Found found
    cdef Read answer = LOOK_AGAIN
    locate_key(self, i, &at)
    if sm_reads_unlocked:
        answer = compare_along(m, &at, self.keys[i], &self.values[i] if values else NULL, NULL, NULL)
    if answer != LOOK_AGAIN:
        self.state[i] = THERE if answer == FOUND_PRESENT else NOT_THERE
        return 0
    found = lock_and_find(self.keys[i], &at)
    if found == PRESENT and values:
        self.values[i] = entry_of(&at).value
        value_incref_for_readers(self.values[i])
    unlock_and_reclaim(&at)
    self.state[i] = THERE if found == PRESENT else NOT_THERE
    return 0
