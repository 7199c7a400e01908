cdef inline Found map_get(MapCore m, PyObject* key, PyObject** value) except FAILED:
    """PRESENT: `value` is a reference of the caller's to the value as it stands in the entry (core/value.pyx)."""
    cdef Access at
    cdef Read answer
    mark_shared(m)
    locate(m, key, &at)
    answer = read_unlocked(m, &at, key, value)
    if answer == NEEDS_COMPARISON:
        answer = compare_unlocked(m, &at, key, value, NULL)
    if answer != LOOK_AGAIN:
        return <Found>answer
    return lock_and_get(&at, key, value)


cdef Found map_get_found(MapCore m, Access* at, PyObject* key, PyObject** value, FoundEntry* where) except FAILED:
    """The same with the key located at; remembers the entry if the key was compared by Python code."""
    cdef Read answer
    where.is_valid = False
    mark_shared(m)
    answer = read_unlocked(m, at, key, value)
    if answer == NEEDS_COMPARISON:
        answer = compare_unlocked(m, at, key, value, where)
    if answer != LOOK_AGAIN:
        return <Found>answer
    lock_located(at)
    return get_and_unlock(at, key, value, where)


cdef Found lock_and_get(Access* at, PyObject* key, PyObject** value) except FAILED:
    cdef PyObject* owner = at.shard.owner
    cdef FoundEntry where
    where.is_valid = False
    split_if_wanted(<MapCore>owner)
    lock_located(at)
    return get_and_unlock(at, key, value, &where)


cdef Found get_and_unlock(Access* at, PyObject* key, PyObject** value, FoundEntry* where) except FAILED:
    """With the mutex held; releases it."""
    require_locked(at.shard)
    cdef Found found = find_again_locked(key, at, where)
    if found == PRESENT:
        value[0] = at.found.block.entries[at.found.entry].value
        if not is_number(value[0]):
            sm_allow_try_incref(value[0])       # the next reader needs no mutex
            incref(value[0])
    unlock_and_reclaim(at)
    return found


cdef inline Found map_contains(MapCore m, PyObject* key) except FAILED:
    cdef Access at
    cdef Found found
    cdef Read answer
    mark_shared(m)
    locate(m, key, &at)
    answer = read_unlocked(m, &at, key, NULL)
    if answer == NEEDS_COMPARISON:
        answer = compare_unlocked(m, &at, key, NULL, NULL)
    if answer != LOOK_AGAIN:
        return <Found>answer
    split_if_wanted(m)
    found = lock_and_find(key, &at)
    unlock_and_reclaim(&at)
    return found


cdef Found map_get_object(MapCore m, PyObject* key, PyObject** value) except FAILED:
    """map_get() with the value as an object: a new reference."""
    cdef Found found = map_get(m, key, value)
    if found == PRESENT:
        value[0] = boxed(value[0])
    return found


# Reading one key without its shard's mutex, and what writers owe to those who do.
#
# Why it is right. A reader looks a key up in the block that the shard publishes, as find_locked() does, and
# believes what it saw only if that block is still published when it has seen it. Blocks are not freed, so not
# used again, while it looks; so the block was the shard's own all that time.
#
# - Absent: the slot at which probing ended was empty when it was read, so the key was in none further on.
#   Had it been in one entry all the time, that entry's slot would have been met: entries do not move in a block.
#   So at some moment since the look-up began there was no entry.
#   Nor had an insertion of the key begun before: it might have its stamp already, and come in front of what is
#   inserted after this look-up. It would go into this very slot, which is empty yet while nothing is being
#   inserted (was_absent); or into a tombstone before it. If that was a tombstone when it was
#   passed, the look-up is made again, with the version of the shard the same before and after; if it was in
#   use when it was passed, then its entry was removed, and the insertion began, after that.
# - Present: the entry holds the key (it is used once, so it never holds another), and held this value when it
#   was read the second time. In between the reader took a reference to it; so the value is alive, and is the
#   one that the entry held at the second reading, whatever went on before.
# - While one operation changes several shards (`whole_map_seq` is odd) readers wait for it at the mutexes, else they
#   could see one shard before and then another after it.
#
# All that is loaded here is loaded by acquire loads, so in the order in which it stands; and what a writer stores, it
# stores by release stores, in the order in which that stands. (docs/memory-safety.md, "Order of memory accesses")
#
# Why nothing freed is read. (core/readers.h says how it is told that nobody is looking any more.)
#
# - Blocks: freed by free_replaced_block() and in Table.__dealloc__, after wait_for_grace_period() if readers may see
#   them; a map that dies has no readers. A table that other maps or snapshots share is released likewise, by
#   copy_shared_table_locked() and map_clear(): so nobody reads a table through a map that does not hold it any more,
#   and a holder that is alone with a table need only know who uses its own map.
# - While reading, keys are compared only if the slot says that they are plain, which is known without touching the key.
#   A plain key that leaves a map has a reference in its shard's limbo until nobody is looking any more. Keys of other
#   types are released at once, as by dict: who compares with one has a reference (core/compare_unlocked.pyx).
# - Values: the reference is taken by sm_try_incref(), which fails for an object that is on its way out.
#
# A map that one thread only has used so far has no readers but that thread. So nothing is put into limbo then
# and nothing waits: who takes something out looks at the flag once more after a full barrier, and a thread that
# sets it has one before its first read; so either the one sees the flag or the other sees the new state.

