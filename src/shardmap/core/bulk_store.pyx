# Storing many entries at once: set_many() and update().
#
# The map's order is that of insertion, so new entries go in one by one in the order given, as a loop would put
# them. There are two ways, and both leave what is unusual to write_and_unlock(), which stores a single entry:
#
# - In runs: the mutexes of all shards of the next RUN keys at once, if nobody holds one (they are tried, not
#   waited for), then these keys in order: overwritten, or appended with stamps that follow each other. One mutex
#   for several keys, one fence and one reading of the clock for them all. Nothing grows meanwhile.
# - Grouped, where a mutex was taken or there are many shards: what is there already is overwritten shard by shard,
#   one mutex at a time; then what is not there is inserted in order.
#
# References move from the call into the map, and those of old values from the map to the call, which lets them go
# at the end of a batch.

cdef int map_set_many(MapCore m, keys, values) except -1:
    cdef object key_source = source_of_keys(keys, RAISE_TYPE_ERROR)
    cdef object value_source = source_of(values)
    cdef Bulk self
    cdef Py_ssize_t size = size_if_known(keys), others = size_if_known(values)
    if size >= 0 and others >= 0 and size != others:
        raise ValueError(f"got {size} keys but {others} values")
    if holds_missing(values):
        refuse_missing()
    self = new_bulk(m, size if size >= 0 else others, BATCH)
    mark_shared(m)
    while not self.source.ended and take_pairs(self, m, key_source, value_source):
        store_batch(m, self)
    drop_keys(self)
    raise_error_of(self)
    return 0


cdef bint holds_missing(values) noexcept:
    """Whether a list or a tuple holds MISSING; of other iterables nothing is known before."""
    cdef Py_ssize_t i
    cdef bint holds = False
    if PyList_CheckExact(values):
        with cython.critical_section(values):
            for i in range(list_size(<PyObject*>values)):
                holds |= list_item(<PyObject*>values, i) == <PyObject*>no_value
    elif PyTuple_CheckExact(values):
        for i in range(tuple_size(<PyObject*>values)):
            holds |= tuple_item(<PyObject*>values, i) == <PyObject*>no_value
    return holds


cdef Py_ssize_t size_if_known(iterable) except -2:
    cdef Py_ssize_t size = known_size(iterable)
    if size < 0 and hasattr(type(iterable), "__len__"):
        size = len(iterable)
    return size


cdef bint take_pairs(Bulk self, MapCore m, keys, values) except -1:
    """The next keys and their values. Where one of the two ends before the other, the batch ends with an error."""
    cdef uint32_t count, others, i
    cdef PyObject* extra = NULL
    drop_keys(self)
    count = take(self, keys, &self.source, self.keys, self.room)
    for i in range(count):
        self.values[i] = NULL
    self.size = count
    others = take_other(self, values, self.values, count)
    if others < count:
        while self.size > others:
            self.size -= 1
            decref(self.keys[self.size])
        self.source.ended = True
        if self.error is None:
            self.error = ValueError("got more keys than values")
    elif self.source.ended and self.error is None:
        if take_other(self, values, &extra, 1) != 0:
            decref(extra)
            self.error = ValueError("got more values than keys")
    end_before_missing(self)
    hash_keys(self, m)
    return self.size != 0


cdef int end_before_missing(Bulk self) except -1:
    """Where a value is MISSING the batch ends with an error, as where an element raises."""
    cdef uint32_t i
    for i in range(self.size):
        if self.values[i] == <PyObject*>no_value:
            end_batch_at(self, i)
            try:
                refuse_missing()
            except ValueError as error:
                self.error = error
            break
    return 0


cdef uint32_t take_other(Bulk self, values, PyObject** into, uint32_t count) except? 0:
    """take() for the second source. Its error comes before one of the keys that were taken further."""
    cdef object earlier = self.error
    cdef uint32_t taken
    self.error = None
    taken = take(self, values, &self.other, into, count)
    if self.error is None and taken == count:
        self.error = earlier
    return taken


cdef int store_batch(MapCore m, Bulk self) except -1:
    """Stores all pairs of the batch."""
    cdef uint32_t done = 0
    if self.layout.shard_count <= MOST_SHARDS_OF_A_RUN:
        done = store_in_runs(self)
    if done < self.size:
        store_grouped(self, done)
    return 0


cdef int store_one(Bulk self, uint32_t i) except -1:
    cdef WriteRequest request = request_to_write(self.values[i])
    cdef Access at
    locate_key(self, i, &at)
    return write_located(&at, self.keys[i], &request) == PRESENT


# --- In runs ---

cdef uint32_t store_in_runs(Bulk self) except? 0:
    """Stores pair after pair until it finds a mutex taken. The number of pairs that are stored."""
    cdef uint32_t i = 0, end
    cdef Inserting inserting
    inserting.layout = self.layout
    while i < self.size:
        end = min(self.size, i + RUN)
        inserting.shards = try_lock_shards(self, i, end)
        if inserting.shards == 0:
            return i
        inserting.announced = 0
        inserting.stamp = 0
        prefetch_run(self, i, end)
        while i < end and store_one_locked(self, i, &inserting):
            i += 1
        unlock_shards(&inserting)
        if i < end:
            if HAS_GIL:
                grow_without_gil(shard_of_key(self, i))
            store_one(self, i)
            i += 1
    return i


