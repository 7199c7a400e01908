# Compound operations: what would be several steps of a dict, as one.
#
# Two ways. Functions run under the key's lock (keylock.pxi): exactly once, while others that write the key wait.
# Comparisons and `+` run without any lock on the value seen, and the new value goes in only if the entry still holds
# that very value; else again. Either way the key itself is compared once: where it was found is remembered.
#
# clear() does not wait for functions. If it comes between the moment when the value was read and the one when the
# result would be stored, the result is given to the caller and not stored: it is as if it had been stored just
# before clear() removed it. (To run the function again could go on for ever.) `sweep` tells, since every clear()
# changes it while it holds all mutexes.

cdef struct Computation:
    Position at
    KeyLock* held
    uint64_t grant
    uint64_t* sweep
    uint64_t same_sweep     # when the value was read
    FoundEntry found


cdef Found start_computing(MapCore self, PyObject* key, Computation* work, PyObject** value) except FAILED:
    """Takes the key's lock and reads the value."""
    sm_note_use(<PyObject*>self, &self.seen)
    aim(self, key, &work.at)
    work.held = take_key_lock(&work.at, key, key, NO_DEADLINE, True)
    work.grant = work.held.grant
    try:
        return read_to_compute(self, key, work, value)
    except:
        end_computing(work)
        raise


cdef Found read_to_compute(MapCore self, PyObject* key, Computation* work, PyObject** value) except FAILED:
    cdef Found found
    work.sweep = &self.sweep
    while True:
        work.same_sweep = sm_load_u64(work.sweep)
        found = map_get_found(self, &work.at, key, value, &work.found)
        if not work.same_sweep & 1 and sm_load_u64(work.sweep) == work.same_sweep:
            break
        if found == PRESENT:        # a clear() came between. What is under way has the mutexes: reading waited for it
            let_go(value[0])
            value[0] = NULL
    if found == PRESENT:
        value[0] = boxed(value[0])
    return found


cdef int write_computed(Computation* work, key, result) except -1:
    """Stores what a function returned under the key's lock; unless a clear() came between: then it is as if it had been
    stored before that."""
    cdef WriteRequest request = request_to_write(NULL if result is no_value else <PyObject*>result)
    request.grant = work.grant
    request.found = work.found
    request.sweep = work.sweep
    request.same_sweep = work.same_sweep
    write_aimed(&work.at, <PyObject*>key, &request)
    return 0


cdef void end_computing(Computation* work) noexcept:
    """May run any code."""
    release_key_lock(work.at.shard, work.held)


cdef Found map_replace_same(MapCore self, PyObject* key, PyObject* expected, PyObject* new,
                            FoundEntry* found) except FAILED:
    """Writes if the entry still holds `expected` itself (NULL: if there is none). PRESENT if it was done."""
    cdef WriteRequest request = request_to_write(new)
    request.when = IF_SAME
    request.expected = expected
    request.found = found[0]
    return map_write(self, key, &request)


cdef Found map_look_at(MapCore self, PyObject* key, PyObject** value, FoundEntry* found) except FAILED:
    cdef Position at
    aim(self, key, &at)
    return map_get_found(self, &at, key, value, found)


cdef object compare_and_write(MapCore self, key, expected, PyObject* new):
    cdef PyObject* old
    cdef FoundEntry found
    if expected is no_value:
        if new == NULL:
            return map_contains(self, <PyObject*>key) == ABSENT
        found.is_valid = False
        return map_replace_same(self, <PyObject*>key, NULL, new, &found) == PRESENT
    while True:
        old = NULL
        if map_look_at(self, <PyObject*>key, &old, &found) == ABSENT:
            return False
        try:
            if not is_expected(boxed_copy(old), expected):
                return False
            if map_replace_same(self, <PyObject*>key, old, new, &found) == PRESENT:
                return True
        finally:
            let_go(old)


cdef bint is_expected(stored, expected) except -1:
    """The same object, or equal. What a comparison raises is the caller's; but where it answers and the answer is neither
    true nor false (arrays of several elements), they are not equal."""
    if stored is expected:
        return True
    answer = stored == expected
    try:
        return bool(answer)
    except Exception:
        return False


