# Where a key is looked for: its shard, the slot where probing starts, the one order in which slots are visited; and
# what can be found there without Python code.
#
# A look-up visits the slots of one group first, which are a cache line of the index (all of it, if it is smaller),
# from the slot that the hash names, round to its beginning. Then it goes on in another group by CPython's recurrence
# (group * 5 + perturb + 1, Objects/dictobject.c), which reaches every group. `perturb` starts with a product of all 31
# bits and a secret (core/hashing.h): keys that have the first group in common part there, whatever they are. Who probes
# uses probe_start() and probe_next().

cdef inline int hash_of(PyObject* key, Py_hash_t* hashed) except -1:
    if is_exact_str(key):
        hashed[0] = sm_str_hash(key)
        if hashed[0] != -1:
            return 0
    elif sm_small_int_hash(key, hashed):
        return 0
    hashed[0] = hash_object(key)
    return 0


cdef inline void start_access(Access* at) noexcept:
    at.equal = NULL
    at.deferred.table = NULL
    at.deferred.limbo = NULL
    at.deferred.grace_period = NO_GRACE_PERIOD


cdef inline void aim_at_shard(Shard* shard, Access* at) noexcept:
    """For an operation on a shard that is about no key."""
    start_access(at)
    at.shard = shard
    at.published = shard.published
    at.hash31 = 0


cdef inline int locate(MapCore m, PyObject* key, Access* at) except -1:
    """Hashes the key: which shard, which 31 bits."""
    cdef Py_hash_t hashed = 0
    hash_of(key, &hashed)
    locate_hashed(m, hashed, at)
    return 0


cdef inline void locate_hashed(MapCore m, Py_hash_t hashed, Access* at) noexcept:
    aim(layout_of(m), sm_mixed_of(<uint64_t>hashed), at)
    start_access(at)


cdef inline uint32_t shard_and_hash31(uint32_t mixed, uint32_t shard_bits, uint32_t* hash31) noexcept nogil:
    """The number of the shard, and the 31 bits by which the key is found in it (core/hashing.h)."""
    hash31[0] = mixed
    if shard_bits == 0:
        return 0
    hash31[0] = sm_hash31_of_mixed(mixed, shard_bits)
    return sm_shard_of_mixed(mixed, shard_bits)


cdef inline void aim(Layout* layout, uint32_t mixed, Access* at) noexcept nogil:
    """At the shard that a key belongs to in this layout."""
    cdef uint32_t number = shard_and_hash31(mixed, layout.shard_bits, &at.hash31)
    at.shard = shard_in(layout, number)
    at.published = &blocks_of(layout)[number]


cdef inline void probe_start(ProbeSequence* self, Block* block, uint32_t hash31) noexcept nogil:
    self.mask = block.mask
    self.perturb = hash31
    self.slot = hash31 & block.mask
    self.step = 0


