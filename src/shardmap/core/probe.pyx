# Probing a block: the one order in which index words are visited, and looking for something in it without comparing keys.

cdef inline bint may_be(uint32_t content, uint32_t place, uint32_t mask) noexcept nogil:
    """Whether an index word points to an entry that the place may be of."""
    return ((content ^ place) & ~mask & PLACE) == 0 and (content & mask) >= FIRST_ENTRY


cdef inline uint32_t round_of(Block* block) noexcept nogil:
    """Words that are probed in a row, less one: a line, or all of a smaller index."""
    return LINE - 1 if block.mask >= LINE - 1 else block.mask


cdef inline uint32_t next_line(uint32_t word, uint32_t* perturb, uint32_t mask) noexcept nogil:
    perturb[0] >>= 5
    return (((word // LINE) * 5 + perturb[0] + 1) * LINE) & mask


cdef uint32_t empty_word(Block* block, uint32_t place) noexcept nogil:
    """The empty index word at which probing for `place` ends. There always is one: see SM_LIMIT."""
    cdef uint32_t mask = block.mask, around = round_of(block), perturb = place
    cdef uint32_t word = place & mask, step
    while True:
        for step in range(around + 1):
            if block.index[word] == EMPTY:
                return word
            word = (word & ~around) | ((word + 1) & around)
        word = next_line(word, &perturb, mask)


cdef uint32_t word_of_entry(Block* block, uint32_t entry) noexcept nogil:
    """The index word of an entry that is there."""
    cdef uint32_t mask = block.mask, around = round_of(block), place = place_of_entry(block, entry), perturb = place
    cdef uint32_t word = place & mask, step
    cdef uint32_t wanted = word_for(block, entry)
    while True:
        for step in range(around + 1):
            if block.index[word] == wanted:
                return word
            word = (word & ~around) | ((word + 1) & around)
        word = next_line(word, &perturb, mask)


cdef uint32_t way_to(Block* block, uint32_t entry) noexcept nogil:
    """How many index words probing for an entry's place meets until its own, which counts; 0: an empty one is before."""
    cdef uint32_t mask = block.mask, around = round_of(block), place = place_of_entry(block, entry), perturb = place
    cdef uint32_t word = place & mask, step, met = 0
    cdef uint64_t rounds
    for rounds in range(64 + <uint64_t>mask // LINE):
        for step in range(around + 1):
            if block.index[word] == EMPTY:
                return 0
            met += 1
            if block.index[word] == word_for(block, entry):
                return met
            word = (word & ~around) | ((word + 1) & around)
        word = next_line(word, &perturb, mask)
    return 0


cdef bint has_place(Block* block, uint32_t place) noexcept nogil:
    """Whether there is an entry of this place."""
    cdef uint32_t mask = block.mask, around = round_of(block), perturb = place
    cdef uint32_t word = place & mask, content, step
    while True:
        for step in range(around + 1):
            content = block.index[word]
            if content == EMPTY:
                return False
            if may_be(content, place, mask):
                if place_of_entry(block, (content & mask) - FIRST_ENTRY) == place:
                    return True
            word = (word & ~around) | ((word + 1) & around)
        word = next_line(word, &perturb, mask)