cdef inline Read read_unlocked(MapCore m, Access* at, PyObject* key, PyObject** value) noexcept:
    """Looks for the key that is located at. `value`: NULL, or where to put a reference to the value as it stands."""
    cdef sm_reader* me
    cdef Block* block
    cdef Read answer = LOOK_AGAIN
    cdef PyObject* found = NULL
    cdef uint32_t entry = 0
    if not sm_reads_unlocked:
        return LOOK_AGAIN
    me = sm_read_lock()
    if me == NULL:
        return LOOK_AGAIN
    if not sm_load_u64(&m.whole_map_seq) & 1:
        block = <Block*>sm_load_ptr(<void**>at.published)
        answer = read_block(at.shard, block, at.hash31, key, value != NULL, &found, &entry)
        if answer == NEEDS_COMPARISON:
            note_candidate(at, block, entry)
        elif sm_load_ptr(<void**>at.published) != block:
            answer = LOOK_AGAIN
    sm_read_unlock(me)
    if answer == LOOK_AGAIN:
        value_decref_if(found)        # may be the last reference by now, and run any code
    elif found != NULL:
        value[0] = found
    return answer


cdef inline Read read_block(Shard* shard, Block* block, uint32_t hash31, PyObject* key, bint take,
                            PyObject** value, uint32_t* where) noexcept:
    """The answer is to be believed if the block is still the shard's afterwards. `take`: puts a reference to the value
    into `value`, which is NULL before; perhaps also where the answer is LOOK_AGAIN. `where`: the entry that was found,
    or that needs a comparison. While reading."""
    cdef PyObject* found = NULL
    cdef uint32_t entry = 0
    cdef Read answer = look_up(block, hash31, key, &entry, &found)
    if answer == ABSENT_BEYOND_TOMBSTONE:
        answer = look_up_beyond(shard, block, hash31, key, &entry, &found)
    elif answer == FOUND_ABSENT and not was_absent(shard, block, entry):
        answer = LOOK_AGAIN
    if answer == FOUND_PRESENT and take and not reference_value(block, entry, found, value):
        answer = LOOK_AGAIN
    where[0] = entry
    return answer


cdef inline bint reference_value(Block* block, uint32_t entry, PyObject* found, PyObject** value) noexcept:
    """Whether the value that was found is still the entry's, with a reference to it; perhaps there is one to give back
    even if not. While reading."""
    if is_number(found):
        value[0] = found
        return True
    if not sm_try_incref(found):
        return False
    value[0] = found
    sm_sched_point()
    return sm_load_ptr(<void**>&block.entries[entry].value) == found


cdef inline void note_candidate(Access* at, Block* block, uint32_t entry) noexcept:
    """For compare_unlocked(), in the block that the shard published. While reading."""
    at.candidate.stored = NULL
    at.candidate.entry = entry
    if note_layout_version(at, block):
        reference_key(at)


cdef inline bint note_layout_version(Access* at, Block* block) noexcept:
    """Of the block, which was loaded before. A block is published before the version grows, and is not freed while it
    is being read: so if it still is published, this version is its own, or the one before, which no check will find
    again."""
    at.candidate.block = block
    sm_sched_point()
    at.candidate.layout_version = sm_load_u64(&at.shard.layout_version)
    sm_sched_point()
    return sm_load_ptr(<void**>at.published) == block


