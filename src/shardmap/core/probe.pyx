# Probing a block: the one order in which slots are visited, and looking for something in it without comparing keys.

cdef inline bint may_be(uint32_t content, uint32_t hash31, uint32_t mask) noexcept nogil:
    """Whether an slot may point to an entry of this hash."""
    return ((content ^ hash31) & ~mask & HASH31) == 0 and (content & mask) >= FIRST_ENTRY


cdef inline uint32_t group_mask(Block* block) noexcept nogil:
    """Words that are probed in a row, less one: a line, or all of a smaller index."""
    return GROUP - 1 if block.mask >= GROUP - 1 else block.mask


cdef inline uint32_t next_group(uint32_t slot, uint32_t* perturb, uint32_t mask) noexcept nogil:
    perturb[0] >>= 5
    return (((slot // GROUP) * 5 + perturb[0] + 1) * GROUP) & mask


cdef uint32_t empty_slot(Block* block, uint32_t hash31) noexcept nogil:
    """The empty slot at which probing for a hash ends. There always is one: limit_of() keeps some empty."""
    cdef uint32_t mask = block.mask, mask_in_group = group_mask(block), perturb = hash31
    cdef uint32_t slot = hash31 & mask, step
    while True:
        for step in range(mask_in_group + 1):
            if block.index[slot] == EMPTY:
                return slot
            slot = (slot & ~mask_in_group) | ((slot + 1) & mask_in_group)
        slot = next_group(slot, &perturb, mask)


cdef uint32_t slot_of_entry(Block* block, uint32_t entry) noexcept nogil:
    """The slot of an entry that is there."""
    cdef uint32_t mask = block.mask, mask_in_group = group_mask(block), hash31 = hash31_of_entry(block, entry), perturb = hash31
    cdef uint32_t slot = hash31 & mask, step
    cdef uint32_t wanted = slot_for(block, entry)
    while True:
        for step in range(mask_in_group + 1):
            if block.index[slot] == wanted:
                return slot
            slot = (slot & ~mask_in_group) | ((slot + 1) & mask_in_group)
        slot = next_group(slot, &perturb, mask)


cdef uint32_t probe_length(Block* block, uint32_t entry) noexcept nogil:
    """How many slots a look-up of the entry visits, its own included; 0: an empty slot comes before."""
    cdef uint32_t mask = block.mask, mask_in_group = group_mask(block), hash31 = hash31_of_entry(block, entry), perturb = hash31
    cdef uint32_t slot = hash31 & mask, step, met = 0
    cdef uint64_t rounds
    for rounds in range(64 + <uint64_t>mask // GROUP):
        for step in range(mask_in_group + 1):
            if block.index[slot] == EMPTY:
                return 0
            met += 1
            if block.index[slot] == slot_for(block, entry):
                return met
            slot = (slot & ~mask_in_group) | ((slot + 1) & mask_in_group)
        slot = next_group(slot, &perturb, mask)
    return 0


cdef bint has_hash31(Block* block, uint32_t hash31) noexcept nogil:
    """Whether there is an entry of this hash."""
    cdef uint32_t mask = block.mask, mask_in_group = group_mask(block), perturb = hash31
    cdef uint32_t slot = hash31 & mask, content, step
    while True:
        for step in range(mask_in_group + 1):
            content = block.index[slot]
            if content == EMPTY:
                return False
            if may_be(content, hash31, mask):
                if hash31_of_entry(block, (content & mask) - FIRST_ENTRY) == hash31:
                    return True
            slot = (slot & ~mask_in_group) | ((slot + 1) & mask_in_group)
        slot = next_group(slot, &perturb, mask)
