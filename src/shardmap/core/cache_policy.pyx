# Which entry goes when a cache is full. TEMPORARY: SIEVE.

cdef enum:
    MOST_MARK = 1


cdef inline void cursor_passed(EntryCursor* self, Block* block) noexcept nogil:
    """Moves it one entry on."""
    if block.entries[self.position].key != NULL:
        self.before += 1
    self.position += 1


cdef inline void cursor_removed(EntryCursor* self, uint32_t entry) noexcept nogil:
    if entry < self.position:
        self.before -= 1


cdef inline void cursor_moved(EntryCursor* self) noexcept nogil:
    """The holes of the block were closed."""
    self.position = self.before


cdef void policy_moved(Policy* self) noexcept nogil:
    cursor_moved(&self.hand)


cdef void policy_inserted(Policy* self, Block* block, uint8_t* marks, uint32_t entry, int64_t weight) noexcept nogil:
    pass


cdef void policy_removed(Policy* self, Block* block, uint8_t* marks, uint32_t entry, bint evicted) noexcept nogil:
    cursor_removed(&self.hand, entry)


cdef bint policy_victim(Policy* self, Block* block, uint8_t* marks, uint32_t hash31, uint32_t* victim) noexcept nogil:
    """Which entry makes room for a new one of this hash; False if there is none."""
    cdef uint32_t at
    if block.live == 0:
        return False
    while True:
        if self.hand.position >= block.used:
            self.hand.position = self.hand.before = 0
        at = self.hand.position
        if block.entries[at].key != NULL:
            if sm_load_u8_relaxed(&marks[at]) & MOST_MARK == 0:
                victim[0] = at
                return True
            sm_store_u8_relaxed(&marks[at], 0)
        cursor_passed(&self.hand, block)


cdef void policy_cleared(Policy* self) noexcept nogil:
    self.hand.position = self.hand.before = 0


cdef inline void policy_reweighed(Policy* self, uint32_t entry, int64_t before, int64_t after) noexcept nogil:
    pass


cdef const char* cursor_violation(EntryCursor* self, Block* block) noexcept nogil:
    cdef uint32_t entry, before = 0
    for entry in range(min(self.position, block.used)):
        before += block.entries[entry].key != NULL
    if before != self.before:
        return b"a cursor does not know how many entries are before it"
    return NULL


cdef const char* policy_violation(Policy* self, Block* block, uint8_t* marks) noexcept nogil:
    return cursor_violation(&self.hand, block)
