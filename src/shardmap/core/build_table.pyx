# Filling an empty map at once, from a source whose keys are known to differ: a dict, a set, another map.
#
# No key is compared, as by dict(d). The entries are gathered, the tables built aside, without any mutex; then they are
# installed together under all mutexes, if the map still has no table, no key lock and as many shards. If not, nothing
# is done, and the caller stores the keys one by one. To other threads it is an update() that was quick.
#
# Hashes of keys that are not of plain types may run any code. They are asked for once references to all keys and values
# are held. If one raises, what came before it is stored.

@cython.final
@cython.no_gc       # lives no longer than a call
cdef class Building:
    """The entries of one call, on their way into an empty map (internal)."""

    def __dealloc__(self):
        cdef uint32_t i
        if self.shards == NULL and self.tables != NULL and self.entries != NULL:
            block_of(self.tables[0]).used = self.count      # a table of no index: to be released only
            self.count = 0
        for i in range(self.count):
            decref(self.entries[i].key)
            value_decref(self.entries[i].value)
        if self.tables != NULL:
            release_tables(self.tables, self.shard_count)
        if self.memory != NULL:
            sm_release_table(self.memory, self.bytes)


cdef bint is_untouched_locked(Layout* layout) noexcept:
    """Whether no shard has a table of its own or a key lock. With all mutexes."""
    require_locked(shard_in(layout, 0))
    cdef uint32_t i
    for i in range(layout.shard_count):
        if shard_in(layout, i).table != EMPTY_TABLE or shard_in(layout, i).key_locks != NULL:
            return False
    return True


cdef Building new_building(MapCore m, Py_ssize_t size):
    """With room for `size` entries; None if the map is not to be filled that way."""
    cdef Building self
    cdef uint32_t i, shard_count, shard_bits
    cdef bint untouched
    cdef Layout* layout
    cdef Block* block
    if size < FEW or size > MOST_BUILT or map_len(m) != 0:
        return None
    layout = lock_all(m)
    untouched = is_untouched_locked(layout)
    shard_count = layout.shard_count
    shard_bits = layout.shard_bits
    unlock_layout(layout)
    if not untouched or size < shard_count:
        return None
    self = Building.__new__(Building)
    self.shard_count = shard_count
    self.shard_bits = shard_bits
    self.room = <uint32_t>size
    self.tables = <PyObject**>allocate(shard_count * sizeof(PyObject*), sizeof(void*))
    if self.tables == NULL:
        raise MemoryError()
    for i in range(shard_count):
        self.tables[i] = EMPTY_TABLE
    if shard_count == 1:
        self.tables[0] = table_new(size, False)
        block = block_of(self.tables[0])
        self.entries = block.entries
        self.hash31s = block.hash31s
    else:
        make_arrays(self)
    return self


cdef int make_arrays(Building self) except -1:
    self.bytes = max(self.room, 1) * (sizeof(Entry) + 2 * sizeof(uint32_t))
    self.memory = <char*>allocate_table(self.bytes)
    if self.memory == NULL:
        raise MemoryError()
    self.entries = <Entry*>self.memory
    self.hash31s = <uint32_t*>(self.entries + self.room)
    self.shards = self.hash31s + self.room
    return 0


# --- Gathering ---

cdef inline void put_building_hash(Building self, uint32_t i, Py_hash_t hashed, bint plain) noexcept nogil:
    self.hash31s[i] = sm_hash31_of(<uint64_t>hashed, self.shard_bits) | <uint32_t>plain << 31
    if self.shards != NULL:
        self.shards[i] = sm_shard_of(<uint64_t>hashed, self.shard_bits)


