# Reading a key that only Python code can compare with a stored one: without the mutex, too, and with one comparison.
#
# A reader that meets such a stored key takes a reference to it while it is reading (sm_try_incref(); the key may be on
# its way out, and another object be in its place: so it looks whether the entry still has it, and the shard the block),
# ends reading, and compares: any code may run. Then it begins to read again. If the shard still publishes the same
# block, with the same layout version, every entry is still itself or gone: an entry number is used once in a layout
# version. So the entry that was compared is the one, if its key is there; or the look-up goes on behind it.
#
# Why it is right. It is one look-up as in core/read_key.pyx that takes longer. Between two steps of that one, any time
# may pass; what the argument there needs is that the block was the shard's all the time, and that is checked at the
# end. The block may have been freed while nobody was reading, and another one be in its place: its layout version is
# larger (note_layout_version).
#
# - Absent: as there. But where tombstones were passed the look-up is not made again; and where something was compared,
# a
#   slot that was passed may have been used again meanwhile, by the comparison itself: dict starts over then. So nothing
#   may have been inserted or removed since the look-up began, which the shard's version tells.
# - Present: the value is read after the last comparison, as there.

cdef Read compare_unlocked(MapCore m, Access* at, PyObject* key, PyObject** value, FoundEntry* where) except NOT_READ:
    """Goes on where a read said NEEDS_COMPARISON, with what it left in at.candidate: FOUND_PRESENT, FOUND_ABSENT or
    LOOK_AGAIN. `value`: NULL, or where to put a reference to the value as it stands. `where`: NULL, or where to note
    the entry. May run any code. Not while reading."""
    cdef Candidate* candidate = &at.candidate
    cdef Candidate different
    cdef sm_reader* me
    cdef PyObject* found = NULL
    cdef Read answer = LOOK_AGAIN
    cdef Comparison outcome = compare_candidate(candidate, key)
    if outcome == START_OVER:
        return LOOK_AGAIN
    if outcome == DIFFERENT:
        different = at.candidate
        return compare_along(m, at, key, value, where, &different)
    me = sm_read_lock()
    if me == NULL:
        return LOOK_AGAIN
    if is_unmoved(at, candidate) and not sm_load_u64(&m.whole_map_seq) & 1:
        answer = take_value(candidate.block, candidate.entry, value != NULL, &found)
        if not is_unmoved(at, candidate):
            answer = LOOK_AGAIN
    sm_read_unlock(me)
    return told(answer, found, candidate, value, where)


cdef inline Comparison compare_candidate(Candidate* candidate, PyObject* key) except RAISED:
    """START_OVER: it cannot be compared with. Lets it go; may run any code."""
    cdef bint equal
    if candidate.stored == NULL:
        return START_OVER
    try:
        if not candidate.is_key:
            return START_OVER
        equal = equal_objects(candidate.stored, key)
    finally:
        decref(candidate.stored)
    return EQUAL if equal else DIFFERENT


cdef inline bint is_unmoved(Access* at, Candidate* candidate) noexcept:
    """Whether an entry's number means what it did. While reading."""
    return (sm_load_ptr(<void**>at.published) == candidate.block
            and sm_load_u64(&at.shard.layout_version) == candidate.layout_version)


cdef inline Read told(Read answer, PyObject* found, Candidate* there, PyObject** value, FoundEntry* where) noexcept:
    """Hands the value over, or lets it go; notes the entry. May run any code."""
    if answer == FOUND_PRESENT and value != NULL:
        value[0] = found
    else:
        value_decref_if(found)
    if where != NULL and answer == FOUND_PRESENT:
        where.is_valid = True
        where.layout_version = there.layout_version
        where.entry = there.entry
    return answer


cdef Read compare_along(MapCore m, Access* at, PyObject* key, PyObject** value, FoundEntry* where,
                        Candidate* different) except NOT_READ:
    """The whole look-up, from the beginning; `different`: NULL, or a stored key that is not to be compared again."""
    cdef ProbeSequence sequence
    cdef sm_reader* me = sm_read_lock()
    cdef Candidate* there = &at.candidate
    cdef PyObject* found = NULL
    cdef uint64_t version
    cdef bint beyond = False, compared = different != NULL
    cdef Comparison outcome
    cdef Read answer = LOOK_AGAIN
    if me == NULL:
        return LOOK_AGAIN
    version = sm_load_u64(&at.shard.size_word) >> 32
    there.entry = 0
    if not note_layout_version(at, <Block*>sm_load_ptr(<void**>at.published)):
        sm_read_unlock(me)
        return LOOK_AGAIN
    probe_start(&sequence, there.block, at.hash31)
    while True:
        answer = LOOK_AGAIN
        if not sm_load_u64(&m.whole_map_seq) & 1:
            answer = look_along(&sequence, there.block, at.hash31, key, &there.entry, &beyond)
        if answer != NEEDS_COMPARISON:
            break
        if (different != NULL and there.entry == different.entry and there.block == different.block
                and there.layout_version == different.layout_version):
            probe_next(&sequence)
            continue
        reference_key(at)
        sm_read_unlock(me)
        outcome = compare_candidate(there, key)
        if outcome == START_OVER:
            return LOOK_AGAIN
        me = sm_read_lock()
        if me == NULL:
            return LOOK_AGAIN
        answer = LOOK_AGAIN
        if not is_unmoved(at, there) or sm_load_u64(&m.whole_map_seq) & 1:
            break
        if outcome == EQUAL:
            answer = FOUND_PRESENT
            break
        compared = True
        probe_next(&sequence)
    if answer == FOUND_PRESENT:
        answer = take_value(there.block, there.entry, value != NULL, &found)
    elif answer == FOUND_ABSENT:
        if not (was_unchanged(at.shard, version) if beyond or compared
                else was_absent(at.shard, there.block, there.entry)):
            answer = LOOK_AGAIN
    if not is_unmoved(at, there):
        answer = LOOK_AGAIN
    sm_read_unlock(me)
    return told(answer, found, there, value, where)


cdef inline Read take_value(Block* block, uint32_t entry, bint take, PyObject** value) noexcept:
    """FOUND_PRESENT if the entry has a value, with a reference to it if that is asked for; or LOOK_AGAIN, perhaps with
    a reference to give back. While reading."""
    cdef PyObject* found = <PyObject*>sm_load_ptr(<void**>&block.entries[entry].value)
    if found == NULL:
        return LOOK_AGAIN
    return LOOK_AGAIN if take and not reference_value(block, entry, found, value) else FOUND_PRESENT


cdef inline bint was_unchanged(Shard* shard, uint64_t version) noexcept:
    """Whether nothing has been inserted or removed since the version was read, nor is the shard an old layout's."""
    if not SM_READERS_MEET_WRITERS:
        return not shard.is_moved and shard.size_word >> 32 == version
    return version & 1 == 0 and sm_load_u64(&shard.size_word) >> 32 == version
