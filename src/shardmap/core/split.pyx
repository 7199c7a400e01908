# More shards for a map: its entries move to another layout with more shards (core/layout.pyx).
#
# When. Readers take no mutex, so shards serve writers, and only where they meet: a map is split when threads were found
# to contend for a mutex (CONTENDED_ENOUGH times), or when a table of some size grows under one thread after it has
# grown under another. Whoever writes next, does it, before its own operation. Never beyond `most_shard_bits`, and not
# at all where the number of shards is fixed.
#
# Why every operation stays linearizable. A split holds all mutexes of the old layout, and changes no entry: the map's
# content is the same before and after. So it is enough that nobody acts on a layout that is not the map's any more.
#
# - Writers act under a mutex. They find out under it (`is_moved`) and aim again (lock_located). An operation that
# releases
#   the mutex in the middle takes it by lock_located() again; positions and key locks that it remembers are told apart
#   by `layout_version` and by the locks' serials, which go on in the new shards above the highest of all old ones.
# - While a key is locked there is no split: KeyLock, KeyEntry and those who wait point to a shard.
# - Operations on several shards hold all mutexes of the layout (lock_all), which therefore stays.
# - A reader believes what it saw in a block if the old shard still publishes that block afterwards. The shards'
# versions
#   become odd first, which refuses "absent" from then on; then they publish the empty block, which refuses
#   everything else; then the new layout is published, and only then is any mutex free, so that anything can change.
# - len() collects sizes and versions of one layout. Odd versions make it collect again.
# - Insertion order: stamps move with the entries. The entries of a map's only shard have none, and get their numbers:
#   less than any stamp there will ever be (core/stamp.h). A new shard's entries are appended in the order of stamps.
# - Snapshots and iterators share the old tables, which stay as they are; what they share is copied with references, and
#   their share is released after a grace period, as by copy_shared_table_locked().
#
# How long. Writers are kept out while each entry is copied once into a block of the right size: what a table's own
# growth does. Blocks are allocated under the mutexes, as for growth, since their sizes are known only then.

cdef uint32_t most_shard_bits = 0       # of a map whose number of shards was not chosen


def _set_default_shards(uint32_t bits, /):
    """Up to how many shards a map is split if nothing else is asked for: 2^bits."""
    global most_shard_bits
    most_shard_bits = bits


cdef inline bint may_be_split(MapCore m, uint32_t shard_bits) noexcept nogil:
    return shard_bits < most_shard_bits and sm_load_u8(&m.shards_fixed) == NOT_FIXED


cdef void note_contended_locked(Shard* shard) noexcept:
    require_locked(shard)
    shard.contended += 1
    if shard.contended % CONTENDED_ENOUGH == 0 and may_be_split(<MapCore>shard.owner, shard.shard_bits):
        sm_store_u8(&(<MapCore>shard.owner).wants_split, True)


cdef void note_growth_locked(Shard* shard) noexcept:
    """When a table has become full."""
    require_locked(shard)
    cdef MapCore m = <MapCore>shard.owner
    cdef uint32_t thread, before
    if HAS_GIL or not may_be_split(m, shard.shard_bits):
        return
    thread = <uint32_t>sm_thread_token()
    before = sm_load_u32_relaxed(&m.grown_by)
    if before != thread:
        sm_store_u32_relaxed(&m.grown_by, thread)
        if before != 0 and block_of(shard.table).live >= GROWN_BY_SEVERAL:
            sm_store_u8(&m.wants_split, True)


cdef inline int split_if_wanted(MapCore m) except -1:
    """Before an operation that takes a mutex; may run any code."""
    if sm_load_u8(&m.wants_split):
        split_once(m)
    return 0


cdef int split_once(MapCore m) except -1:
    """The next step. Without memory for it the map stays as it is."""
    cdef uint32_t step = SPLIT_BITS
    cdef Layout* layout = layout_of(m)
    if splits_forced != 0:
        if sm_add_u64(&splits_considered, 1) % splits_forced != 0:
            return 0
        step = 1
    sm_store_u8(&m.wants_split, splits_forced != 0 and may_be_split(m, layout.shard_bits + step))
    try:
        split(m, layout, min(layout.shard_bits + step, most_shard_bits))
    except MemoryError:
        pass
    return 0


