# `with m.lock_many(keys) as entries`: several entries held at once, taken in one order for the whole map.

@cython.final
cdef class LockedMany:
    """Several entries of a map, held exclusively for as long as a `with` block takes (ShardMap.lock_many).

    `with` and `async with` give a dict from each key to its KeyEntry, in the order asked. The locks are taken in one
    order for the whole map, so that threads that ask for the same keys in any order do not deadlock. Whatever is raised
    while they are taken, none stays locked.
    """

    __class_getitem__ = classmethod(GenericAlias)

    def __cinit__(self, MapCore source not None, keys, timeout, /):
        cdef KeyEntry entry
        self.seconds = seconds_of(timeout)
        self.timeout = timeout
        self.entries = {}
        for key in dict.fromkeys(keys):
            self.entries[key] = new_entry(source, key, timeout)
        self.order = in_locking_order(source, self.entries)

    def __enter__(self):
        cdef KeyEntry entry
        cdef double deadline = deadline_after(self.seconds)
        entries = self._begin()
        try:
            for entry in self.order:
                enter(entry, deadline, self.timeout)
        except:
            release_many(self)
            raise
        return entries

    def __exit__(self, *error):
        if not release_many(self):
            raise RuntimeError("these locks are not held")

    def __aenter__(self):
        """Waits without blocking the event loop; the locks belong to the running task."""
        return async_enter_many(self, self.order, self.timeout if self.seconds >= 0 else None, self.timeout)

    def __aexit__(self, *error):
        return async_exit(self)

    def _begin(self):
        """What `with` gives, made before the first lock is taken: nothing can fail after the last."""
        cdef bint was_held
        entries = self.entries.copy()
        with cython.critical_section(self):
            was_held = self.held
            self.held = True
        if was_held:
            raise RuntimeError("these locks are held already")
        return entries

    def _end(self):
        """Releases what is held."""
        release_many(self)


cdef bint release_many(LockedMany self) noexcept:
    """Releases what is held, the last taken first; False if they were not held. May run any code."""
    cdef Py_ssize_t i
    cdef bint was_held
    with cython.critical_section(self):
        was_held = self.held
    if was_held:
        for i in range(len(self.order) - 1, -1, -1):
            let_entry_go(<KeyEntry>self.order[i], True)
        with cython.critical_section(self):
            self.held = False
    return was_held


cdef list in_locking_order(MapCore source, dict entries):
    """By shard, then by hash. Keys of one hash have no order of their own: whoever wants several of them first takes the
    lock of the hash."""
    cdef KeyEntry entry, is_hash_lock
    cdef Position at
    cdef list order = []
    cdef dict by_hash31 = {}
    for entry in entries.values():
        locate_entry(entry, &at)
        number = (<char*>at.shard - source.shards) // <Py_ssize_t>stride_for(sizeof(Shard))
        by_hash31.setdefault((number, at.hash31), []).append(entry)
    for where in sorted(by_hash31):
        same_hash31 = by_hash31[where]
        if len(same_hash31) > 1:
            entry = same_hash31[0]
            is_hash_lock = KeyEntry.__new__(KeyEntry)
            is_hash_lock.source = source
            is_hash_lock.key = entry.key
            is_hash_lock.hashed = entry.hashed
            is_hash_lock.is_hash_lock = True
            order.append(is_hash_lock)
        order.extend(same_hash31)
    return order
