# What operations on all shards at once share, and len(). Each is linearizable: it takes effect at one point while it
# holds all mutexes. popitem() and clear() are in files of their own.

cdef void unlock_others(MapCore m, Shard* kept) noexcept:
    cdef Layout* layout = layout_of(m)
    cdef uint32_t i
    for i in range(layout.shard_count):
        if shard_in(layout, i) != kept:
            unlock(shard_in(layout, i))


cdef Py_ssize_t map_len(MapCore m) noexcept:
    """Entries at one point in time. Without locks if two collections of all shards' sizes agree (with their
    versions: the double collect of Afek et al., Atomic snapshots of shared memory, 1993), else with all."""
    cdef int _
    cdef uint32_t i
    cdef uint64_t whole_map_seq, first, second, size_word, odd
    cdef Py_ssize_t total = 0
    cdef Layout* layout
    for _ in range(3):
        whole_map_seq = sm_load_u64(&m.whole_map_seq)
        layout = layout_of(m)
        if whole_map_seq & 1:
            break
        total = 0
        first = second = odd = 0
        for i in range(layout.shard_count):
            size_word = sm_load_u64(&shard_in(layout, i).size_word)
            total += <uint32_t>size_word
            first += size_word >> 32
            odd |= size_word >> 32
        for i in range(layout.shard_count):
            second += sm_load_u64(&shard_in(layout, i).size_word) >> 32
        # The versions of a layout that was replaced are odd.
        if not odd & 1 and first == second and sm_load_u64(&m.whole_map_seq) == whole_map_seq:
            return total
    layout = lock_all(m)
    total = 0
    for i in range(layout.shard_count):
        total += block_of(shard_in(layout, i).table).live
    unlock_layout(layout)
    return total


cdef int map_share_tables(MapCore m, SharedTables* shared) except -1:
    """One reference and share of every table, all at one point in time: a snapshot. O(shards)."""
    cdef Layout* layout
    cdef uint32_t i, room
    while True:
        room = layout_of(m).shard_count
        shared.tables = <PyObject**>allocate(room * sizeof(PyObject*), sizeof(void*))
        if shared.tables == NULL:
            raise MemoryError()
        layout = lock_all(m)
        if layout.shard_count <= room:
            break
        unlock_layout(layout)
        free(shared.tables)
    shared.count = layout.shard_count
    shared.shard_bits = layout.shard_bits
    shared.live = 0
    for i in range(layout.shard_count):
        shared.tables[i] = shard_in(layout, i).table
        table_share(shared.tables[i])
        shared.live += block_of(shared.tables[i]).live
    unlock_layout(layout)
    return 0