cdef int fix_shards(MapCore m) except -1:
    """Somebody asks for the number of a key's shard, which must not change from now on. First makes as many shards as
    there will be; if a key is locked just now, those that there are have to do."""
    mark_shared(m)
    if sm_load_u8(&m.shards_fixed) != NOT_FIXED:
        return 0
    if layout_of(m).shard_bits < most_shard_bits:
        split(m, layout_of(m), most_shard_bits)
    lock_all(m)
    if m.shards_fixed == NOT_FIXED:
        sm_store_u8(&m.shards_fixed, FIXED_BY_USE)
    unlock_all(m)
    return 0


cdef bint split(MapCore m, Layout* before, uint32_t shard_bits) except -1:
    """Spreads the entries over 2^shard_bits shards, if the layout is still `before`. False if that cannot be now."""
    cdef Split work
    cdef bint done = False
    mark_shared(m)
    if shard_bits <= before.shard_bits:
        return False
    memset(&work, 0, sizeof(work))
    work.before = before
    try:
        prepare_split(m, &work, shard_bits)
        if lock_all(m) == before:
            done = (m.shards_fixed == NOT_FIXED and not has_key_lock_locked(before)
                    and make_blocks_locked(&work))
            if done:
                move_entries_locked(&work)
                change_layout_locked(m, &work)
            unlock_layout(before)
        else:
            unlock_all(m)
        if done:
            wait_for_readers_of(m)
    finally:
        end_split(&work, done)
    return done


cdef int prepare_split(MapCore m, Split* work, uint32_t shard_bits) except -1:
    cdef uint32_t before = work.before.shard_count, count = <uint32_t>1 << shard_bits, i
    cdef Table table
    cdef size_t bytes = count * sizeof(PyObject*) + before * 3 * sizeof(PyObject*) + count * sizeof(uint32_t)
    work.tables = <PyObject**>allocate(bytes, sizeof(void*))
    if work.tables == NULL:
        raise MemoryError()
    memset(work.tables, 0, bytes)
    work.replaced = work.tables + count
    work.blocks = <Block**>(work.replaced + before)
    work.limbos = <Limbo**>(work.blocks + before)
    work.sizes = <uint32_t*>(work.limbos + before)
    work.after = layout_new(m, shard_bits)
    if work.after == NULL:
        raise MemoryError()
    if before > 1:
        work.merge = merge_new(before)
    for i in range(count):
        table = Table.__new__(Table)
        work.tables[i] = new_reference(<PyObject*>table)
    return 0


cdef bint has_key_lock_locked(Layout* layout) noexcept:
    require_locked(shard_in(layout, 0))
    cdef uint32_t i
    for i in range(layout.shard_count):
        if shard_in(layout, i).key_locks != NULL:
            return True
    return False


cdef inline uint32_t mixed_of_entry(Block* block, uint32_t entry, uint32_t shard_bits) noexcept nogil:
    return sm_mixed_of_hash31(hash31_of_entry(block, entry), shard_bits)


cdef bint make_blocks_locked(Split* work) noexcept:
    """Blocks for the new tables, of the right sizes. False when there is no memory."""
    require_locked(shard_in(work.before, 0))
    cdef uint32_t i, entry, bits = work.after.shard_bits
    cdef Block* block
    for i in range(work.before.shard_count):
        block = block_of(shard_in(work.before, i).table)
        for entry in range(block.used):
            if block.entries[entry].key != NULL:
                work.sizes[sm_shard_of_mixed(mixed_of_entry(block, entry, work.before.shard_bits), bits)] += 1
    for i in range(work.after.shard_count):
        if work.sizes[i] != 0:
            block = block_new(after_split(work.sizes[i]), True)
            if block == NULL:
                return False
            trace_block(block)
            (<Table>work.tables[i]).block = block
    return True


cdef inline uint64_t after_split(uint64_t live) noexcept nogil:
    """Room for the entries and few more: a split is no growth."""
    return live + live // 32 + 1


cdef void move_entries_locked(Split* work) noexcept:
    """Copies all entries, in the order of insertion."""
    require_locked(shard_in(work.before, 0))
    cdef uint32_t i, entry
    cdef Cursor* cursor
    cdef Block* block
    if work.merge == NULL:
        block = block_of(shard_in(work.before, 0).table)
        for entry in range(block.used):
            if block.entries[entry].key != NULL:
                move_entry(work, block, entry, entry + 1)
    else:
        for i in range(work.before.shard_count):
            work.replaced[i] = shard_in(work.before, i).table
        merge_start(work.merge, work.replaced, work.before.shard_count, False)
        while not work.merge.over:
            cursor = &work.merge.cursors[work.merge.winner]
            move_entry(work, cursor.block, cursor.entry, cursor.block.stamps[cursor.entry])
            merge_advance(work.merge)
    for i in range(work.after.shard_count):
        if work.sizes[i] != 0:
            build_index(block_of(work.tables[i]))