cdef inline void reference_key(Access* at) noexcept:
    """To compare with. While reading: what is not to be compared is let go afterwards. A block that was replaced still
    has all keys, those that have gone since among them; so it must be the shard's after the key was seen in it
    again."""
    cdef Candidate* candidate = &at.candidate
    cdef PyObject** slot = &candidate.block.entries[candidate.entry].key
    cdef PyObject* stored = <PyObject*>sm_load_ptr(<void**>slot)
    candidate.stored = NULL
    if stored != NULL and sm_try_incref(stored):
        sm_sched_point()
        candidate.stored = stored
        candidate.is_key = sm_load_ptr(<void**>slot) == stored and sm_load_ptr(<void**>at.published) == candidate.block


cdef inline Read look_up(Block* block, uint32_t hash31, PyObject* key, uint32_t* at, PyObject** found) noexcept:
    """The entry that holds the key, and the value in it, which is not the caller's; or the empty slot where
    probing ended, for was_absent(); or that it takes look_up_beyond(), or Python code. While reading."""
    cdef ProbeSequence sequence
    cdef Read answer
    cdef bint beyond = False
    probe_start(&sequence, block, hash31)
    sm_sched_point()
    while True:
        answer = look_along(&sequence, block, hash31, key, at, &beyond)
        if answer == FOUND_ABSENT:
            return ABSENT_BEYOND_TOMBSTONE if beyond else FOUND_ABSENT
        if answer == NEEDS_COMPARISON:
            return NEEDS_COMPARISON
        found[0] = <PyObject*>sm_load_ptr(<void**>&block.entries[at[0]].value)
        sm_sched_point()
        if found[0] != NULL:
            return FOUND_PRESENT
        probe_next(&sequence)       # it has just gone


cdef inline Read look_along(ProbeSequence* sequence, Block* block, uint32_t hash31, PyObject* key, uint32_t* at,
                            bint* beyond) noexcept:
    """Goes on from where the sequence stands: FOUND_PRESENT or NEEDS_COMPARISON with an entry that has a key;
    FOUND_ABSENT with the empty slot. `beyond`: set where a tombstone was passed. While reading."""
    cdef uint32_t content, entry
    cdef PyObject* stored
    cdef int answer
    while True:
        content = sm_load_u32(&block.index[sequence.slot])
        sm_sched_point()
        if content == EMPTY:
            at[0] = sequence.slot
            return FOUND_ABSENT
        if content == TOMBSTONE:
            beyond[0] = True
        elif may_be(content, hash31, block.mask):
            entry = (content & block.mask) - FIRST_ENTRY
            stored = <PyObject*>sm_load_ptr(<void**>&block.entries[entry].key)
            sm_sched_point()
            at[0] = entry
            if stored == key:
                return FOUND_PRESENT
            if stored != NULL:
                answer = -1
                if is_plain_slot(content):
                    sm_require_unfreed_key(stored)
                    answer = sm_compare(stored, key)
                if answer > 0:
                    return FOUND_PRESENT
                if answer < 0 and hash31_of_entry(block, entry) == hash31:
                    return NEEDS_COMPARISON
        probe_next(sequence)


cdef inline bint was_absent(Shard* shard, Block* block, uint32_t slot) noexcept:
    """Whether the slot where probing ended was empty while nothing was being inserted into the shard. An entry gets
    its stamp after the version has become odd (announce_insertion_locked) and before the slot that shows it."""
    if not SM_READERS_MEET_WRITERS:
        return not shard.is_moved
    return (sm_load_u64(&shard.size_word) >> 32 & 1) == 0 and sm_load_u32(&block.index[slot]) == EMPTY


cdef Read look_up_beyond(Shard* shard, Block* block, uint32_t hash31, PyObject* key, uint32_t* at,
                         PyObject** found) noexcept:
    """look_up() once more, in a shard into which nothing is inserted and from which nothing is removed meanwhile."""
    cdef uint64_t version = sm_load_u64(&shard.size_word) >> 32
    cdef Read answer
    if SM_READERS_MEET_WRITERS and version & 1:
        return LOOK_AGAIN
    answer = look_up(block, hash31, key, at, found)
    if answer == FOUND_ABSENT or answer == ABSENT_BEYOND_TOMBSTONE:
        return FOUND_ABSENT if sm_load_u64(&shard.size_word) >> 32 == version else LOOK_AGAIN
    return answer


# --- Writers ---
