# What has left a cache: told to `on_remove`, and let go, when no mutex is held.

from enum import StrEnum


class RemovalCause(StrEnum):
    """Why an entry left a cache; the third argument of `on_remove`."""

    EXPLICIT = "explicit"
    REPLACED = "replaced"
    EVICTED = "evicted"
    EXPIRED = "expired"

    __module__ = "shardmap"


cdef tuple causes = (RemovalCause.EXPLICIT, RemovalCause.REPLACED, RemovalCause.EVICTED, RemovalCause.EXPIRED)


cdef inline void start_removals(RemovedEntries* self) noexcept:
    self.count = 0
    self.freed = 0


cdef inline void note_removal(RemovedEntries* self, PyObject* key, PyObject* value, RemovalKind kind) noexcept:
    """Takes over the two references. There is room: see has_room_for_removal()."""
    cdef RemovedEntry* item = &self.items[self.count]
    self.count += 1
    item.key = key
    item.value = value
    item.kind = kind


cdef inline bint has_room_for_removal(RemovedEntries* self) noexcept:
    """For one more, and one that is replaced after it."""
    return self.count < MOST_REMOVALS - 1


cdef inline void tell_removals(CacheCore c, RemovedEntries* self) noexcept:
    """Gives back the weight that was freed; then runs on_remove and what letting go runs: any code, which may use the
    cache. Not under a mutex."""
    if self.freed != 0:
        # Release: who takes the room has seen them go, and so has whoever sees what goes in.
        sm_sub_i64_release(c.total, self.freed)
        self.freed = 0
    if self.count != 0:
        tell_all(c, self)


cdef void tell_all(CacheCore c, RemovedEntries* self) noexcept:
    cdef uint32_t i
    for i in range(self.count):
        if c.on_remove is not None:
            tell_removal(c, self.items[i].key, self.items[i].value, self.items[i].kind)
        decref(self.items[i].key)
        decref(self.items[i].value)
    self.count = 0


cdef void tell_removal(CacheCore c, PyObject* key, PyObject* value, RemovalKind kind) noexcept:
    """What the function raises is told to sys.unraisablehook: the entry has gone already, and what made it go is
    done."""
    on_remove = c.on_remove
    try:
        on_remove(<object>key, <object>value, causes[kind])
    except BaseException as error:
        write_unraisable(on_remove, error)


cdef void write_unraisable(function, error) noexcept:
    """Tells sys.unraisablehook what a function of the user's has raised."""
    set_raised(type(error), error)
    PyErr_WriteUnraisable(function)
