# `with m.lock(key) as entry`: one entry held exclusively.

from typing import final

cdef object NO_DEFAULT = object()       # pop() was given none


@final
class MissingType:
    """The type of MISSING, for annotations: `int | MissingType`."""

    __slots__ = ()
    __module__ = "shardmap"

    def __repr__(self):
        return "MISSING"

    def __reduce__(self):
        return "MISSING"

    def __bool__(self):
        return False


MISSING = MissingType()
"""No value: what compound operations give to and take from functions where there is no entry."""


cdef inline void let_go_if(PyObject* raw) noexcept:
    if raw != NULL:
        let_go(raw)


cdef KeyLock* take_to_compute(MapCore self, PyObject* key, Position* at) except NULL:
    sm_note_use(<PyObject*>self, &self.seen)
    aim(self, key, at)
    return take_key_lock(at, key, -1, True)


cdef int write_computed(MapCore self, key, result, KeyLock* held) except -1:
    """Stores what a function returned under the key's lock."""
    map_write(self, <PyObject*>key, NULL if result is MISSING else <PyObject*>result, ALWAYS, NULL, NULL, held)
    return 0


cdef object compare_and_write(MapCore self, key, expected, PyObject* new):
    cdef PyObject* old
    cdef bint same
    if expected is MISSING:
        if new == NULL:
            return map_contains(self, <PyObject*>key) == ABSENT
        return map_write(self, <PyObject*>key, new, IF_SAME, NULL, NULL, NULL) == PRESENT
    while True:
        old = NULL
        if map_get(self, <PyObject*>key, &old) == ABSENT:
            return False
        try:
            stored = boxed_copy(old)
            same = stored is expected or stored == expected
            if not same:
                return False
            if map_write(self, <PyObject*>key, new, IF_SAME, old, NULL, NULL) == PRESENT:
                return True
        finally:
            let_go(old)


cdef PyObject* add_objects(MapCore self, PyObject* key, PyObject* delta, PyObject* default) except NULL:
    """add() where the sum takes Python code."""
    cdef PyObject* old
    cdef Found found
    while True:
        old = NULL
        found = map_get(self, key, &old)
        try:
            result = (<object>default if found == ABSENT else boxed_copy(old)) + <object>delta
            if map_write(self, key, <PyObject*>result, IF_SAME, old, NULL, NULL) == PRESENT:
                return new_reference(<PyObject*>result)
        finally:
            let_go_if(old)


cdef object extreme(MapCore self, key, value, bint least):
    cdef PyObject* old
    while True:
        old = NULL
        if map_get(self, <PyObject*>key, &old) == PRESENT:
            try:
                stored = boxed_copy(old)
                if not (value < stored if least else stored < value):
                    return stored
                if map_write(self, <PyObject*>key, <PyObject*>value, IF_SAME, old, NULL, NULL) == PRESENT:
                    return value
            finally:
                let_go(old)
        elif map_write(self, <PyObject*>key, <PyObject*>value, IF_SAME, NULL, NULL, NULL) == PRESENT:
            return value


def _guard(MapCore source not None, key, timeout, /):
    """A lock of the place of `key` rather than of the key."""
    cdef KeyEntry self = key_entry(source, key, timeout)
    self.guard = True
    return self


cdef enum:
    FOR_EVER = 1 << 30      # seconds: more than a clock's sum may come to is the same as no time-out


cdef KeyEntry key_entry(MapCore source, key, timeout):
    cdef KeyEntry self = KeyEntry.__new__(KeyEntry)
    hash(key)       # now, so that an unhashable key is an error where it stands
    if timeout is not None and not timeout == timeout:
        raise ValueError("timeout must not be NaN")
    self.source = source
    self.key = key
    self.timeout = timeout
    return self


@cython.final
cdef class KeyEntry:
    """One entry of a map, held by one thread for as long as a `with` block takes (ShardMap.lock). Inside the block
    the thread may also read and write the key through the map; to lock it again, or compute it, is a RuntimeError."""

    __class_getitem__ = classmethod(GenericAlias)

    def __dealloc__(self):
        if self.lock != NULL:
            let_entry_go(self)

    def __enter__(self):
        """Waits for the key's lock. TimeoutError; RuntimeError if this thread holds it, or for a deadlock."""
        cdef Position at
        cdef KeyLock* taken
        cdef double seconds = -1 if self.timeout is None or self.timeout > FOR_EVER else max(self.timeout, 0)
        if lost_in_fork(self):
            let_entry_go(self)
        if self.source is None or self.lock != NULL:
            raise RuntimeError("this entry is held already")
        sm_note_use(<PyObject*>self.source, &self.source.seen)
        aim(self.source, <PyObject*>self.key, &at)
        taken = take_key_lock(&at, NULL if self.guard else <PyObject*>self.key, seconds, False)
        if taken == NULL:
            raise TimeoutError(f"no lock of {self.key!r} within {self.timeout} s")
        with cython.critical_section(self):
            self.shard = at.shard
            self.lock = taken
            # A reference that the collector does not see: while the lock is held the map must outlive even a
            # `source` that was cleared with a cycle.
            self.held_map = <PyObject*>self.source
            incref(self.held_map)
        return self

    def __exit__(self, *error):
        must_hold(self)
        let_entry_go(self)

    @property
    def key(self):
        """The key that is held."""
        return self.key

    @property
    def exists(self):
        """Whether there is an entry."""
        must_hold(self)
        return map_contains(self.source, <PyObject*>self.key) == PRESENT

    @property
    def value(self):
        """The entry's value; KeyError if there is no entry. Assign to it to store."""
        cdef PyObject* value = NULL
        must_hold(self)
        if map_get_object(self.source, <PyObject*>self.key, &value) == ABSENT:
            raise KeyError(self.key)
        return steal(value)

    @value.setter
    def value(self, new):
        self.set(new)

    def get(self, default=None, /):
        """The entry's value, or `default`."""
        cdef PyObject* value = NULL
        must_hold(self)
        if map_get_object(self.source, <PyObject*>self.key, &value) == ABSENT:
            return default
        return steal(value)

    def set(self, value, /):
        """Stores the value, whether or not there is an entry."""
        must_hold(self)
        map_write(self.source, <PyObject*>self.key, <PyObject*>value, ALWAYS, NULL, NULL, NULL)

    def delete(self):
        """Removes the entry, if there is one; returns whether there was."""
        must_hold(self)
        return map_write(self.source, <PyObject*>self.key, NULL, ALWAYS, NULL, NULL, NULL) == PRESENT


cdef void let_entry_go(KeyEntry self) noexcept:
    cdef KeyLock* held
    with cython.critical_section(self):
        held = self.lock
        self.lock = NULL
    release_key_lock(self.shard, held)
    decref(self.held_map)


cdef bint lost_in_fork(KeyEntry self) noexcept:
    cdef bint lost
    with cython.critical_section(self):
        lost = self.lock != NULL and self.lock.owner == 0
    return lost


cdef int must_hold(KeyEntry self) except -1:
    cdef bint mine
    with cython.critical_section(self):     # its holder may let the lock go meanwhile
        mine = self.lock != NULL and self.lock.owner == PyThread_get_thread_ident()
    if not mine:
        raise RuntimeError("the key's lock is not held by this thread")
    return 0


def _order(MapCore source not None, key, /):
    """(shard, place): the global order in which several keys are locked."""
    cdef Position at
    aim(source, <PyObject*>key, &at)
    return (<char*>at.shard - source.shards) // <Py_ssize_t>stride_for(sizeof(Shard)), at.place