cdef uint32_t touch(Building self, uint32_t begin, uint32_t end, uint32_t unhashed) noexcept:
    """Takes the references of the entries that were noted, and hashes those keys that run no code; `unhashed` is the
    first that is not, from which on none is."""
    cdef uint32_t i
    cdef PyObject* key
    for i in range(begin, end):
        key = self.entries[i].key
        incref(key)
        value_incref(self.entries[i].value)
        if unhashed == NO_SLOT:
            if sm_has_plain_hash(key):
                put_building_hash(self, i, sm_plain_hash(key), True)
            else:
                unhashed = i
    return unhashed


cdef int hash_rest(Building self, uint32_t first) except -1:
    """Hashes the keys from `first` on, which may run any code. If it raises, the rest is let go."""
    cdef uint32_t i, count = self.count
    cdef Py_hash_t hashed = 0
    for i in range(first, count):
        try:
            hash_of(self.entries[i].key, &hashed)
        except BaseException as error:
            self.error = error
            self.count = i
            break
        put_building_hash(self, i, hashed, sm_is_plain_key(self.entries[i].key))
    for i in range(self.count, count):
        decref(self.entries[i].key)
        value_decref(self.entries[i].value)
    return 0


cdef bint gather_dict(Building self, source, PyObject* value) except -1:
    """All entries of a dict at one point in time; with `value`, unless it is NULL, in the place of the dict's. False if
    they are more than there is room for."""
    cdef uint32_t unhashed = hold_dict(self, source, value)
    if self.count != 0 and unhashed != NO_SLOT:
        hash_rest(self, unhashed)
    return self.count != 0


cdef uint32_t hold_dict(Building self, source, PyObject* value) except? 0:
    """The same, but for the hashes from the first key on that is not of a plain type, which is returned; or NO_SLOT."""
    cdef Py_ssize_t position = 0
    cdef uint32_t count = 0, begin, unhashed = NO_SLOT
    cdef PyObject* found
    cdef bint more = True, missing = False
    with cython.critical_section(source):
        more = PyDict_Size(source) <= <Py_ssize_t>self.room
        while more:
            begin = count
            while count - begin < CHUNK:
                more = count < self.room and PyDict_Next(source, &position, &self.entries[count].key, &found)
                if not more:
                    break
                if value != NULL:
                    found = value
                missing |= found == <PyObject*>no_value
                self.entries[count].value = found
                prefetch_to_write(self.entries[count].key)
                prefetch_to_write(found)
                count += 1
            unhashed = touch(self, begin, count, unhashed)
            self.count = count
    if missing:
        refuse_missing()
    return unhashed


cdef int gather_list(Building self, list keys, list values, PyObject* value) except -1:
    """Entries of two lists that nobody else has and that fit; `value` for all keys if it is not NULL."""
    cdef uint32_t begin, unhashed = NO_SLOT
    while self.count < self.room:
        begin = self.count
        while self.count < self.room and self.count - begin < CHUNK:
            self.entries[self.count].key = list_item(<PyObject*>keys, self.count)
            self.entries[self.count].value = value if value != NULL else list_item(<PyObject*>values, self.count)
            prefetch_to_write(self.entries[self.count].key)
            self.count += 1
        unhashed = touch(self, begin, self.count, unhashed)
    if unhashed != NO_SLOT:
        hash_rest(self, unhashed)
    return 0


cdef int gather_snapshot(Building self, SnapshotCore source, PyObject* value) except -1:
    cdef Merge* merge = merge_new(source.table_count)
    cdef Entry* entry
    cdef uint32_t count = 0, unhashed
    merge_start(merge, source.tables, source.table_count, False)
    while not merge.over and count < self.room:
        entry = merge_entry(merge)
        if entry.key == NULL:       # emptied by the collector
            break
        self.entries[count] = entry[0]
        if value != NULL:
            self.entries[count].value = value
        count += 1
        merge_advance(merge)
    unhashed = touch(self, 0, count, NO_SLOT)
    self.count = count
    merge_free(merge)
    if unhashed != NO_SLOT:
        hash_rest(self, unhashed)
    return 0


# --- Building ---