cdef uint64_t try_lock_shards(Bulk self, uint32_t begin, uint32_t end) noexcept:
    """Takes the mutexes of the keys' shards, in ascending order, and returns which; 0: one was taken, or the map has
    been split."""
    cdef uint64_t wanted = 0, held = 0
    cdef uint32_t i
    cdef Shard* shard
    for i in range(begin, end):
        wanted |= <uint64_t>1 << self.shard[i]
    for i in range(self.layout.shard_count):
        if wanted >> i & 1:
            shard = shard_in(self.layout, i)
            if not sm_mutex_try(&shard.mutex):
                break
            if shard.is_moved:
                unlock(shard)
                break
            held |= <uint64_t>1 << i
    if held != wanted:
        for i in range(self.layout.shard_count):
            if held >> i & 1:
                unlock(shard_in(self.layout, i))
        return 0
    return held


cdef void announce_insertions_locked(Inserting* inserting) noexcept:
    """announce_insertion_locked() to all shards of the run, and the first stamp, for one fence and one reading of the
    clock."""
    cdef uint32_t i
    for i in range(inserting.layout.shard_count):
        if inserting.shards >> i & 1:
            make_version_odd_locked(shard_in(inserting.layout, i))
    sm_fence_before_clock()
    inserting.announced = inserting.shards
    inserting.stamp = sm_stamp_now()


cdef void unlock_shards(Inserting* inserting) noexcept:
    cdef uint32_t i
    cdef Shard* shard
    if inserting.announced != 0 and inserting.layout.shard_bits != 0:
        sm_stamp_pass(inserting.stamp)
    for i in range(inserting.layout.shard_count):
        if inserting.shards >> i & 1:
            shard = shard_in(inserting.layout, i)
            if inserting.announced != 0:
                note_size_locked(shard, block_of(shard.table))
            unlock(shard)


cdef inline void prefetch_run(Bulk self, uint32_t begin, uint32_t end) noexcept:
    cdef uint32_t i
    for i in range(begin, end):
        prefetch_slot(block_of(shard_of_key(self, i).table), self.hash31[i])
    for i in range(begin, end):
        prefetch_entry(block_of(shard_of_key(self, i).table), self.hash31[i])


cdef inline bint store_one_locked(Bulk self, uint32_t i, Inserting* inserting) noexcept:
    """Stores one pair with the mutex of its shard held. False, and nothing done, where that takes more than this."""
    cdef Shard* shard = shard_of_key(self, i)
    cdef Block* block = block_of(shard.table)
    cdef uint32_t slot = 0, entry = 0
    cdef ProbeResult found
    if shard.key_locks != NULL or is_shared(shard.table):
        return False
    found = probe(block, self.keys[i], self.hash31[i], &slot, &entry)
    if found == THERE:
        swap_value_locked(self, i, block, entry)
        return True
    if found == NEEDS_PYTHON or is_full(block):
        return False
    if inserting.announced == 0:
        announce_insertions_locked(inserting)
    elif sm_stamp_uses_clock():
        inserting.stamp += 1
    else:
        inserting.stamp = sm_stamp_now()
    append(block, slot, self.hash31[i], sm_is_plain_key(self.keys[i]), self.keys[i], self.values[i], inserting.stamp)
    self.keys[i] = self.values[i] = NULL
    return True


cdef inline void swap_value_locked(Bulk self, uint32_t i, Block* block, uint32_t entry) noexcept:
    """Overwrites. Where the entry holds that very value its cache line stays with its readers."""
    cdef PyObject* old = block.entries[entry].value
    if old != self.values[i]:
        put_value(block, entry, self.values[i])
        self.values[i] = old


# --- Grouped ---

cdef int store_grouped(Bulk self, uint32_t first) except -1:
    """Stores the pairs from number `first` on."""
    cdef uint32_t i, found = 0
    for i in range(first, self.size):
        self.state[i] = False
    # What Python code may compare is done strictly in order: it may raise.
    # So is what is not sorted by shard: a later value of a key must not overtake an earlier one that was left.
    if self.all_plain and not self.mostly_new and can_be_sorted(self):
        group(self, first)
        overwrite_grouped(self, first)
    for i in range(first, self.size):
        found += self.state[i] or store_one(self, i)
    self.mostly_new = 2 * found < self.size - first
    return 0


cdef void overwrite_grouped(Bulk self, uint32_t first) noexcept:
    """Overwrites what is there, and sets `state`."""
    cdef uint32_t begin = first, end, at, i, slot = 0, entry = 0
    cdef Shard* shard = NULL
    cdef Shard* left_over = NULL    # of this shard some keys are left, so later ones must not overtake them
    cdef Block* block
    cdef ProbeResult found
    while begin < self.size:
        end = turn_end(self, begin)
        shard = shard_of_key(self, self.order[begin])
        if shard != left_over:
            lock(shard)
            if shard.key_locks == NULL and not is_shared(shard.table):
                block = block_of(shard.table)
                prefetch_first(self, block, begin, end)
                for at in range(begin, end):
                    prefetch_ahead(self, block, at, end, False)
                    i = self.order[at]
                    found = probe(block, self.keys[i], self.hash31[i], &slot, &entry)
                    if found == THERE:
                        swap_value_locked(self, i, block, entry)
                        self.state[i] = True
                    else:
                        left_over = shard
                        if found == NEEDS_PYTHON:
                            break
            else:
                left_over = shard
            unlock(shard)
        begin = end


# --- Growing ---
