# The operations on one key. Each is linearizable: it takes effect at one point while it holds the mutex.
#
# Old keys and values are collected under the mutex and released after it.

# One loop for all: find the key; wait if another thread holds the key's lock; get the shard a table of its
# own; each of these may release the mutex, and then it starts over. What is left is done in one go.

cdef inline WriteRequest request_to_write(PyObject* value) noexcept:
    cdef WriteRequest request
    request.value = value
    request.when = ALWAYS
    request.expected = NULL
    request.old = NULL
    request.grant = 0
    request.found.is_valid = False
    request.whole_map_seq = NULL
    return request


cdef Found map_write(MapCore m, PyObject* key, WriteRequest* request) except FAILED:
    """Writes as the request says. The answer tells whether there was an entry; for IF_SAME, whether it was done."""
    cdef Access at
    mark_shared(m)
    locate(m, key, &at)
    return write_located(&at, key, request)


cdef Found map_exchange(MapCore m, PyObject* key, PyObject* value, Write when, PyObject** old) except FAILED:
    cdef WriteRequest request = request_to_write(value)
    request.when = when
    request.old = old
    return map_write(m, key, &request)


cdef Found map_remove(MapCore m, PyObject* key, PyObject** old) except FAILED:
    return map_exchange(m, key, NULL, ALWAYS, old)


cdef inline Found write_located(Access* at, PyObject* key, WriteRequest* request) except FAILED:
    """The same with the key located at."""
    cdef PyObject* owner
    if not request.found.is_valid:      # else the key would have to be found, and compared, once more
        owner = at.shard.owner      # by a name: of any other expression Cython counts a reference
        split_if_wanted(<MapCore>owner)
    lock_located(at)
    return write_and_unlock(at, key, request)


cdef Found write_and_unlock(Access* at, PyObject* key, WriteRequest* request) except FAILED:
    """The same with the mutex held; releases it."""
    require_locked(at.shard)
    cdef KeyLockCheck check
    cdef Write when = request.when
    cdef PyObject* value = request.value
    cdef PyObject** old = request.old
    cdef Found found
    cdef PyObject* box = NULL
    cdef PyObject* old_key = NULL
    cdef PyObject* old_value
    cdef PyObject* equal = NULL
    cdef Block* old_block
    cdef bint wanted
    start_check(&check, request.grant)
    try:
        while True:
            found = find_again_locked(key, at, &request.found)
            if at.shard.key_locks != NULL and check_key_lock_locked(at, key, &check) == START_AGAIN:
                continue
            if request.whole_map_seq != NULL and request.whole_map_seq[0] != request.seq_at_read:
                unlock_and_reclaim(at)
                return ABSENT
            wanted = True
            old_value = NULL
            if found == PRESENT:
                old_value = at.found.block.entries[at.found.entry].value
                if when == IF_ABSENT:
                    if old != NULL:
                        old[0] = old_value
                        value_incref(old_value)
                    wanted = False
                elif when == IF_SAME:
                    wanted = old_value == request.expected
                    if not wanted:
                        found = ABSENT
                elif old_value == value and old == NULL:
                    wanted = False      # nothing to write: the entry's cache line stays with its readers
            elif when == IF_PRESENT or value == NULL and when == ALWAYS:
                wanted = False
            elif when == IF_SAME:
                wanted = request.expected == NULL and value != NULL
                if request.expected == NULL:
                    found = PRESENT
            if not wanted:
                unlock_and_reclaim(at)
                if when == IF_ABSENT and old != NULL and found == PRESENT:
                    old[0] = boxed(old_value)
                return found
            if is_shared(at.shard.table) and not may_change_in_place_locked(at, old_value != NULL):
                copy_where_found_locked(at, old_value != NULL, &equal)
                continue
            if old_value == NULL:
                if not insert_and_unlock(at, key, value):
                    raise_memory_error()
                return found
            if old != NULL and not box_old_value_locked(at, old_value, &box):
                continue
            if value == NULL:
                old_block = delete_locked(at, &old_key, &old_value)
                unlock_and_reclaim(at)
                free_replaced_block(old_block)
                decref(old_key)
            else:
                value_incref(value)
                put_value(at.found.block, at.found.entry, value)
                unlock_and_reclaim(at)
            if old == NULL:
                value_decref(old_value)
            elif is_number(old_value):
                old[0] = box
                box = NULL
            else:
                old[0] = old_value
            return found
    finally:
        value_decref_if(equal)
        value_decref_if(box)
        end_check(at.shard, &check)