cdef inline void move_entry(Split* work, Block* source, uint32_t entry, uint64_t stamp) noexcept:
    cdef uint32_t mixed = mixed_of_entry(source, entry, work.before.shard_bits), bits = work.after.shard_bits
    cdef Block* block = block_of(work.tables[sm_shard_of_mixed(mixed, bits)])
    cdef uint32_t plain = source.hash31s[entry] & ~<uint32_t>HASH31
    append_unindexed(block, &source.entries[entry], sm_hash31_of_mixed(mixed, bits) | plain, stamp)


cdef void change_layout_locked(MapCore m, Split* work) noexcept:
    """The new shards get their tables, the old ones lose theirs; the order matters to readers (essay above)."""
    require_locked(shard_in(work.before, 0))
    cdef uint32_t i
    cdef uint64_t layout_version = 0, serial = 0
    cdef Shard* shard
    for i in range(work.before.shard_count):
        shard = shard_in(work.before, i)
        layout_version = max(layout_version, shard.layout_version)
        serial = max(serial, shard.lock_serial)
        work.replaced[i] = shard.table
        if not is_shared(shard.table):
            work.blocks[i] = block_of(shard.table)
        else:
            keep_references(block_of(shard.table))      # the table's own: the new ones have theirs
    for i in range(work.after.shard_count):
        shard = shard_in(work.after, i)
        shard.layout_version = layout_version + 1
        shard.lock_serial = serial
        if work.sizes[i] != 0:
            give_table(shard, work.tables[i])
            work.tables[i] = NULL
    for i in range(work.before.shard_count):
        make_version_odd_locked(shard_in(work.before, i))
    for i in range(work.before.shard_count):
        shard = shard_in(work.before, i)
        sm_sched_point()
        sm_store_ptr(<void**>shard.published, &empty_block)
    work.after.older = work.before
    sm_sched_point()
    sm_store_ptr(<void**>&m.layout, work.after)
    sm_sched_point()
    for i in range(work.before.shard_count):
        shard = shard_in(work.before, i)
        sm_store_u8(&shard.is_moved, True)      # _splits() looks without the mutex
        if work.blocks[i] != NULL:
            (<Table>shard.table).block = &empty_block
        shard.table = EMPTY_TABLE
        next_layout_version_locked(shard)
        work.limbos[i] = shard.limbo
        shard.limbo = NULL


cdef void end_split(Split* work, bint done) noexcept:
    """Lets go of what was replaced, or of what was prepared in vain. May run any code."""
    cdef uint32_t i
    cdef Block* block
    if work.tables == NULL:
        return
    if done:
        for i in range(work.before.shard_count):
            if work.limbos[i] != NULL:
                free_limbo(work.limbos[i])
            free_replaced_block(work.blocks[i])
            table_release(work.replaced[i])
    if work.after != NULL:
        for i in range(work.after.shard_count):
            if work.tables[i] != NULL:
                block = block_of(work.tables[i])
                (<Table>work.tables[i]).block = &empty_block        # its entries are the old tables'
                free_replaced_block(block)
                decref(work.tables[i])
        if not done:
            untrace_memory(work.after)
            free(work.after)
    merge_free(work.merge)
    free(work.tables)


# --- For tests ---

cdef uint32_t first_shard_bits = 0
cdef uint64_t splits_forced = 0
cdef uint64_t splits_considered = 0


def _set_first_shards(uint32_t bits, /):
    """For tests: lets maps begin with 2^bits shards."""
    global first_shard_bits
    first_shard_bits = bits


def _split_every(uint64_t writes, /):
    """For tests: splits each map that is made from now on, in the smallest steps, whenever so many writes have taken a
    mutex, of whatever maps; 0: as ever."""
    global splits_forced
    splits_forced = writes


def _split(MapCore m not None, uint32_t shard_bits, /):
    """For tests: spreads the entries over 2^shard_bits shards. Whether it was done."""
    return split(m, layout_of(m), shard_bits)


def _want_split(MapCore m not None, /):
    """For tests: as if threads had been found to contend."""
    if may_be_split(m, layout_of(m).shard_bits):
        sm_store_u8(&m.wants_split, True)


def _splits(MapCore m not None, /):
    """How often the map was split."""
    cdef Layout* layout = layout_of(m).older
    cdef uint32_t count = 0
    while layout != NULL:
        count += sm_load_u8(&shard_in(layout, 0).is_moved)
        layout = layout.older
    return count
