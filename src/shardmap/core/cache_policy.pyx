# Which entry goes when a cache is full.
#
# What a policy may know decides what a hit costs. Here a hit sets a bit of the entry, if it is not set, and that is
# all: many threads that read the same keys write nothing. Everything else is done when an entry goes in, under the
# shard's mutex.
#
# The entries of a block stand in the order in which they were inserted, which is a queue. The last ones, from the
# cursor `window` on, are the window: what is new, good or not. All before it are the main part. The window has a size,
# `target`. If it is larger when room is needed, its oldest entry, the candidate, stands against one of the main part,
# the victim: who has been asked for more often stays. If that is the candidate, the window's cursor passes it, and it
# is in the main part, where it stood. So nothing moves, and there are no lists.
#
# - The victim is found by sweeping the main part with a hand: an entry whose bit is set was used since the hand came
# by;
#   it is let off, and the bit is cleared (SIEVE: Zhang and others, SIEVE is simpler than LRU, NSDI 2024).
# - How often a key was asked for is estimated by a sketch: 4 counters of 4 bits for each key, in one cache line, of
# which
#   the least counts, and only the least ones are increased (count-min with conservative update: Estan and Varghese, New
#   directions in traffic measurement, 2002). A key counts when it is inserted, also if it was evicted long before, and
# when the hand finds its bit set. Now and then all counters are halved. Comparing candidate and victim by it is TinyLFU
#   (Einziger, Friedman, Manes, TinyLFU, ACM Transactions on Storage, 2017), whose hits are counted one by one.
# - A victim that is far stronger than the candidate is passed by the hand, or it would stand against the next ones,
# too. - For each eviction a ghost is left: which part lost what key, and when. A key that comes back a while after the
# window
#   lost it goes into the main part when it leaves the window, without standing against anybody (as in 2Q: Johnson and
# Shasha, VLDB 1994; and in S3-FIFO: Yang and others, SOSP 2023). If it comes back very soon, the part that lost it was
#   too small by a little, and gets a few entries more (as ARC: Megiddo and Modha, ARC: a self-tuning, low overhead
#   replacement cache, FAST 2003). Only soon: in a loop over more keys than fit, all keys come back, but late.
#
# The constants are those that did best on access traces, on a broad plateau: bench/hit_ratio.py.

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


# --- The sketch ---

cdef inline uint64_t* line_of(Policy* self, uint32_t hash31, uint64_t* picks) noexcept nogil:
    """The line of a key's counters, and bits that say which ones."""
    cdef uint64_t mixed = hash31 * <uint64_t>0x9E3779B97F4A7C15     # splitmix64 (Steele and others, 2014)
    mixed = (mixed ^ mixed >> 30) * <uint64_t>0xBF58476D1CE4E5B9
    mixed ^= mixed >> 31
    picks[0] = mixed
    return &self.sketch[8 * ((mixed >> 32) * self.lines >> 32)]


cdef inline uint32_t counter_of(uint64_t* line, uint64_t picks, int row, uint64_t** word,
                                uint32_t* shift) noexcept nogil:
    """One of 32 in a quarter of the line."""
    cdef uint32_t number = picks >> (5 * row) & 31
    word[0] = &line[2 * row + (number >> 4)]
    shift[0] = 4 * (number & 15)
    return word[0][0] >> shift[0] & LARGEST_COUNT


cdef uint32_t frequency(Policy* self, uint32_t hash31) noexcept nogil:
    cdef uint64_t picks
    cdef uint64_t* line
    cdef uint64_t* word
    cdef uint32_t least = LARGEST_COUNT, shift
    cdef int row
    if self.lines == 0:
        return 0
    line = line_of(self, hash31, &picks)
    for row in range(4):
        least = min(least, counter_of(line, picks, row, &word, &shift))
    return least


cdef void count_use_of(Policy* self, uint32_t hash31) noexcept nogil:
    cdef uint64_t picks
    cdef uint64_t* line
    cdef uint64_t* word
    cdef uint32_t least, shift
    cdef uint64_t i
    cdef int row
    if self.lines == 0:
        return
    least = frequency(self, hash31)
    if least == LARGEST_COUNT:
        return
    line = line_of(self, hash31, &picks)
    for row in range(4):
        if counter_of(line, picks, row, &word, &shift) == least:
            word[0] += <uint64_t>1 << shift
    self.counted += 1
    if self.counted >= <uint64_t>HALVE_EVERY * ENTRIES_PER_LINE * self.lines:
        self.counted //= 2
        for i in range(<uint64_t>8 * self.lines):
            self.sketch[i] = self.sketch[i] >> 1 & <uint64_t>0x7777777777777777


