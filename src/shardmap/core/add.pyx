# add(): adding to a number under the mutex, or where that takes Python code, outside of it.

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
            value_decref_if(old)


cdef bint map_add(MapCore m, PyObject* key, PyObject* delta, PyObject* default, PyObject** total) except -1:
    """Adds where no Python code is needed: exact ints of 63 bits and exact floats. False, and nothing done, where it
    is. `total`: a reference to the sum."""
    cdef Access at
    mark_shared(m)
    locate(m, key, &at)
    return add_located(&at, key, delta, default, total)


cdef bint add_located(Access* at, PyObject* key, PyObject* delta, PyObject* default, PyObject** total) except -1:
    """The same with the key located at."""
    cdef PyObject* owner = at.shard.owner       # by a name: of any other expression Cython counts a reference
    cdef KeyLockCheck check
    cdef FoundEntry where
    cdef Found found
    cdef int64_t number = 0, more = 0
    cdef bint whole = as_number(delta, &more), floating = is_exact_float(delta)
    cdef PyObject* old = NULL
    cdef PyObject* new = NULL
    cdef PyObject* equal = NULL
    cdef PyObject* fresh = NULL         # a float that nobody else knows yet: made before, filled in under the mutex
    cdef double sum
    if not whole and not floating:
        return False
    start_check(&check, 0)
    where.is_valid = False
    split_if_wanted(<MapCore>owner)
    lock_located(at)
    try:
        while True:
            found = find_again_locked(key, at, &where)
            if at.shard.key_locks != NULL and check_key_lock_locked(at, key, &check) == START_AGAIN:
                continue
            old = at.found.block.entries[at.found.entry].value if found == PRESENT else default
            new = NULL
            if as_number(old, &number) and whole:
                if fits(number + more):
                    new = raw_of(number + more)
            elif not is_number(old) and is_exact_float(old) or floating and as_number(old, &number):
                if fresh == NULL:
                    unlock_and_reclaim(at)
                    fresh = new_float(0.0)
                    lock_located(at)
                    continue
                sum = <double>number if is_number(old) or not is_exact_float(old) else float_value(old)
                sum += float_value(delta) if floating else <double>more
                set_float(fresh, sum)
                new = fresh
            if new == NULL:
                unlock_and_reclaim(at)
                return False
            if is_shared(at.shard.table) and not may_change_in_place_locked(at, found == PRESENT):
                copy_where_found_locked(at, found == PRESENT, &equal)
                continue
            if found == PRESENT:
                value_incref(new)
                put_value(at.found.block, at.found.entry, new)
                unlock_and_reclaim(at)
                value_decref(old)
            elif not insert_and_unlock(at, key, new):
                raise_memory_error()
            break
        value_incref(new)
        total[0] = boxed(new)
        return True
    finally:
        value_decref_if(equal)
        value_decref_if(fresh)
        end_check(at.shard, &check)
