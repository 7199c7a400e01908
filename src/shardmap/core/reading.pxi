# Reading one key without its shard's mutex, and what writers owe to those who do.
#
# Why it is right. A reader looks a key up in the block that the shard publishes, as find_locked() does, and
# believes what it saw only if that block is still published when it has seen it. Blocks are not freed, so not
# used again, while it looks; so the block was the shard's own all that time.
#
# - Absent: the index word at which probing ended was empty when it was read, so the key was in none further on.
#   Had it been in one entry all the time, that entry's word would have been met: entries do not move in a block.
#   So at some moment since the look-up began there was no entry.
#   Nor had an insertion of the key begun before: it might have its stamp already, and come in front of what is
#   inserted after this look-up. It would go into this very word, which is empty yet while nothing is being
#   inserted (was_absent); or into the word of a removed entry before it. If that was a removed one's when it was
#   passed, the look-up is made again, with the version of the shard the same before and after; if it was in
#   use when it was passed, then its entry was removed, and the insertion began, after that.
# - Present: the entry holds the key (it is used once, so it never holds another), and held this value when it
#   was read the second time. In between the reader took a reference to it; so the value is alive, and is the
#   one that the entry held at the second reading, whatever went on before.
# - While one operation changes several shards (`sweep` is odd) readers wait for it at the mutexes, else they
#   could see one shard before and then another after it.
#
# Why nothing freed is read. (core/readers.h says how it is told that nobody is looking any more.)
#
# - Blocks: freed by retire() and in Table.__dealloc__, after wait_before_freeing() if a reader may have got at
#   them; a map that dies has no readers. A table that other maps or snapshots share is let go likewise, by
#   make_writable() and map_clear(): so nobody reads a table through a map that does not hold it any more, and
#   who is alone with a table need only know who uses its own map.
# - Keys are compared only if the index word says that they are plain, which is known without touching the key. A
#   plain key that leaves a map has a reference in its shard's limbo until nobody is looking any more. (Keys of
#   other types are let go at once, as by dict; to compare with one takes the mutex, unless it is the same.)
# - Values: the reference is taken by sm_try_incref(), which fails for an object that is on its way out.
#
# A map that one thread only has used so far has no readers but that thread. So nothing is put into limbo then
# and nothing waits: who takes something out looks at `seen` once more after a full barrier, and a thread that
# sets `seen` has one before its first read; so either the one sees the flag or the other sees the new state.

cdef enum Read:
    SEEN_ABSENT = 0         # ABSENT
    SEEN_PRESENT = 1        # PRESENT
    LOOK_AGAIN = 2          # something came between, or it needs Python code: look again with the mutex
    SEEN_BEYOND = 3         # absent as far as was seen, but on the way there were words of removed entries

cdef enum:
    LARGE = 16384           # bytes: what is larger does not stay in limbo
    LIMBO_BYTES = 65536


cdef inline Read read_unlocked(MapCore m, Position* at, PyObject* key, PyObject** value) noexcept:
    """Looks for the key that is aimed at. `value`: NULL, or where to put a reference to the value as it stands."""
    cdef sm_reader* me
    cdef Block* block
    cdef Read answer = LOOK_AGAIN
    cdef PyObject* found = NULL
    if not sm_reads_unlocked:
        return LOOK_AGAIN
    me = sm_start_reading()
    if me == NULL:
        return LOOK_AGAIN
    if not sm_load_u64(&m.sweep) & 1:
        block = <Block*>sm_load_ptr(<void**>at.slot)
        answer = read_block(at.shard, block, at.place, key, value != NULL, &found)
        if sm_load_ptr(<void**>at.slot) != block:
            answer = LOOK_AGAIN
    sm_stop_reading(me)
    if answer == LOOK_AGAIN:
        let_go_if(found)        # may be the last reference by now, and run any code
    elif found != NULL:
        value[0] = found
    return answer


cdef inline Read read_block(Shard* shard, Block* block, uint32_t place, PyObject* key, bint take,
                            PyObject** value) noexcept:
    """The answer is to be believed if the block is still the shard's afterwards. `take`: puts a reference to the value
    into `value`, which is NULL before; perhaps also where the answer is LOOK_AGAIN. While reading."""
    cdef PyObject* found = NULL
    cdef uint32_t entry = 0
    cdef Read answer = look_up(block, place, key, &entry, &found)
    if answer == SEEN_BEYOND:
        answer = look_up_beyond(shard, block, place, key, &entry, &found)
    elif answer == SEEN_ABSENT and not was_absent(shard, block, entry):
        answer = LOOK_AGAIN
    if answer == SEEN_PRESENT and take:
        if is_number(found):
            value[0] = found
        elif sm_try_incref(found):
            value[0] = found
            sm_step()
            if sm_load_ptr(<void**>&block.entries[entry].value) != found:
                answer = LOOK_AGAIN
        else:
            answer = LOOK_AGAIN
    return answer