cdef int build_tables(Building self) except -1:
    """What was gathered goes into the tables."""
    cdef uint32_t i
    if self.shards != NULL:
        distribute(self, sm_stamp_reserve(self.count))
    else:
        block_of(self.tables[0]).used = self.count
        self.count = 0          # the references are the table's
        self.entries = NULL
    for i in range(self.shard_count):
        if self.tables[i] != EMPTY_TABLE:
            build_index(block_of(self.tables[i]))
    return 0


cdef int distribute(Building self, uint64_t stamp) except -1:
    """Moves the entries to the blocks of their shards."""
    cdef uint32_t* sizes = <uint32_t*>allocate(self.shard_count * sizeof(uint32_t), sizeof(void*))
    cdef uint32_t i
    if sizes == NULL:
        raise MemoryError()
    memset(sizes, 0, self.shard_count * sizeof(uint32_t))
    for i in range(self.count):
        sizes[self.shards[i]] += 1
    try:
        for i in range(self.shard_count):
            if sizes[i] != 0:
                self.tables[i] = table_new(sizes[i], True)
    finally:
        free(sizes)
    for i in range(self.count):
        append_unindexed(block_of(self.tables[self.shards[i]]), &self.entries[i], self.hash31s[i], stamp + i)
    self.count = 0              # the references are the tables'
    return 0


# --- Installing ---

cdef bint install(MapCore m, PyObject** tables, uint32_t shard_count) noexcept:
    """Gives a map that has no entries all tables in one step. False, and nothing done, if it has some by now."""
    cdef uint32_t i
    cdef Shard* shard
    cdef bint done
    cdef Layout* layout = lock_all(m)
    done = layout.shard_count == shard_count and is_untouched_locked(layout)
    if done:
        for i in range(shard_count):        # who counts without locks waits
            make_version_odd_locked(shard_in(layout, i))
        sm_fence_release()
        for i in range(shard_count):
            shard = shard_in(layout, i)
            if tables[i] != EMPTY_TABLE:
                change_table_locked(shard, tables[i])
        for i in range(shard_count):
            note_size_locked(shard_in(layout, i), block_of(shard_in(layout, i).table))
    unlock_layout(layout)
    return done


cdef bint build_and_install(MapCore m, Building self) except -1:
    cdef uint32_t i
    cdef bint done
    mark_shared(m)
    build_tables(self)
    done = install(m, self.tables, self.shard_count)
    if done:
        for i in range(self.shard_count):
            self.tables[i] = EMPTY_TABLE
        if self.error is not None:
            raise self.error
    return done


# --- Sources. Each returns whether it is done. If not, nothing was. ---

cdef bint fill_from_dict(MapCore m, source, PyObject* value) except -1:
    cdef Building self = new_building(m, PyDict_Size(source))
    return self is not None and gather_dict(self, source, value) and build_and_install(m, self)


cdef bint fill_from_lists(MapCore m, list keys, list values, PyObject* value) except -1:
    """Keys that differ, and a list of values, or one for all."""
    cdef Building self = new_building(m, list_size(<PyObject*>keys))
    if self is None:
        return False
    gather_list(self, keys, values, value)
    return build_and_install(m, self)


cdef bint fill_from_snapshot(MapCore m, SnapshotCore source, PyObject* value) except -1:
    """Shares the tables if there are as many shards, until one of the two writes."""
    cdef Building self
    if value == NULL and share_tables(m, source):
        return True
    self = new_building(m, source.live)
    if self is None:
        return False
    gather_snapshot(self, source, value)
    return build_and_install(m, self)


cdef bint share_tables(MapCore m, SnapshotCore source) noexcept:
    cdef uint32_t i
    cdef bint done
    if source.live == 0 or map_len(m) != 0:
        return False
    mark_shared(m)
    for i in range(source.table_count):
        table_share(source.tables[i])
    done = install(m, source.tables, source.table_count)
    if not done:
        for i in range(source.table_count):
            table_release(source.tables[i])
    return done