cdef void grow_sketch(Policy* self, uint64_t entries, uint64_t most) noexcept nogil:
    """For so many entries, of `most` at the end: in steps that double it, so that each line becomes two with the same
    counts. Without memory it stays as it is."""
    cdef uint64_t lines = (most + ENTRIES_PER_LINE - 1) // ENTRIES_PER_LINE, halvings = 0, i
    cdef uint64_t ghosts = 32
    cdef uint64_t* larger
    while lines > 2:
        lines = (lines + 1) // 2
        halvings += 1
    while lines * ENTRIES_PER_LINE < entries:
        lines *= 2
    if lines <= self.lines:
        return
    while ghosts < lines * ENTRIES_PER_LINE // 2:
        ghosts *= 2
    larger = <uint64_t*>allocate(lines * 64 + ghosts * sizeof(uint32_t), 64)
    if larger == NULL:
        return
    memset(larger, 0, lines * 64 + ghosts * sizeof(uint32_t))
    for i in range(lines if self.lines != 0 else 0):
        memcpy(larger + 8 * i, self.sketch + 8 * (i * self.lines // lines), 64)
    free(self.sketch)
    self.sketch = larger
    self.lines = <uint32_t>lines
    self.ghost_mask = <uint32_t>ghosts - 1


# --- Ghosts: 1 bit for the part, 15 of the hash, 16 for when ---

cdef inline uint32_t* ghost_of(Policy* self, uint32_t hash31) noexcept nogil:
    return <uint32_t*>(self.sketch + 8 * <uint64_t>self.lines) + (hash31 * <uint32_t>0x9E3779B1 >> 7 & self.ghost_mask)


cdef inline uint32_t time_of_ghost(Policy* self, bint of_main) noexcept nogil:
    """What the part has lost since, in units of which some hundreds are an age that counts."""
    return (self.main_lost if of_main else self.window_lost) // (1 + self.lines // 64) & 0xFFFF


cdef void leave_ghost(Policy* self, uint32_t hash31, bint of_main) noexcept nogil:
    if of_main:
        self.main_lost += 1
    else:
        self.window_lost += 1
    if self.lines != 0:
        ghost_of(self, hash31)[0] = <uint32_t>of_main << 31 | (hash31 & 0x7FFF) << 16 | time_of_ghost(self, of_main)


cdef bint meet_ghost(Policy* self, uint32_t hash31, uint32_t live) noexcept nogil:
    """Of a key that is inserted. Whether the window had lost it a while ago. If it went a little while ago, the part
    that lost it gets larger."""
    cdef uint32_t ghost, age, step = max(1, <uint32_t>sqrt(<double>live) // 10)
    if self.lines == 0:
        return False
    ghost = ghost_of(self, hash31)[0]
    if ghost == 0 or (ghost >> 16 & 0x7FFF) != (hash31 & 0x7FFF):
        return False
    ghost_of(self, hash31)[0] = 0
    age = (time_of_ghost(self, ghost >> 31) - ghost & 0xFFFF) * (1 + self.lines // 64)
    if age <= max(percent_of(live, REGRETS), 1):
        if ghost >> 31:
            self.target = max(self.target - min(step, self.target), max(percent_of(live, LEAST_TARGET), 1))
        else:
            self.target = max(min(self.target + step, percent_of(live, MOST_TARGET)), 1)
    return ghost >> 31 == 0 and age <= max(percent_of(live, COMES_BACK), 1)


cdef inline uint32_t percent_of(uint32_t entries, uint32_t percent) noexcept nogil:
    return <uint32_t>(<uint64_t>entries * percent // 100)


# --- What happens to entries ---

cdef void policy_moved(Policy* self) noexcept nogil:
    """Another block has taken the place of the one that positions are of."""
    cursor_moved(&self.hand)
    cursor_moved(&self.window)


cdef void policy_cleared(Policy* self) noexcept nogil:
    self.hand.position = self.hand.before = 0
    self.window.position = self.window.before = 0
    self.evicts = False


cdef uint64_t policy_memory(Policy* self) noexcept nogil:
    if self.lines == 0:
        return 0
    return <uint64_t>self.lines * 64 + (<uint64_t>self.ghost_mask + 1) * sizeof(uint32_t)


cdef void policy_free(Policy* self) noexcept nogil:
    free(self.sketch)


cdef void policy_inserted(Policy* self, Block* block, uint8_t* marks, uint32_t entry, uint64_t most) noexcept nogil:
    """After an entry was appended. `most`: entries that the shard will have, at the most."""
    cdef uint32_t hash31 = hash31_of_entry(block, entry), live = block.live
    if max(live, most) >= SMALLEST_SKETCH and live > <uint64_t>self.lines * ENTRIES_PER_LINE:
        grow_sketch(self, live, max(most, live))
    if meet_ghost(self, hash31, live):
        raise_mark(&marks[entry], CAME_BACK)
    count_use_of(self, hash31)
    if not self.evicts:
        self.target = max(percent_of(live, FIRST_TARGET), 1)
    # Until there is a sketch to choose by, all is the main part. Until something has to go, nothing stands against
    # anything.
    while self.window.position < block.used and (self.lines == 0 or not self.evicts and (
            live - self.window.before > self.target)):
        cursor_passed(&self.window, block)


cdef void policy_removed(Policy* self, Block* block, uint32_t entry, bint evicted) noexcept nogil:
    """Before an entry goes."""
    if evicted:
        leave_ghost(self, hash31_of_entry(block, entry), entry < self.window.position)
    cursor_removed(&self.hand, entry)
    cursor_removed(&self.window, entry)


cdef bint policy_victim(Policy* self, Block* block, uint8_t* marks, uint32_t* victim) noexcept nogil:
    """Which entry makes room for a new one; False if there is none."""
    cdef uint32_t candidate, wanted, against
    if block.live == 0:
        return False
    self.evicts = True
    if self.window.before == 0 and block.live == 1 or self.window.before == block.live:
        self.window.position = block.used
        self.window.before = block.live
    elif self.window.before == 0 or block.live - self.window.before >= self.target:
        candidate = oldest_of_window(self, block, marks)
        while self.window.before != 0 and (block.live - self.window.before > self.target
                                           or sm_load_u8_relaxed(&marks[candidate]) & CAME_BACK):
            cursor_passed(&self.window, block)      # the window is to have fewer, or it has come back
            if self.window.before == block.live:
                victim[0] = sweep_main(self, block, marks)
                return True
            candidate = oldest_of_window(self, block, marks)
        if self.window.before == 0:         # there is nothing that it could stand against
            cursor_passed(&self.window, block)
            victim[0] = candidate
            return True
        victim[0] = sweep_main(self, block, marks)
        wanted = frequency(self, hash31_of_entry(block, candidate))
        against = frequency(self, hash31_of_entry(block, victim[0]))
        if wanted > against:
            cursor_passed(&self.window, block)
        else:
            if against > wanted + FAR_STRONGER:
                cursor_passed(&self.hand, block)
            victim[0] = candidate
        return True
    victim[0] = sweep_main(self, block, marks)
    return True


cdef uint32_t oldest_of_window(Policy* self, Block* block, uint8_t* marks) noexcept nogil:
    """There is one: the cursor then stands at it. Its bit is counted."""
    cdef uint32_t at
    while block.entries[self.window.position].key == NULL:
        self.window.position += 1
    at = self.window.position
    if sm_load_u8_relaxed(&marks[at]) & USED:
        lower_mark(&marks[at], USED)
        count_use_of(self, hash31_of_entry(block, at))
    return at


cdef uint32_t sweep_main(Policy* self, Block* block, uint8_t* marks) noexcept nogil:
    """The first entry of the main part, which has one, from the hand on whose bit is not set. Each round clears them,
    so it ends; should readers set them faster, at the second round's end."""
    cdef uint64_t passed = 0
    cdef uint32_t at
    while True:
        if self.hand.position >= self.window.position:
            self.hand.position = self.hand.before = 0
        at = self.hand.position
        if block.entries[at].key != NULL:
            if not sm_load_u8_relaxed(&marks[at]) & USED or passed > 2 * <uint64_t>block.used:
                return at
            lower_mark(&marks[at], USED)
            count_use_of(self, hash31_of_entry(block, at))
        cursor_passed(&self.hand, block)
        passed += 1


# --- Checking ---

cdef const char* cursor_violation(EntryCursor* self, Block* block) noexcept nogil:
    cdef uint32_t entry, before = 0
    if self.position > block.used:
        return b"a cursor is beyond the entries"
    for entry in range(self.position):
        before += block.entries[entry].key != NULL
    if before != self.before:
        return b"a cursor does not know how many entries are before it"
    return NULL


cdef const char* policy_violation(Policy* self, Block* block) noexcept nogil:
    cdef const char* violation = cursor_violation(&self.hand, block)
    return violation if violation != NULL else cursor_violation(&self.window, block)
