# A block: the open-addressing table itself, in one piece of memory.
#
#     index      uint32 [power of two]   EMPTY, TOMBSTONE, or tag | entry + 2; the top bit: the key is plain
#     entries    (key, value) [capacity] dense, in insertion order, with holes where one was removed
#     hash31s    uint32 [capacity]       31 bits of hash (core/hashing.h); the top bit likewise
#     stamps     uint64 [capacity]       orders entries of different shards; grows within a block. Not in the block of
#                                        the only shard of a map: there the entries' own order is enough
#     and, in the blocks of caches, what core/cache_columns.pyx says
#
# A slot keeps as many bits of the hash as the entry's number leaves free: the low log2(index)
# bits number the entry, the bits above are the hash's own bits above, so a slot that differs there is
# passed over without touching the entry. The hash's low bits say where probing starts. A plain key is then
# compared itself: comparing all 31 bits first would be one more cache line for nearly nothing. Where Python
# would have to compare, all 31 bits must agree.
#
# An insertion takes the first tombstone that it passed, as dict's does: else a key that is removed and inserted again
# would be further away each time, far where integers in a row fill all lines. An operation that releases the mutex in
# the middle of probing starts over if that has happened meanwhile (`tombstone_reuses`): the key may be before it now.
# Rebuilding is due when the entries' array is full, and pays for itself as in dict.
#
# Threads may read index, entries and places without the mutex (core/read_key.pyx): what they read is stored
# by append, erase_entry and put_value only, an entry before the slot that points to it.
#
# Functions here neither lock nor touch reference counts, except block_dispose.

cdef inline uint64_t limit_of(uint64_t index_slots) noexcept nogil:
    """Slots in use at the most."""
    return index_slots // 4 * 3


cdef inline size_t column_bytes(int columns) noexcept nogil:
    """Of one entry."""
    cdef size_t words = ((columns & STAMPS) != 0) + ((columns & DEADLINES) != 0) + ((columns & ACCESS_TIMES) != 0)
    words += ((columns & REFRESH_TIMES) != 0) + ((columns & WEIGHTS) != 0)
    return words * sizeof(uint64_t) + ((columns & MARKS) != 0)


cdef Block* block_new(uint64_t wanted, int columns) noexcept nogil:
    """An empty block for at least `wanted` entries; NULL when there is no memory. `columns`: of enum Columns."""
    cdef uint64_t slots = index_slots_for(wanted)
    cdef uint64_t capacity = capacity_for(wanted)
    cdef size_t bytes, before, head
    cdef char* memory
    cdef Block* block
    if slots > (<uint64_t>1 << LARGEST_INDEX_BITS):
        return NULL
    bytes = (sizeof(Block) + slots * sizeof(uint32_t) + capacity * (sizeof(Entry) + sizeof(uint32_t))
             + capacity * column_bytes(columns))
    before = head = 0
    if bytes >= WORTH_ALIGNING:
        before = BEFORE_HEAD
        head = LARGE_HEAD - sizeof(Block)
        bytes += before + head
    memory = <char*>(allocate(bytes, sizeof(Entry)) if before == 0 else allocate_table(bytes))
    if memory == NULL:
        return NULL
    block = <Block*>(memory + before)
    block.mask = <uint32_t>(slots - 1)
    block.capacity = <uint32_t>capacity
    block.index = <uint32_t*>(<char*>(block + 1) + head)
    block.entries = <Entry*>(block.index + slots)
    block.hash31s = <uint32_t*>(block.entries + capacity)
    block.stamps = NULL
    if columns & STAMPS:
        # Behind an even number of hash31s: capacities are even.
        block.stamps = <uint64_t*>(block.hash31s + capacity)
    block.bytes = bytes
    block.used = 0
    block.live = 0
    block.filled = 0
    block.tombstone_reuses = 0
    block.head = 0
    block.tail = 0
    memset(block.index, 0, slots * sizeof(uint32_t))
    return block


cdef inline void* memory_of(Block* block) noexcept nogil:
    """What was allocated for it."""
    return <char*>block - BEFORE_HEAD if block.bytes >= WORTH_ALIGNING else <char*>block


cdef inline void trace_block(Block* block) noexcept:
    """When it is about to be somebody's table (core/memory.pyx)."""
    trace_memory(memory_of(block), block.bytes)


cdef inline void block_free(Block* block) noexcept:
    untrace_memory(memory_of(block))
    sm_release_table(memory_of(block), block.bytes)


# --- Places ---

cdef inline uint32_t hash31_of_entry(Block* block, uint32_t entry) noexcept nogil:
    return block.hash31s[entry] & HASH31


cdef inline bint is_plain_slot(uint32_t content) noexcept nogil:
    """Whether the key of the entry it points to is of a plain type."""
    return (content & ~<uint32_t>HASH31) != 0


