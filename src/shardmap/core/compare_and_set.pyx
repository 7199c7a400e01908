# compare_and_set() and compare_and_delete(): comparisons run without any lock on the value seen.

cdef Found map_replace_same(MapCore self, PyObject* key, PyObject* expected, PyObject* new,
                            FoundEntry* found) except FAILED:
    """Writes if the entry still holds `expected` itself (NULL: if there is none). PRESENT if it was done."""
    cdef WriteRequest request = request_to_write(new)
    request.when = IF_SAME
    request.expected = expected
    request.found = found[0]
    return map_write(self, key, &request)


cdef Found map_look_at(MapCore self, PyObject* key, PyObject** value, FoundEntry* found) except FAILED:
    cdef Access at
    locate(self, key, &at)
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
            value_decref(old)


cdef bint is_expected(stored, expected) except -1:
    """The same object, or equal. What a comparison raises is the caller's; but where it answers and the answer is
    neither true nor false (arrays of several elements), they are not equal."""
    if stored is expected:
        return True
    answer = stored == expected
    try:
        return bool(answer)
    except Exception:
        return False
