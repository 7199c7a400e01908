# What operations on many keys share: taking the keys in, hashing them, putting those of one shard next to each
# other, and finding them without running Python code.
#
# A call works on batches. A batch's keys are taken from the caller's iterable and hashed first, with no mutex
# held; then each shard's mutex is taken for at most KEYS_A_TURN keys at a time, with the slots and entries of
# the next keys on their way into the cache. A key that only Python can compare, or whose shard is in no usual
# state (a table shared with a snapshot, a key lock), is left to the code of a single operation, and with it all
# later keys of its shard in the batch: so equal keys are worked on in their order.
#
# If the iterable or a hash raises, the keys before are worked on, then the exception is raised.

@cython.final
@cython.no_gc       # lives no longer than a call
cdef class Bulk:
    """The keys of one call that are worked on at a time (internal)."""

    def __dealloc__(self):
        drop_keys(self)
        free(self.memory)
        free(self.integers)


cdef Bulk new_bulk(MapCore m, Py_ssize_t wanted, uint32_t most):
    """Room for `wanted` keys, at most `most`; a negative number: nobody knows how many."""
    cdef Bulk self = Bulk.__new__(Bulk)
    cdef size_t room = most if wanted < 0 or wanted > most else max(wanted, 1)
    cdef size_t each = 2 * sizeof(PyObject*) + sizeof(uint64_t) + 4 * sizeof(uint32_t) + 1
    cdef Layout* layout = layout_of(m)
    cdef uint32_t most_sorted = max(layout.shard_count, <uint32_t>1 << most_shard_bits)     # it may be split meanwhile
    if most_sorted > MOST_SORTED_SHARDS:
        most_sorted = 0
    self.memory = <char*>allocate(room * each + LEFT_BITS // 8 + (most_sorted + 2) * sizeof(uint32_t), 64)
    if self.memory == NULL:
        raise MemoryError()
    self.keys = <PyObject**>self.memory
    self.values = self.keys + room
    self.layout_version = <uint64_t*>(self.values + room)
    self.others = <PyObject**>self.layout_version
    self.left = self.layout_version + room
    self.shard = <uint32_t*>(self.left + LEFT_BITS // 64)
    self.hash31 = self.shard + room
    self.entry = self.hash31 + room
    self.order = self.entry + room
    self.starts = self.order + room
    self.state = <uint8_t*>(self.order + room + most_sorted + 1)
    self.room = <uint32_t>room
    self.most_sorted = most_sorted
    self.layout = layout
    return self


cdef void drop_keys(Bulk self) noexcept:
    """Lets all keys and values go; may run any code."""
    cdef uint32_t size = self.size, i
    self.size = 0
    for i in range(size):
        if i + FAR_AHEAD < size:
            prefetch_to_write(self.keys[i + FAR_AHEAD])
        if self.keys[i] != NULL:
            decref(self.keys[i])
        if self.values[i] != NULL:
            value_decref(self.values[i])


# --- Taking in ---

cdef inline object source_of(iterable):
    """Lists and tuples are read by position, everything else by its iterator. For keys: source_of_keys()."""
    return iterable if PyList_CheckExact(iterable) or PyTuple_CheckExact(iterable) else iter(iterable)


cdef inline Py_ssize_t known_size(source) noexcept:
    if PyList_CheckExact(source):
        return list_size(<PyObject*>source)
    if PyTuple_CheckExact(source):
        return tuple_size(<PyObject*>source)
    return (<IntegerArray>source).size if type(source) is IntegerArray else -1


cdef uint32_t take(Bulk self, source, Source* state, PyObject** into, uint32_t room) except? 0:
    """References to the next elements, at most `room`; fewer if there are no more (`ended`)."""
    cdef uint32_t count = 0
    cdef PyObject* sequence = <PyObject*>source
    if PyList_CheckExact(source):
        with cython.critical_section(source):
            while count < room and state.position < list_size(sequence):
                if state.position + FAR_AHEAD < list_size(sequence):
                    prefetch_to_write(list_item(sequence, state.position + FAR_AHEAD))
                into[count] = list_item(sequence, state.position)
                incref(into[count])
                state.position += 1
                count += 1
    elif PyTuple_CheckExact(source):
        while count < room and state.position < tuple_size(sequence):
            into[count] = tuple_item(sequence, state.position)
            incref(into[count])
            state.position += 1
            count += 1
    elif type(source) is IntegerArray:
        try:
            count = <uint32_t>min(<Py_ssize_t>room, (<IntegerArray>source).size - state.position)
            box_integers(<IntegerArray>source, state.position, count, into)
            state.position += count
        except MemoryError as error:
            count = 0
            self.error = error
    elif not state.ended:
        try:
            while count < room:
                into[count] = next_of(sequence)
                if into[count] == NULL:
                    break
                count += 1
        except BaseException as error:
            self.error = error
    if count < room:
        state.ended = True
    return count


cdef bint take_keys(Bulk self, MapCore m, source) except -1:
    """The next batch of keys, hashed. False if there are none."""
    cdef uint32_t i
    drop_keys(self)
    self.size = take(self, source, &self.source, self.keys, self.room)
    for i in range(self.size):
        self.values[i] = NULL
    hash_keys(self, m)
    return self.size != 0


cdef int hash_keys(Bulk self, MapCore m) except -1:
    """Where a hash raises, the batch ends before its key."""
    cdef uint32_t i = 0, shard_bits
    split_if_wanted(m)
    self.layout = layout_of(m)
    shard_bits = self.layout.shard_bits
    self.all_plain = True
    while i < self.size:
        if sm_has_plain_hash(self.keys[i]):
            put_hash(self, i, sm_plain_hash(self.keys[i]), shard_bits)
        else:
            self.all_plain = False
            hash_non_plain_key(self, i, shard_bits)
        i += 1
    return 0


cdef inline bint can_be_sorted(Bulk self) noexcept nogil:
    return self.layout.shard_count <= self.most_sorted


cdef int hash_non_plain_key(Bulk self, uint32_t i, uint32_t shard_bits) except -1:
    """One whose hash may be Python code. If it raises, the batch ends here."""
    cdef Py_hash_t hashed = 0
    try:
        hash_of(self.keys[i], &hashed)
    except BaseException as error:
        self.error = error
        end_batch_at(self, i)
        return 0
    put_hash(self, i, hashed, shard_bits)
    return 0


cdef void end_batch_at(Bulk self, uint32_t i) noexcept:
    """Lets the keys from number `i` on go, and takes no further ones."""
    cdef uint32_t end = self.size
    self.source.ended = True
    self.size = i
    while i < end:
        decref(self.keys[i])
        value_decref_if(self.values[i])
        i += 1


cdef inline void put_hash(Bulk self, uint32_t i, Py_hash_t hash, uint32_t shard_bits) noexcept nogil:
    cdef uint32_t hash31 = 0
    self.shard[i] = shard_and_hash31(sm_mixed_of(<uint64_t>hash), shard_bits, &hash31)
    self.hash31[i] = hash31


cdef int raise_error_of(Bulk self) except -1:
    if self.error is not None:
        raise self.error
    return 0


# --- By shard ---

cdef void group(Bulk self, uint32_t first) noexcept nogil:
    """Sorts the keys from number `first` on by shard, those of one shard staying in their order (a counting sort)."""
    cdef uint32_t* starts = self.starts
    cdef uint32_t i, shards = self.layout.shard_count
    if shards == 1 or not can_be_sorted(self):
        for i in range(first, self.size):
            self.order[i] = i
        return
    memset(starts, 0, (shards + 1) * sizeof(uint32_t))
    starts[0] = first
    for i in range(first, self.size):
        starts[self.shard[i] + 1] += 1
    for i in range(1, shards):
        starts[i] += starts[i - 1]
    for i in range(first, self.size):
        self.order[starts[self.shard[i]]] = i
        starts[self.shard[i]] += 1


cdef inline uint32_t turn_end(Bulk self, uint32_t begin) noexcept nogil:
    """The end of the run of keys of one shard that begins at `begin`, cut where the mutex is to be released."""
    cdef uint32_t shard = self.shard[self.order[begin]], end = begin + 1
    cdef uint32_t most = min(self.size, begin + KEYS_A_TURN)
    if self.layout.shard_bits == 0:
        return most
    while end < most and self.shard[self.order[end]] == shard:
        end += 1
    return end


cdef inline Shard* shard_of_key(Bulk self, uint32_t i) noexcept nogil:
    return shard_in(self.layout, self.shard[i])


cdef inline void locate_key(Bulk self, uint32_t i, Access* at) noexcept:
    at.shard = shard_of_key(self, i)
    at.published = &blocks_of(self.layout)[self.shard[i]]
    at.hash31 = self.hash31[i]
    start_access(at)


# --- Finding ---

cdef inline void prefetch_slot(Block* block, uint32_t hash31) noexcept nogil:
    prefetch(&block.index[hash31 & block.mask])


cdef inline void prefetch_entry(Block* block, uint32_t hash31) noexcept nogil:
    """What the first slot points to: most often the right entry."""
    cdef uint32_t content = sm_load_u32_relaxed(&block.index[hash31 & block.mask]) & block.mask
    if content >= FIRST_ENTRY:
        prefetch(&block.entries[content - FIRST_ENTRY])


cdef inline void prefetch_objects(Block* block, uint32_t hash31, bint values) noexcept nogil:
    cdef uint32_t content = sm_load_u32_relaxed(&block.index[hash31 & block.mask]) & block.mask
    if content >= FIRST_ENTRY:
        prefetch(sm_load_ptr(<void**>&block.entries[content - FIRST_ENTRY].key))
        if values:
            prefetch_to_write(sm_load_ptr(<void**>&block.entries[content - FIRST_ENTRY].value))


cdef inline void prefetch_ahead(Bulk self, Block* block, uint32_t at, uint32_t end, bint values) noexcept nogil:
    """Called for each key in turn: the steps of a look-up, each some keys ahead of the next."""
    if at + 3 * AHEAD < end:
        prefetch_slot(block, self.hash31[self.order[at + 3 * AHEAD]])
    if at + 2 * AHEAD < end:
        prefetch_entry(block, self.hash31[self.order[at + 2 * AHEAD]])
    if at + AHEAD < end:
        prefetch_objects(block, self.hash31[self.order[at + AHEAD]], values)


cdef inline void prefetch_first(Bulk self, Block* block, uint32_t begin, uint32_t end) noexcept nogil:
    """Before the first key of a turn."""
    cdef uint32_t at
    for at in range(begin, min(end, begin + 3 * AHEAD)):
        prefetch_slot(block, self.hash31[self.order[at]])
    for at in range(begin, min(end, begin + 2 * AHEAD)):
        prefetch_entry(block, self.hash31[self.order[at]])
    for at in range(begin, min(end, begin + AHEAD)):
        prefetch_objects(block, self.hash31[self.order[at]], False)
