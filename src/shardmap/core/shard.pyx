# Shards: a mutex and a table each, on cache lines of their own.
#
# The rules that keep this alive (their proof is docs/architecture.md):
#
# - While a mutex is held nothing runs that could run Python code, stop, or wait: no comparison or hash
#   but those of plain types, no DECREF that can reach zero, no allocation of Python objects, no attach
#   or detach, no exception. Reference counts may go up.
# - Waiting: try, spin a little, then detach, wait, unlock, attach, try again. A mutex is never carried
#   across an attach: the world may be stopped there, by a thread that waits for the mutex.
# - Several mutexes in ascending order.

cdef inline size_t stride_for(size_t size) noexcept nogil:
    """Whole pairs of cache lines: cores prefetch the neighbour."""
    return (size + 127) // 128 * 128


cdef inline void require_locked(Shard* shard) noexcept nogil:
    """What functions named ..._locked and ..._and_unlock begin with (core/contracts.h)."""
    SM_REQUIRE(SM_IS_HELD(&shard.mutex), b"a function that needs the shard's mutex is called without it")


cdef inline Shard* shard_at(MapCore m, uint32_t i) noexcept:
    return <Shard*>(m.shards + i * stride_for(sizeof(Shard)))


cdef inline void lock(Shard* shard) noexcept:
    SM_REQUIRE(not sm_is_reading, b"a reader takes a mutex, for which it might wait")
    sm_sched_point()
    if not sm_mutex_try(&shard.mutex):
        lock_contended(shard)


cdef inline bint try_lock(Shard* shard) noexcept:
    sm_sched_point()
    return sm_mutex_try(&shard.mutex)


cdef inline void unlock(Shard* shard) noexcept:
    sm_sched_point()
    sm_mutex_unlock(&shard.mutex)


cdef void lock_contended(Shard* shard) noexcept:
    while not spin(shard):
        wait_detached(shard)
    shard.contended += 1


cdef bint spin(Shard* shard) noexcept nogil:
    cdef int turn, pauses = 1, i
    for turn in range(SPINS):
        for i in range(pauses):
            sm_pause()
        if sm_mutex_try(&shard.mutex):
            return True
        if pauses < 16:
            pauses *= 2
    return False


cdef void wait_detached(Shard* shard) noexcept:
    """Returns when the mutex was free for a moment. Attaching may not return: a daemon thread at exit."""
    cdef PyThreadState* state = PyEval_SaveThread()
    sm_mutex_lock(&shard.mutex)
    sm_mutex_unlock(&shard.mutex)
    PyEval_RestoreThread(state)


cdef void lock_all(MapCore m) noexcept:
    """All mutexes at once, ascending. If one is long taken, lets all go, waits for that one, starts over."""
    cdef uint32_t i = 0, held
    cdef Shard* shard
    while i < m.shard_count:
        shard = shard_at(m, i)
        if sm_mutex_try(&shard.mutex):
            i += 1
        elif spin(shard):
            shard.contended += 1
            i += 1
        else:
            for held in range(i):
                unlock(shard_at(m, held))
            wait_detached(shard)
            i = 0


cdef void unlock_all(MapCore m) noexcept:
    cdef uint32_t i
    for i in range(m.shard_count):
        unlock(shard_at(m, i))


cdef inline void make_version_odd_locked(Shard* shard) noexcept nogil:
    require_locked(shard)
    sm_store_u64(&shard.size_word, ((shard.size_word >> 32 | 1) << 32) | <uint32_t>shard.size_word)


cdef inline void announce_insertion_locked(Shard* shard) noexcept nogil:
    """Makes the version odd: who counts without locks waits. Before the stamp is taken, so that no thread counts a
    map without this entry and then finds the entry in front of one that was counted."""
    require_locked(shard)
    make_version_odd_locked(shard)
    sm_fence_full()


cdef inline void announce_removal_locked(Shard* shard) noexcept nogil:
    """The same before an entry goes: who finds it gone without locks does not count it afterwards."""
    require_locked(shard)
    make_version_odd_locked(shard)


cdef inline void publish_locked(Shard* shard) noexcept:
    """Shows those who read without the mutex the block of the shard's table."""
    require_locked(shard)
    publish_first(shard)


cdef inline void publish_first(Shard* shard) noexcept:
    """The same for a map that nobody else knows yet."""
    sm_sched_point()
    sm_store_ptr(<void**>shard.published, block_of(shard.table))
    sm_sched_point()


cdef inline void note_size_locked(Shard* shard, Block* block) noexcept:
    """Tells len() what changed, after the change."""
    require_locked(shard)
    if SM_DEBUG:
        require_consistent(block)
    store_size(shard, block)


cdef inline void store_size(Shard* shard, Block* block) noexcept nogil:
    sm_store_u64(&shard.size_word, (((shard.size_word >> 32 | 1) + 1) << 32) | block.live)


cdef inline void give_table(Shard* shard, PyObject* table) noexcept:
    """A first table, to a shard of a map that nobody else knows yet; with a reference and a share."""
    shard.table = table
    publish_first(shard)
    store_size(shard, block_of(table))


cdef int make_shards(MapCore m, uint32_t bits) except -1:
    cdef uint32_t count = 1 << bits, i
    cdef size_t bytes = count * stride_for(sizeof(Shard))
    cdef char* memory = <char*>allocate(bytes + count * sizeof(Block*), 128)
    cdef Shard* shard
    if memory == NULL:
        raise MemoryError()
    trace_memory(memory, bytes + count * sizeof(Block*))
    memset(memory, 0, bytes)
    m.blocks = <Block**>(memory + bytes)
    for i in range(count):
        shard = <Shard*>(memory + i * stride_for(sizeof(Shard)))
        sm_mutex_init(&shard.mutex)
        shard.table = EMPTY_TABLE
        shard.is_shared_between_threads = &m.is_shared_between_threads
        shard.published = &m.blocks[i]
        m.blocks[i] = &empty_block
    m.shard_count = count
    m.shard_bits = bits
    m.shards = memory
    return 0


cdef void drop_shards(MapCore m) noexcept:
    """Nobody else can reach the map any more, or yet."""
    cdef char* memory = m.shards
    cdef uint32_t i
    cdef Shard* shard
    m.shards = NULL
    for i in range(m.shard_count):
        shard = <Shard*>(memory + i * stride_for(sizeof(Shard)))
        table_release(shard.table)
        if shard.limbo != NULL:
            free_limbo(shard.limbo)
        sm_mutex_destroy(&shard.mutex)
    untrace_memory(memory)
    free(memory)
