# retain().

cdef Py_ssize_t map_retain(MapCore self, predicate) except -1:
    """Calls the predicate for the entries at one point in time, then for values that were being computed."""
    cdef Py_ssize_t removed = 0
    cdef Access at
    cdef KeyLock* held
    computed = keys_being_computed(self)
    for key in iterate_map(self, KEYS, False):
        removed += retain_one(self, key, predicate)
    for key in computed:
        locate(self, <PyObject*>key, &at)
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
            value_decref(value)


cdef list keys_being_computed(MapCore self):
    """The keys whose values other contexts are computing."""
    cdef list keys = []
    cdef Caller caller
    cdef PyObject* found[16]
    cdef uint64_t serial
    cdef uint32_t i, count, each
    cdef Layout* layout = NULL
    start_caller(&caller)
    try:
        while layout != layout_of(self):        # all over again if the map was split meanwhile
            layout = layout_of(self)
            for i in range(layout.shard_count):
                serial = 0
                while has_key_locks(shard_in(layout, i)):
                    know_caller(&caller)
                    count = next_computed(shard_in(layout, i), &caller, &serial, found, 16)
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
            if (each.serial > serial[0] and each.is_compute and (least == NULL or each.serial < least.serial)
                    and relation(&each.owner, &caller.context) != SAME_CONTEXT):
                least = each
            each = each.next
        if least == NULL:
            break
        serial[0] = least.serial
        found[count] = new_reference(least.key)
        count += 1
    unlock(shard)
    return count