cdef PyObject* add_objects(MapCore self, PyObject* key, PyObject* delta, PyObject* default) except NULL:
    """add() where the sum takes Python code."""
    cdef PyObject* old
    cdef FoundEntry found
    cdef Found there
    while True:
        old = NULL
        there = map_look_at(self, key, &old, &found)
        try:
            result = (<object>default if there == ABSENT else boxed_copy(old)) + <object>delta
            if map_replace_same(self, key, old, storable(<PyObject*>result), &found) == PRESENT:
                return new_reference(<PyObject*>result)
        finally:
            let_go_if(old)


cdef object extreme(MapCore self, key, value, bint least):
    cdef PyObject* old
    cdef FoundEntry found
    storable(<PyObject*>value)
    while True:
        old = NULL
        if map_look_at(self, <PyObject*>key, &old, &found) == PRESENT:
            try:
                stored = boxed_copy(old)
                if not (value < stored if least else stored < value):
                    return stored
                if map_replace_same(self, <PyObject*>key, old, <PyObject*>value, &found) == PRESENT:
                    return value
            finally:
                let_go(old)
        elif map_replace_same(self, <PyObject*>key, NULL, <PyObject*>value, &found) == PRESENT:
            return value


# --- retain ---

cdef Py_ssize_t map_retain(MapCore self, predicate) except -1:
    """Asks about the entries of one point in time, then about what was being computed before it."""
    cdef Py_ssize_t removed = 0
    cdef Position at
    cdef KeyLock* held
    computed = keys_being_computed(self)
    for key in new_iterator(snapshot_of(self), KEYS, False):
        removed += retain_one(self, key, predicate)
    for key in computed:
        aim(self, <PyObject*>key, &at)
        held = take_key_lock(&at, <PyObject*>key, <PyObject*>key, NO_DEADLINE, False)
        release_key_lock(at.shard, held)
        removed += retain_one(self, key, predicate)
    return removed


cdef bint retain_one(MapCore self, key, predicate) except -1:
    """Whether the entry was removed."""
    cdef PyObject* value
    cdef FoundEntry found
    while True:
        value = NULL
        if map_look_at(self, <PyObject*>key, &value, &found) == ABSENT:
            return False
        try:
            if predicate(key, boxed_copy(value)):
                return False
            if map_replace_same(self, <PyObject*>key, value, NULL, &found) == PRESENT:
                return True
        finally:
            let_go(value)


cdef list keys_being_computed(MapCore self):
    """The keys whose values other contexts compute just now."""
    cdef list keys = []
    cdef Caller caller
    cdef PyObject* found[16]
    cdef uint64_t serial
    cdef uint32_t i, count, each
    start_caller(&caller)
    try:
        for i in range(self.shard_count):
            serial = 0
            while has_key_locks(shard_at(self, i)):
                know_caller(&caller)
                count = next_computed(shard_at(self, i), &caller, &serial, found, 16)
                if count == 0:
                    break
                for each in range(count):
                    keys.append(steal(found[each]))
        return keys
    finally:
        context_clear(&caller.context)


cdef bint has_key_locks(Shard* shard) noexcept:
    cdef bint has
    lock(shard)
    has = shard.key_locks != NULL
    unlock(shard)
    return has


cdef uint32_t next_computed(Shard* shard, Caller* caller, uint64_t* serial, PyObject** found, uint32_t room) noexcept:
    """References to keys that others compute, of the locks with the next serials after `serial`."""
    cdef KeyLock* each
    cdef KeyLock* least
    cdef uint32_t count = 0
    lock(shard)
    while count < room:
        least = NULL
        each = shard.key_locks
        while each != NULL:
            if (each.serial > serial[0] and each.computing and (least == NULL or each.serial < least.serial)
                    and relation(&each.owner, caller) != SAME_CONTEXT):
                least = each
            each = each.next
        if least == NULL:
            break
        serial[0] = least.serial
        found[count] = new_reference(least.key)
        count += 1
    unlock(shard)
    return count