cdef inline uint32_t slot_for(Block* block, uint32_t entry) noexcept nogil:
    """The slot that points to an entry."""
    return (block.hash31s[entry] & ~block.mask) | (entry + FIRST_ENTRY)


cdef inline bint is_plain_entry(Block* block, uint32_t entry) noexcept nogil:
    """Whether the key is of a plain type (core/interpreter.h)."""
    return (block.hash31s[entry] & ~<uint32_t>HASH31) != 0


# --- Changing ---

cdef inline void append(Block* block, uint32_t slot, uint32_t hash31, bint plain, PyObject* key, PyObject* value,
                        uint64_t stamp) noexcept nogil:
    """Adds an entry of which it owns the references from now on, at a slot that is empty or of a removed one."""
    cdef uint32_t entry = block.used
    cdef bint fresh = block.index[slot] == EMPTY
    # Who only prefetches has not looked at the slot, and may be reading. Release: a key's and a value's own contents.
    sm_store_ptr(<void**>&block.entries[entry].key, key)
    sm_store_ptr(<void**>&block.entries[entry].value, value)
    if block.stamps != NULL:
        put_stamp(block, entry, stamp)
    sm_sched_point()
    block.hash31s[entry] = hash31 | <uint32_t>plain << 31
    # Release: all of the entry before the slot that shows it; what is above and plain is read by nobody before.
    sm_store_u32(&block.index[slot], slot_for(block, entry))
    sm_sched_point()
    sm_store_u32(&block.used, entry + 1)
    block.tail = entry + 1
    block.live += 1
    if fresh:
        block.filled += 1
    else:
        block.tombstone_reuses += 1


cdef inline void prefetch_end(Block* block) noexcept nogil:
    """What append() will write, before the mutex is taken."""
    cdef uint32_t entry = sm_load_u32_relaxed(&block.used)
    prefetch_to_write(&block.used)
    prefetch_to_write(&block.entries[entry])
    prefetch_to_write(&block.hash31s[entry])
    if block.stamps != NULL:
        prefetch_to_write(&block.stamps[entry])


cdef inline void append_unindexed(Block* block, Entry* entry, uint32_t hash31_and_plain, uint64_t stamp) noexcept nogil:
    """The same to a block of several shards that nobody else knows, which is to get its index by build_index()."""
    cdef uint32_t number = block.used
    block.entries[number] = entry[0]
    block.hash31s[number] = hash31_and_plain
    put_stamp(block, number, stamp)
    block.used = number + 1


cdef inline void put_stamp(Block* block, uint32_t entry, uint64_t stamp) noexcept nogil:
    """Stamps grow within a block, also where two threads inserted in one tick of the clock."""
    if entry != 0 and block.stamps[entry - 1] >= stamp:
        stamp = block.stamps[entry - 1] + 1
    block.stamps[entry] = stamp


cdef inline void erase_entry(Block* block, uint32_t slot, uint32_t entry) noexcept nogil:
    """Removes an entry; its references are the caller's from now on."""
    # Release: after the version became odd, and what an iterator needs went into the undo log.
    sm_store_u32(&block.index[slot], TOMBSTONE)
    sm_sched_point()
    sm_store_ptr(<void**>&block.entries[entry].key, NULL)
    sm_sched_point()
    sm_store_ptr(<void**>&block.entries[entry].value, NULL)
    block.live -= 1


cdef inline uint32_t first_entry(Block* block) noexcept nogil:
    """The number of the first entry that is there; `used` if there is none. Remembers the holes it passed, so
    that `m.pop(next(iter(m)))` is not slower the more went before (as it is with dict). Relaxed: what it says stays
    true."""
    cdef uint32_t hint = sm_load_u32_relaxed(&block.head), entry = hint
    while entry < block.used and block.entries[entry].key == NULL:
        entry += 1
    if entry != hint:
        sm_store_u32_relaxed(&block.head, entry)
    return entry


cdef inline uint32_t end_of_entries(Block* block) noexcept nogil:
    """The number of the last entry that is there, plus one; 0 if there is none. Remembers holes likewise."""
    cdef uint32_t hint = sm_load_u32_relaxed(&block.tail), end = hint
    while end != 0 and block.entries[end - 1].key == NULL:
        end -= 1
    if end != hint:
        sm_store_u32_relaxed(&block.tail, end)
    return end


cdef void block_dispose(Block* block) noexcept:
    """Lets go of all entries, which may run any code, and of the memory."""
    cdef uint32_t entry
    cdef PyObject* key
    cdef PyObject* value
    for entry in range(block.used):
        key = block.entries[entry].key
        value = block.entries[entry].value
        if key != NULL:
            decref(key)
            value_decref(value)
    block_free(block)
