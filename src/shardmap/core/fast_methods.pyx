# The hottest methods with CPython's own calling convention (METH_FASTCALL). Cython's wrapper counts a reference of
# every argument, and a key that many threads look up is a line that they all would write.
#
# MapCore's `def`s of these names are what help() and stubs see; their place in the type is taken at import. ShardMap
# and its subclasses get descriptors of their own (_own_methods), because CPython specializes a call only where the
# descriptor is the very type's (CALL_METHOD_DESCRIPTOR_FAST), not a base's.

cdef PyMethodDef fast_methods[4]


def _own_methods(cls, /):
    """Gives a class right above an extension type all methods of that type as its own, but for those that it defines;
    a class further above MapCore the hottest ones; other classes nothing."""
    cdef int i
    if not isinstance(cls, type):       # not declared so: see blank_map()
        raise TypeError(f"expected a class, not {cls!r}")
    if cls.__base__ in (MapCore, SnapshotCore, ReaderCore, SetCore, SetSnapshotCore, CacheCore):
        sm_own_methods(<PyObject*>cls)
    elif issubclass(cls, MapCore):
        for i in range(sizeof(fast_methods) // sizeof(fast_methods[0])):
            sm_own_method(<PyObject*>cls, &fast_methods[i])


cdef int check_count(const char* name, Py_ssize_t given, Py_ssize_t most) except -1:
    if given < 1:
        raise TypeError(f"{name.decode()} expected at least 1 argument, got {given}")
    if given > most:
        raise TypeError(f"{name.decode()} expected at most {most} arguments, got {given}")
    return 0


cdef PyObject* call_get(PyObject* self, PyObject** arguments, Py_ssize_t count) except NULL:
    cdef PyObject* value = NULL
    if count != 1 and count != 2:
        check_count(b"get", count, 2)
    if map_get(<MapCore>self, arguments[0], &value) == PRESENT:
        return boxed(value)
    return new_reference(arguments[1] if count == 2 else <PyObject*>None)


cdef PyObject* call_setdefault(PyObject* self, PyObject** arguments, Py_ssize_t count) except NULL:
    cdef PyObject* value = NULL
    cdef PyObject* default = <PyObject*>None
    if count != 1 and count != 2:
        check_count(b"setdefault", count, 2)
    if count == 2:
        default = arguments[1]
    if default == <PyObject*>no_value:
        refuse_missing()
    if map_exchange(<MapCore>self, arguments[0], default, IF_ABSENT, &value) == PRESENT:
        return value
    return new_reference(default)


cdef PyObject* call_pop(PyObject* self, PyObject** arguments, Py_ssize_t count) except NULL:
    cdef PyObject* value = NULL
    if count != 1 and count != 2:
        check_count(b"pop", count, 2)
    try:
        if map_remove(<MapCore>self, arguments[0], &value) == PRESENT:
            return value
    except Exception:
        if not is_empty_for(<MapCore>self, arguments[0]):
            raise
    if count == 1:
        raise KeyError(<object>arguments[0])
    return new_reference(arguments[1])


cdef bint is_empty_for(MapCore self, PyObject* key) except -1:
    """Whether pop() failed for nothing but the key's hash, which dict does not ask for when it is empty."""
    if map_len(self) != 0:
        return False
    try:
        hash_object(key)
    except Exception:
        return True
    return False


cdef PyObject* call_add(PyObject* self, PyObject** arguments, Py_ssize_t count) except NULL:
    cdef PyObject* total = NULL
    cdef PyObject* delta = <PyObject*>ONE
    cdef PyObject* default = <PyObject*>ZERO
    if not 1 <= count <= 3:
        check_count(b"add", count, 3)
    if count > 1:
        delta = arguments[1]
    if count > 2:
        default = arguments[2]
    if map_add(<MapCore>self, arguments[0], delta, default, &total):
        return total
    return add_objects(<MapCore>self, arguments[0], delta, default)


sm_take_place(<PyTypeObject*>MapCore, &fast_methods[0], b"get", <void*>call_get)
sm_take_place(<PyTypeObject*>MapCore, &fast_methods[1], b"setdefault", <void*>call_setdefault)
sm_take_place(<PyTypeObject*>MapCore, &fast_methods[2], b"pop", <void*>call_pop)
sm_take_place(<PyTypeObject*>MapCore, &fast_methods[3], b"add", <void*>call_add)
