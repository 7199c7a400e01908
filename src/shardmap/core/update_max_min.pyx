# update_max() and update_min().

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
                value_decref(old)
        elif map_replace_same(self, <PyObject*>key, NULL, <PyObject*>value, &found) == PRESENT:
            return value