cdef inline Read look_up(Block* block, uint32_t place, PyObject* key, uint32_t* at, PyObject** found) noexcept:
    """The entry that holds the key, and the value in it, which is not the caller's; or the empty index word where
    probing ended, for was_absent(); or that it takes look_up_beyond(). While reading."""
    cdef uint32_t mask = block.mask, around = round_of(block), perturb = place, word = place & mask
    cdef uint32_t content, entry, step
    cdef PyObject* stored
    cdef bint beyond = False
    sm_step()
    while True:
        for step in range(around + 1):
            content = sm_load_u32(&block.index[word])
            sm_step()
            if content == EMPTY:
                at[0] = word
                return SEEN_BEYOND if beyond else SEEN_ABSENT
            if content == REMOVED:
                beyond = True
            elif may_be(content, place, mask):
                entry = (content & mask) - FIRST_ENTRY
                stored = <PyObject*>sm_load_ptr(<void**>&block.entries[entry].key)
                sm_step()
                if stored != key and stored != NULL:
                    if is_plain_word(content) and type_of(stored) == type_of(key):
                        if sm_compare(stored, key) == 0:
                            stored = NULL
                    elif place_of_entry(block, entry) == place:
                        return LOOK_AGAIN
                    else:
                        stored = NULL
                if stored != NULL:
                    found[0] = <PyObject*>sm_load_ptr(<void**>&block.entries[entry].value)
                    sm_step()
                    if found[0] != NULL:
                        at[0] = entry
                        return SEEN_PRESENT
            word = (word & ~around) | ((word + 1) & around)
        word = next_line(word, &perturb, mask)


cdef inline bint was_absent(Shard* shard, Block* block, uint32_t word) noexcept:
    """Whether the word where probing ended was empty while nothing was being inserted into the shard. An entry gets
    its stamp after the version has become odd (announce_insertion) and before the index word that shows it."""
    if not SM_READERS_MEET_WRITERS:
        return True
    return (sm_load_u64(&shard.size_word) >> 32 & 1) == 0 and sm_load_u32(&block.index[word]) == EMPTY


cdef Read look_up_beyond(Shard* shard, Block* block, uint32_t place, PyObject* key, uint32_t* at,
                         PyObject** found) noexcept:
    """look_up() once more, in a shard into which nothing is inserted and from which nothing is removed meanwhile."""
    cdef uint64_t version = sm_load_u64(&shard.size_word) >> 32
    cdef Read answer
    if SM_READERS_MEET_WRITERS and version & 1:
        return LOOK_AGAIN
    answer = look_up(block, place, key, at, found)
    if answer == SEEN_ABSENT or answer == SEEN_BEYOND:
        return SEEN_ABSENT if sm_load_u64(&shard.size_word) >> 32 == version else LOOK_AGAIN
    return answer


# --- Writers ---

cdef bint overwrite_found(Position* at, PyObject* key, PyObject* value, PyObject** old) noexcept:
    """Looks for the key without the mutex, and if there is an entry overwrites it under the mutex, which is then held
    for a moment only. False: nothing done, for whatever reason. `old`: what to let go."""
    cdef sm_reader* me
    cdef Block* block
    cdef PyObject* found = NULL
    cdef uint32_t entry = 0
    cdef bint done = False
    if not sm_reads_unlocked:
        return False
    me = sm_start_reading()
    if me == NULL:
        return False
    block = <Block*>sm_load_ptr(<void**>at.slot)
    # While reading nobody may wait. The block is the very one if it still is the table's: it cannot have been freed.
    if look_up(block, at.place, key, &entry, &found) == SEEN_PRESENT and try_lock(at.shard):
        found = block.entries[entry].value
        if (block_of(at.shard.table) == block and found != NULL and at.shard.key_locks == NULL
                and not is_shared(at.shard.table)):
            if found != value:
                incref(value)
                put_value(block, entry, value)
                old[0] = found
            done = True
        unlock(at.shard)
    sm_stop_reading(me)
    return done


cdef bint bury(Position* at, void* item, size_t bytes) noexcept:
    """Has what was just put out of reach freed when nobody can be looking at it any more. False: the caller frees it,
    after leave_behind(). Under the mutex."""
    cdef Limbo* limbo
    if not (SM_READERS_MEET_WRITERS and sm_reads_unlocked):
        return False
    if not sm_load_u8(at.shard.seen):
        if at.removed == NOTHING_REMOVED:
            at.removed = UNSEEN
        return False
    limbo = at.shard.limbo
    if limbo == NULL and bytes <= LARGE:
        limbo = at.shard.limbo = <Limbo*>allocate(sizeof(Limbo), 64)
        if limbo != NULL:
            limbo.count = 0
            limbo.bytes = 0
    if limbo == NULL or bytes > LARGE or at.full != NULL:
        at.removed = SEEN
        return False
    limbo.items[limbo.count] = item
    limbo.count += 1
    limbo.bytes += bytes
    if limbo.count == sizeof(limbo.items) // sizeof(limbo.items[0]) or limbo.bytes > LIMBO_BYTES:
        at.full = limbo
        at.shard.limbo = NULL
        at.removed = SEEN
    return True


cdef void wait_before_freeing(Position* at) noexcept:
    if at.removed == UNSEEN:
        sm_fence_after_unlock()
    if at.removed == SEEN or sm_load_u8(at.shard.seen):
        sm_wait_for_readers()
    at.removed = NOTHING_REMOVED


cdef void empty_limbo(Limbo* limbo) noexcept:
    """When nobody is looking. Plain keys only: runs no Python code."""
    cdef uint32_t i
    for i in range(limbo.count):
        if <uintptr_t>limbo.items[i] & 1:
            block_free(<Block*>(<uintptr_t>limbo.items[i] & ~<uintptr_t>1))
        else:
            decref(<PyObject*>limbo.items[i])
    free(limbo)