cdef inline void probe_next(ProbeSequence* self) noexcept nogil:
    cdef uint32_t group_mask = GROUP - 1 if self.mask >= GROUP - 1 else self.mask
    self.step += 1
    if self.step & group_mask != 0:
        self.slot = (self.slot & ~group_mask) | ((self.slot + 1) & group_mask)
    else:
        self.perturb = sm_perturb_of(self.perturb) if self.step == group_mask + 1 else self.perturb >> 5
        self.slot = (((self.slot // GROUP) * 5 + self.perturb + 1) * GROUP) & self.mask


cdef inline bint may_be(uint32_t content, uint32_t hash31, uint32_t mask) noexcept nogil:
    """Whether a slot may point to an entry of this hash."""
    return ((content ^ hash31) & ~mask & HASH31) == 0 and (content & mask) >= FIRST_ENTRY


cdef inline int compare_stored(Block* block, uint32_t content, uint32_t entry, uint32_t hash31,
                               PyObject* key) noexcept nogil:
    """Compares with the key of the entry that a slot points to, under the mutex. 1: equal, 0: not; -1: only Python can
    tell."""
    cdef PyObject* stored = block.entries[entry].key
    cdef int answer = -1
    if stored == key:
        return 1
    if is_plain_slot(content):
        answer = sm_compare(stored, key)
    return answer if answer >= 0 or hash31_of_entry(block, entry) == hash31 else 0


cdef inline ProbeResult probe_for(ProbeSequence* self, Block* block, PyObject* key, uint32_t hash31,
                                  uint32_t* free_slot, uint32_t* entry) noexcept nogil:
    """Goes on from where the sequence stands. THERE or NEEDS_PYTHON: it stands at the slot of `entry`. NOT_THERE:
    `free_slot`, which is NO_SLOT at first, is the slot for the key: the first tombstone, or the empty slot at the end.
    In a block that does not change meanwhile."""
    cdef uint32_t content, found
    cdef int answer
    while True:
        content = block.index[self.slot]
        if content == EMPTY:
            if free_slot[0] == NO_SLOT:
                free_slot[0] = self.slot
            return NOT_THERE
        if content == TOMBSTONE:
            if free_slot[0] == NO_SLOT:
                free_slot[0] = self.slot
        elif may_be(content, hash31, self.mask):
            found = (content & self.mask) - FIRST_ENTRY
            answer = compare_stored(block, content, found, hash31, key)
            if answer != 0:
                entry[0] = found
                return THERE if answer > 0 else NEEDS_PYTHON
        probe_next(self)


cdef inline ProbeResult probe(Block* block, PyObject* key, uint32_t hash31, uint32_t* slot,
                              uint32_t* entry) noexcept nogil:
    """probe_for() from the beginning. `slot`: of the entry, or for the key."""
    cdef ProbeSequence sequence
    cdef ProbeResult result
    cdef uint32_t free_slot = NO_SLOT
    probe_start(&sequence, block, hash31)
    result = probe_for(&sequence, block, key, hash31, &free_slot, entry)
    slot[0] = free_slot if result == NOT_THERE else sequence.slot
    return result


cdef uint32_t empty_slot(Block* block, uint32_t hash31) noexcept nogil:
    """The empty slot at which probing for a hash ends. There always is one: limit_of() keeps some empty."""
    cdef ProbeSequence sequence
    probe_start(&sequence, block, hash31)
    while block.index[sequence.slot] != EMPTY:
        probe_next(&sequence)
    return sequence.slot


cdef void build_index(Block* block) noexcept nogil:
    """Of a block that has entries, without holes, and no index yet. No two keys are equal."""
    cdef uint32_t i, used = block.used
    cdef uint32_t prefetched = used - FAR_AHEAD if used > SMALL_INDEX * GROUP else 0    # a small index is in the cache
    for i in range(used):
        if i < prefetched:
            prefetch_slot_to_write(block, block.hash31s[i + FAR_AHEAD])
        block.index[empty_slot(block, hash31_of_entry(block, i))] = slot_for(block, i)
    note_whole(block)


cdef inline void prefetch_slot_to_write(Block* block, uint32_t hash31) noexcept nogil:
    prefetch_to_write(&block.index[hash31 & block.mask])


cdef inline void note_whole(Block* block) noexcept nogil:
    """The counts of a block without holes and with an index."""
    block.live = block.filled = block.tail = block.used


cdef uint32_t slot_of_entry(Block* block, uint32_t entry) noexcept nogil:
    """The slot of an entry that is there."""
    cdef ProbeSequence sequence
    cdef uint32_t wanted = slot_for(block, entry)
    probe_start(&sequence, block, hash31_of_entry(block, entry))
    while block.index[sequence.slot] != wanted:
        probe_next(&sequence)
    return sequence.slot


cdef uint64_t probe_length(Block* block, uint32_t entry) noexcept nogil:
    """How many slots a look-up of the entry visits, its own included; 0: an empty slot comes before."""
    cdef ProbeSequence sequence
    cdef uint64_t visited = 1, most = 64 * GROUP + 2 * <uint64_t>block.mask
    probe_start(&sequence, block, hash31_of_entry(block, entry))
    while block.index[sequence.slot] != slot_for(block, entry):
        if block.index[sequence.slot] == EMPTY or visited == most:
            return 0
        visited += 1
        probe_next(&sequence)
    return visited


cdef bint has_hash31(Block* block, uint32_t hash31) noexcept nogil:
    """Whether there is an entry of this hash."""
    cdef ProbeSequence sequence
    cdef uint32_t content
    probe_start(&sequence, block, hash31)
    while True:
        content = block.index[sequence.slot]
        if content == EMPTY:
            return False
        if may_be(content, hash31, block.mask):
            if hash31_of_entry(block, (content & block.mask) - FIRST_ENTRY) == hash31:
                return True
        probe_next(&sequence)
