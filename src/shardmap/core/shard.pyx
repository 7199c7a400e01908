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
#
# An operation on a key is aimed at the key's shard (an Access, by locate()), and takes its mutex with lock_located():
# if the entries have moved to another layout meanwhile, it aims again.

cdef inline void require_locked(Shard* shard) noexcept nogil:
    """What functions named ..._locked and ..._and_unlock begin with (core/contracts.h)."""
    SM_REQUIRE(SM_IS_HELD(&shard.mutex), b"a function that needs the shard's mutex is called without it")


cdef inline Shard* shard_at(MapCore m, uint32_t i) noexcept:
    """Of the layout as it is now: which stays as long as one holds a mutex of it, or nobody else knows the map."""
    return shard_in(layout_of(m), i)


cdef inline void lock(Shard* shard) noexcept:
    SM_REQUIRE(not sm_is_reading, b"a reader takes a mutex, for which it might wait")
    sm_sched_point()
    if not sm_mutex_try(&shard.mutex):
        lock_contended(shard)


cdef inline void lock_located(Access* at) noexcept:
    """Takes the mutex of the shard that the key belongs to now."""
    lock(at.shard)
    while at.shard.is_moved:
        aim_again_and_unlock(at)
        lock(at.shard)


cdef void aim_again_and_unlock(Access* at) noexcept:
    """From a shard whose entries have moved to the one that the key belongs to now."""
    require_locked(at.shard)
    cdef Shard* moved = at.shard
    aim(layout_of(<MapCore>moved.owner), sm_mixed_of_hash31(at.hash31, moved.shard_bits), at)
    unlock(moved)


cdef inline bint try_lock(Shard* shard) noexcept:
    sm_sched_point()
    return sm_mutex_try(&shard.mutex)


cdef inline void unlock(Shard* shard) noexcept:
    sm_sched_point()
    sm_mutex_unlock(&shard.mutex)


cdef void lock_contended(Shard* shard) noexcept:
    while not spin(shard):
        wait_detached(shard)
    note_contended_locked(shard)


cdef bint spin(Shard* shard) noexcept nogil:
    cdef int _, _pause, pauses = 1
    for _ in range(SPINS):
        for _pause in range(pauses):
            sm_pause()
        if sm_mutex_try(&shard.mutex):
            return True
        if pauses < 16:
            pauses *= 2
    return False


cdef void wait_detached(Shard* shard) noexcept:
    """Returns when the mutex was free for a moment. Attaching may not return: a daemon thread at exit."""
    cdef PyThreadState* state
    enlist(<MapCore>shard.owner)
    state = PyEval_SaveThread()
    sm_mutex_lock(&shard.mutex)
    sm_mutex_unlock(&shard.mutex)
    PyEval_RestoreThread(state)


cdef Layout* lock_all(MapCore m) noexcept:
    """All mutexes at once, ascending. If one is long taken, lets all go, waits for that one, starts over. The layout,
    which stays until they are released."""
    cdef uint32_t i = 0, held
    cdef Shard* shard
    cdef Layout* layout = layout_of(m)
    while i < layout.shard_count:
        shard = shard_in(layout, i)
        if sm_mutex_try(&shard.mutex) or spin(shard):
            i += 1
            if shard.is_moved:      # then it is the first, since all of a layout move at once
                unlock(shard)
                layout = layout_of(m)
                i = 0
        else:
            for held in range(i):
                unlock(shard_in(layout, held))
            wait_detached(shard)
            layout = layout_of(m)
            i = 0
    return layout


cdef void unlock_all(MapCore m) noexcept:
    unlock_layout(layout_of(m))


cdef inline void unlock_layout(Layout* layout) noexcept:
    cdef uint32_t i
    for i in range(layout.shard_count):
        unlock(shard_in(layout, i))


cdef inline void make_version_odd_locked(Shard* shard) noexcept nogil:
    """Before a change that those who read without the mutex see: by release stores only, which stay behind this one."""
    require_locked(shard)
    sm_store_u64(&shard.size_word, ((shard.size_word >> 32 | 1) << 32) | <uint32_t>shard.size_word)


cdef inline void announce_insertion_locked(Shard* shard, Block* block) noexcept nogil:
    """Makes the version odd: who counts without locks waits. Before the stamp is taken, so that no thread counts a
    map without this entry and then finds the entry in front of one that was counted. Among the entries of a map's only
    shard there are no stamps, and what was counted is in front already."""
    require_locked(shard)
    make_version_odd_locked(shard)
    if block.stamps != NULL:
        sm_fence_before_clock()


cdef inline void announce_removal_locked(Shard* shard) noexcept nogil:
    """The same before an entry goes: who finds it gone without locks does not count it afterwards."""
    require_locked(shard)
    make_version_odd_locked(shard)


cdef inline void publish_locked(Shard* shard) noexcept:
    """Shows those who read without the mutex the block of the shard's table. Release: with all that is in it."""
    require_locked(shard)
    publish_first(shard)


cdef inline void publish_first(Shard* shard) noexcept:
    """The same for a map that nobody else knows yet."""
    sm_sched_point()
    sm_store_ptr(<void**>shard.published, block_of(shard.table))
    sm_sched_point()


cdef inline void change_table_locked(Shard* shard, PyObject* table) noexcept:
    """Gives the shard another table, with a reference and a share; what becomes of the old one is the caller's care."""
    require_locked(shard)
    shard.table = table
    publish_locked(shard)
    next_layout_version_locked(shard)


cdef inline void next_layout_version_locked(Shard* shard) noexcept:
    """After another block was published: positions in the block mean something else now. Each of the two stores comes
    after the one before it, so who finds a later block finds the version of an earlier one grown."""
    require_locked(shard)
    sm_store_u64(&shard.layout_version, shard.layout_version + 1)


cdef inline void note_size_locked(Shard* shard, Block* block) noexcept:
    """Tells len() what changed, after the change."""
    require_locked(shard)
    if SM_DEBUG:
        require_consistent(block)
    store_size(shard, block)


cdef inline void store_size(Shard* shard, Block* block) noexcept nogil:
    # Release: who finds the version even finds what was changed.
    sm_store_u64(&shard.size_word, (((shard.size_word >> 32 | 1) + 1) << 32) | block.live)


cdef inline void give_table(Shard* shard, PyObject* table) noexcept:
    """A first table, to a shard of a map that nobody else knows yet; with a reference and a share."""
    shard.table = table
    publish_first(shard)
    store_size(shard, block_of(table))
