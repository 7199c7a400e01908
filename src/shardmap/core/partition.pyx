# Shards as seen from outside: which one a key belongs to, one of them by itself, and a snapshot cut into equal
# parts for threads to share out.

def _owner(key, uint32_t owners, /):
    """Which of `owners` the key belongs to; with a power of two of them, its shard in a map of as many shards."""
    cdef Py_hash_t hashed = 0
    hash_of(<PyObject*>key, &hashed)
    return sm_owner_of(<uint64_t>hashed, owners)


def _shard_index(MapCore m not None, key, /):
    cdef Py_hash_t hashed = 0
    fix_shards(m)
    hash_of(<PyObject*>key, &hashed)
    return sm_shard_of(<uint64_t>hashed, layout_of(m).shard_bits)


def _shard_count(MapCore m not None, /):
    fix_shards(m)
    return layout_of(m).shard_count


cdef int check_shard(MapCore m, uint32_t number) except -1:
    fix_shards(m)
    if number >= layout_of(m).shard_count:
        raise IndexError(f"there is no shard {number}")
    return 0


def _shard_len(MapCore m not None, uint32_t number, /):
    check_shard(m, number)
    return <uint32_t>sm_load_u64(&shard_at(m, number).size_word)


def _shard_snapshot(type cls not None, MapCore m not None, uint32_t number, /):
    """A snapshot, of a subclass of SnapshotCore, that holds this shard's entries only."""
    cdef SnapshotCore self = SnapshotCore.__new__(cls)
    cdef Layout* layout
    cdef Shard* shard
    cdef uint32_t i
    check_shard(m, number)
    mark_shared(m)
    layout = layout_of(m)
    self.tables = <PyObject**>allocate(layout.shard_count * sizeof(PyObject*), sizeof(void*))
    if self.tables == NULL:
        raise MemoryError()
    self.table_count = layout.shard_count
    self.shard_bits = layout.shard_bits
    self.chosen_shards = m.shards_fixed == FIXED_BY_CHOICE
    for i in range(layout.shard_count):
        self.tables[i] = EMPTY_TABLE
    shard = shard_at(m, number)
    lock(shard)
    self.tables[number] = shard.table
    table_share(shard.table)
    self.live = block_of(shard.table).live
    unlock(shard)
    return self


# --- Partitions ---

@cython.final
@cython.no_gc_clear     # every cycle goes through a table, and is broken there
cdef class Partition:
    """Partition()\n--\n\nA part of a snapshot (ShardMap.partitions): an iterable of (key, value) pairs that has a
    length. Any thread may iterate over it, any number of times."""

    __class_getitem__ = classmethod(GenericAlias)

    def __len__(self):
        return self.size

    def __iter__(self):
        cdef PartitionIterator iterator = PartitionIterator.__new__(PartitionIterator)
        iterator.source = self.source
        iterator.table = self.table
        iterator.entry = self.entry
        iterator.remaining = self.size
        return iterator

    def __repr__(self):
        return f"<Partition of {self.size} entries>"

    def __reduce__(self):
        # As dict's iterators: what it holds, as a list.
        return list, (list(self),)


@cython.final
@cython.no_gc_clear     # as SnapshotIterator
cdef class PartitionIterator:
    """Iterates over a part of a snapshot. If threads share one iterator, each entry goes to one of them."""

    def __iter__(self):
        return self

    def __length_hint__(self):
        cdef Py_ssize_t remaining
        with cython.critical_section(self):
            remaining = self.remaining
        return remaining

    def __next__(self):
        cdef PyObject* key = NULL
        cdef PyObject* value = NULL
        cdef Block* block
        cdef bint failed = False
        cdef PyObject* made = new_untracked_pair()
        # Nothing in here detaches, so the critical section is not suspended.
        with cython.critical_section(self):
            while key == NULL and self.remaining > 0:
                block = block_of(self.source.tables[self.table])
                if self.entry < block.used:
                    key = block.entries[self.entry].key
                    if key != NULL:
                        # Before the iterator moves on: if there is no memory for an int, the entry comes next time.
                        value = try_boxed_copy(block.entries[self.entry].value)
                        failed = value == NULL
                        if failed:
                            break
                    self.entry += 1
                elif self.table + 1 < self.source.table_count:
                    self.table += 1
                    self.entry = 0
                else:
                    self.remaining = 0      # emptied by the collector: this iterator is garbage itself
            if key != NULL and not failed:
                incref(key)
                self.remaining -= 1
        if key == NULL or failed:
            decref(made)
            if failed:
                raise_what_is_set()
            raise StopIteration
        return steal(filled_pair(made, key, value))


cdef uint32_t entry_number(Block* block, uint32_t entry, uint32_t skip) noexcept nogil:
    """The number of the entry `skip` live ones after `entry`, which is live or the first."""
    if block.live == block.used:
        return entry + skip
    while entry < block.used and (block.entries[entry].key == NULL or skip):
        skip -= block.entries[entry].key != NULL
        entry += 1
    return entry


def _partitions(SnapshotCore source not None, Py_ssize_t count, /):
    """`count` parts, as equal as can be. O(shards + parts), and a walk through the tables that are cut where entries
    have been removed from them."""
    cdef Partition part
    cdef Py_ssize_t number, begin, passed = 0      # entries in front of `entry` in `table`
    cdef uint32_t table = 0, entry = 0
    cdef uint32_t in_table = 0                      # live entries in front of `entry` in its table
    cdef Py_ssize_t share, larger
    cdef Block* block
    if count < 1:
        raise ValueError(f"the number of parts must be at least 1, not {count}")
    share = source.live // count
    larger = source.live % count
    parts = []
    for number in range(count):
        begin = number * share + (number if number < larger else larger)
        part = Partition.__new__(Partition)
        part.source = source
        part.size = share + (number < larger)
        if part.size:
            block = block_of(source.tables[table])
            while begin - passed >= <Py_ssize_t>(block.live - in_table):
                passed += block.live - in_table
                table += 1
                entry = in_table = 0
                block = block_of(source.tables[table])
            in_table += <uint32_t>(begin - passed)
            entry = entry_number(block, entry, <uint32_t>(begin - passed))
            passed = begin
            part.table = table
            part.entry = entry
        parts.append(part)
    return parts
