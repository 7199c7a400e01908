# Removing many entries at once: delete_many() and pop_many().

cdef Py_ssize_t map_delete_many(MapCore m, keys) except -1:
    cdef object source = source_of_keys(keys, RAISE_TYPE_ERROR)
    cdef Bulk self = new_bulk(m, known_size(source), BATCH)
    cdef Py_ssize_t removed = 0
    cdef uint32_t i
    mark_shared(m)
    while not self.source.ended and take_keys(self, m, source):
        remove_batch(m, self, False)
        for i in range(self.size):
            removed += self.state[i] == REMOVED_NOW
    drop_keys(self)
    raise_error_of(self)
    return removed


cdef list map_pop_many(MapCore m, keys, default):
    cdef object source = source_of_keys(keys, RAISE_TYPE_ERROR)
    cdef Bulk self = new_bulk(m, known_size(source), BATCH)
    cdef list result = []
    mark_shared(m)
    while not self.source.ended and take_keys(self, m, source):
        remove_batch(m, self, True)
        result.extend(values_of(self, default))
    drop_keys(self)
    raise_error_of(self)
    return result


cdef int remove_batch(MapCore m, Bulk self, bint wanted) except -1:
    """Removes the keys' entries and sets `state`; the values that went out are in `values`, as objects if they are
    `wanted`."""
    cdef uint32_t i
    for i in range(self.size):
        self.state[i] = TO_DO
    # What Python code may compare is done strictly in order: it may raise.
    # So is what is not sorted by shard: a later key must not overtake an equal one that was left.
    if self.all_plain and can_be_sorted(self):
        group(self, 0)
        remove_grouped(self, wanted)
    for i in range(self.size):
        if self.state[i] == TO_DO:
            remove_one(self, i)
    return 0


cdef int remove_one(Bulk self, uint32_t i) except -1:
    cdef WriteRequest request = request_to_write(NULL)
    cdef Access at
    request.old = &self.values[i]
    locate_key(self, i, &at)
    if write_located(&at, self.keys[i], &request) == PRESENT:
        self.state[i] = REMOVED_NOW
    else:
        self.state[i] = WAS_ABSENT
    return 0


cdef void remove_grouped(Bulk self, bint wanted) noexcept:
    cdef uint32_t begin = 0, end, at
    cdef Access position
    cdef Shard* left_over = NULL    # of this shard some keys are left, so later ones must not overtake them
    cdef Block* old
    while begin < self.size:
        end = turn_end(self, begin)
        locate_key(self, self.order[begin], &position)
        if position.shard != left_over:
            lock(position.shard)
            if position.shard.key_locks == NULL and not position.shard.is_moved:
                old = NULL
                prefetch_first(self, block_of(position.shard.table), begin, end)
                at = begin
                while at < end and old == NULL:     # a smaller table ends the turn: its block wants to be freed
                    prefetch_ahead(self, block_of(position.shard.table), at, end, False)
                    if not delete_one_locked(self, &position, self.order[at], wanted, &old):
                        left_over = position.shard
                        break
                    at += 1
                if left_over != position.shard:
                    end = at
                unlock_and_reclaim(&position)
                free_replaced_block(old)
                drop_removed_keys(self, begin, at)
            else:
                left_over = position.shard
                unlock(position.shard)
        begin = end


cdef inline bint delete_one_locked(Bulk self, Access* at, uint32_t i, bint wanted, Block** old) noexcept:
    """Removes one entry with the mutex held. False, and nothing done, where that takes more than this."""
    require_locked(at.shard)
    cdef ProbeResult found
    at.found.block = block_of(at.shard.table)
    self.others[i] = NULL
    found = probe(at.found.block, self.keys[i], self.hash31[i], &at.found.slot, &at.found.entry)
    if found == NOT_THERE:
        self.state[i] = WAS_ABSENT
        return True
    if found == NEEDS_PYTHON or is_shared(at.shard.table) or (
            wanted and is_number(at.found.block.entries[at.found.entry].value)):
        return False
    old[0] = delete_locked(at, &self.others[i], &self.values[i])
    self.state[i] = REMOVED_NOW
    return True


cdef void drop_removed_keys(Bulk self, uint32_t begin, uint32_t end) noexcept:
    cdef uint32_t at
    cdef PyObject* key
    for at in range(begin, end):
        key = self.others[self.order[at]]
        self.others[self.order[at]] = NULL
        if key != NULL:
            decref(key)
