# ShardSet's extension type. A set is a map whose keys are the elements; each value is None, of which no reference is
# counted that threads would meet at. The map is not given to anybody: so nobody finds values, or locks keys.
#
# What needs a point in time of the whole set (iteration, algebra, comparisons) takes a snapshot of the map, which is
# O(shards), and works on that (src/shardmap/_set.py).

@cython.no_gc_clear     # every cycle through a set goes through a table, and is broken there
cdef class SetCore:
    """ShardSet(iterable=(), /)\n--\n\n"""

    __class_getitem__ = classmethod(GenericAlias)

    def __cinit__(self, *args, **kwargs):
        self.entries = MapCore.__new__(MapCore)

    def __init__(self, iterable=(), /):
        if map_len(self.entries) != 0:      # as by set.__init__
            map_clear(self.entries)
        add_all(self, iterable)

    def __len__(self):
        """Returns the number of elements at one point in time. O(shards). Like set.__len__."""
        mark_set_shared(self)
        return map_len(self.entries)

    def __contains__(self, element):
        """Returns whether the element is in the set. Linearizable, takes no lock. Like set.__contains__."""
        cdef PyObject* entries = <PyObject*>self.entries
        mark_set_shared(self)
        if sm_is_unhashable(<PyObject*>element):
            return frozen_or_same(element) in self.entries
        return map_contains(<MapCore>entries, <PyObject*>element) == PRESENT

    def __iter__(self):
        """Iterates over the elements at one point in time, in the order in which they were added. Like set.__iter__."""
        mark_set_shared(self)
        return iterate_map(self.entries, KEYS, False)

    def add(self, element, /):
        """Adds the element, and returns whether it is new. If many threads add it at once, one gets True. Linearizable.
        In a set that threads share, it takes no lock if the element is already there. Like set.add; newKeySet().add of
        Java."""
        # call_set_add()

    def discard(self, element, /):
        """Removes the element if it is in the set, and returns whether it was. If many threads remove it at once, one
        gets True. Linearizable. Like set.discard."""
        # call_set_discard()

    def remove(self, element, /):
        """Removes the element. Raises KeyError if it is not in the set. Linearizable. Like set.remove."""
        if not discard_element(self, <PyObject*>element):
            raise KeyError(element)

    def pop(self):
        """Removes the element that was added last and returns it. Raises KeyError if the set is empty. O(shards): holds
        the locks of all shards for a short time. Linearizable. Like set.pop."""
        cdef PyObject* key = NULL
        cdef PyObject* value = NULL
        mark_set_shared(self)
        if map_popitem(self.entries, &key, &value) == ABSENT:
            raise KeyError("pop from an empty set")
        decref(value)
        return steal(key)

    def clear(self):
        """Removes all elements at one point in time. Linearizable for the whole set. Like set.clear."""
        mark_set_shared(self)
        map_clear(self.entries)

    # --- Many elements at once (bulk_keys.pyx) ---

    def add_many(self, elements, /):
        """Adds all `elements` in their order, and returns a list of bools: for each, whether it was new. Each addition
        is linearizable, the whole is not. Faster than a loop if most elements are already there. Use update() if you do
        not need the result. Like [s.add(element) for element in elements]."""
        cdef list given = list(plain_keys(elements, RAISE_TYPE_ERROR))
        cdef list there
        cdef Py_ssize_t i
        mark_set_shared(self)
        there = map_contains_many(self.entries, given)
        for i in range(len(given)):
            there[i] = not there[i] and add_element(self, <PyObject*>given[i])
        return there

    def contains_many(self, elements, /):
        """Returns a list of bools: for each of `elements`, whether it is in the set. Each look-up is linearizable, the
        whole is not. Faster than a loop. From 512 elements on, if all are of type str, int or bytes, a build with a GIL
        releases it while it hashes and looks up the elements. Like [element in s for element in elements]."""
        mark_set_shared(self)
        return map_contains_many(self.entries, to_look_for(elements))

    def discard_many(self, elements, /):
        """Removes all `elements` that are in the set, and returns a list of bools: for each, whether it was there. Each
        removal is linearizable, the whole is not. Like [s.discard(element) for element in elements]."""
        mark_set_shared(self)
        return [each is not no_value for each in map_pop_many(self.entries, to_look_for(elements), no_value)]


