# What operations on all shards at once share, and len(). Each is linearizable: it takes effect at one point while it
# holds all mutexes. popitem() and clear() are in files of their own.

cdef void unlock_others(MapCore m, Shard* kept) noexcept:
    cdef uint32_t i
    for i in range(m.shard_count):
        if shard_at(m, i) != kept:
            unlock(shard_at(m, i))


cdef Py_ssize_t map_len(MapCore m) noexcept:
    """Entries at one point in time. Without locks if two collections of all shards' sizes agree (with their
    versions: the double collect of Afek et al., Atomic snapshots of shared memory, 1993), else with all."""
    cdef int attempt
    cdef uint32_t i
    cdef uint64_t whole_map_seq, first, second, size_word, odd
    cdef Py_ssize_t total = 0
    for attempt in range(3):
        whole_map_seq = sm_load_u64(&m.whole_map_seq)
        if whole_map_seq & 1:
            break
        total = 0
        first = second = odd = 0
        for i in range(m.shard_count):
            size_word = sm_load_u64(&shard_at(m, i).size_word)
            total += <uint32_t>size_word
            first += size_word >> 32
            odd |= size_word >> 32
        for i in range(m.shard_count):
            second += sm_load_u64(&shard_at(m, i).size_word) >> 32
        if not odd & 1 and first == second and sm_load_u64(&m.whole_map_seq) == whole_map_seq:
            return total
    lock_all(m)
    total = 0
    for i in range(m.shard_count):
        total += block_of(shard_at(m, i).table).live
    unlock_all(m)
    return total


cdef PyObject** map_share_tables(MapCore m, Py_ssize_t* live) except NULL:
    """One reference and share of every table, all at one point in time: a snapshot. O(shards)."""
    cdef PyObject** tables = <PyObject**>allocate(m.shard_count * sizeof(PyObject*), sizeof(void*))
    cdef uint32_t i
    if tables == NULL:
        raise MemoryError()
    live[0] = 0
    lock_all(m)
    for i in range(m.shard_count):
        tables[i] = shard_at(m, i).table
        table_share(tables[i])
        live[0] += block_of(tables[i]).live
    unlock_all(m)
    return tables