cdef inline void mark_set_shared(SetCore self) noexcept:
    """What every operation begins with (core/fork.pyx)."""
    if sm_is_foreign(<PyObject*>self, &self.is_shared_between_threads):
        mark_shared(self.entries)
        sm_mark_shared(<PyObject*>self, &self.is_shared_between_threads)


cdef inline object frozen_or_same(element):
    """A set cannot be an element; but what is asked for as one may be there as a frozenset."""
    return frozenset(element) if isinstance(element, (set, SetCore)) else element


cdef object to_look_for(elements):
    """The same with frozensets in place of sets. What other threads may change meanwhile is copied first."""
    if not PyList_CheckExact(elements) and not PyTuple_CheckExact(elements):
        if integers_of(elements, RAISE_TYPE_ERROR) is not None:     # no sets among them
            return elements
        elements = list(elements)
    for element in elements:
        if sm_is_unhashable(<PyObject*>element):
            return [frozen_or_same(each) if sm_is_unhashable(<PyObject*>each) else each for each in elements]
    return elements


cdef inline bint add_element(SetCore self, PyObject* element) except -1:
    """Whether it is new. To store None where None is takes no mutex (overwrite_unlocked())."""
    cdef PyObject* entries = <PyObject*>self.entries
    mark_set_shared(self)
    return map_set(<MapCore>entries, element, <PyObject*>None) == ABSENT


cdef inline bint discard_element(SetCore self, PyObject* element) except -1:
    cdef PyObject* entries = <PyObject*>self.entries
    mark_set_shared(self)
    if sm_is_unhashable(element):
        frozen = frozen_or_same(<object>element)
        return map_remove(self.entries, <PyObject*>frozen, NULL) == PRESENT
    return map_remove(<MapCore>entries, element, NULL) == PRESENT


cdef int add_all(SetCore self, iterable) except -1:
    """Of another set: what is in it at one point in time."""
    mark_set_shared(self)
    if isinstance(iterable, SetSnapshotCore):
        store_snapshot(self.entries, (<SetSnapshotCore>iterable).entries)
    elif isinstance(iterable, SetCore) and sm_iterates_as(<PyObject*>iterable, <PyTypeObject*>SetCore):
        if iterable is not self:
            store_snapshot(self.entries, snapshot_of((<SetCore>iterable).entries))
    elif isinstance(iterable, (set, dict)):     # another thread may change it meanwhile
        _store_keys(self.entries, list(iterable), None)
    else:
        _store_keys(self.entries, iterable, None)
    return 0


# --- add and discard, with CPython's own calling convention (core/fast_methods.pyx) ---

cdef PyMethodDef fast_set_methods[2]


cdef PyObject* call_set_add(PyObject* self, PyObject** arguments, Py_ssize_t count) except NULL:
    if count != 1:
        raise TypeError(f"add() takes exactly one argument ({count} given)")
    return box_bool(add_element(<SetCore>self, arguments[0]))


cdef PyObject* call_set_discard(PyObject* self, PyObject** arguments, Py_ssize_t count) except NULL:
    if count != 1:
        raise TypeError(f"discard() takes exactly one argument ({count} given)")
    return box_bool(discard_element(<SetCore>self, arguments[0]))


sm_take_place(<PyTypeObject*>SetCore, &fast_set_methods[0], b"add", <void*>call_set_add)
sm_take_place(<PyTypeObject*>SetCore, &fast_set_methods[1], b"discard", <void*>call_set_discard)


# --- One point in time ---

@cython.no_gc_clear
cdef class SetSnapshotCore:
    """SetSnapshot(source, /)\n--\n\nThe elements of a set at one point in time. It never changes, and reads take no
    lock."""

    __class_getitem__ = classmethod(GenericAlias)

    def __cinit__(self, source, /):
        if isinstance(source, SetSnapshotCore):
            self.entries = (<SetSnapshotCore>source).entries
            return
        if not isinstance(source, SetCore):
            raise TypeError(f"SetSnapshot() argument must be a ShardSet, not {type(source).__name__}")
        mark_set_shared(<SetCore>source)
        self.entries = snapshot_of((<SetCore>source).entries)

    def __len__(self):
        return self.entries.live

    def __contains__(self, element):
        if sm_is_unhashable(<PyObject*>element):
            return frozen_or_same(element) in self.entries
        return element in self.entries

    def __iter__(self):
        return new_iterator(self.entries, KEYS, False)
