# `with m.lock_many(keys) as entries`: several entries held at once, taken in one order for the whole map.

@cython.final
cdef class LockedMany:
    """LockedMany(source, keys, timeout, /)\n--\n\nSeveral entries of a map that a `with` block holds exclusively
    (ShardMap.lock_many).

    `with` and `async with` return a dict from each key to its KeyEntry, in the order of the keys that were passed. The
    locks are acquired in one order for the whole map, so threads that lock the same keys in any order do not deadlock.
    If anything is raised while they are acquired, none of the keys stays locked.
    """

    __class_getitem__ = classmethod(GenericAlias)

    def __cinit__(self, MapCore source not None, keys, timeout, /):
        self.seconds = seconds_of(timeout)
        self.timeout = timeout
        self.entries = {}
        for key in dict.fromkeys(keys):
            self.entries[key] = new_entry(source, key, timeout)
        self.order = in_locking_order(source, self.entries)

    def __enter__(self):
        """Waits for all locks, at most `timeout` seconds in total. Raises TimeoutError, or RuntimeError as for
        ShardMap.lock."""
        cdef KeyEntry entry
        cdef double deadline = deadline_after(self.seconds)
        entries = self.entries.copy()       # made before the first lock is taken: nothing can fail after the last
        begin_many(self)
        try:
            for entry in self.order:
                enter(entry, deadline, self.timeout)
        except:
            release_many(self, ENTERING)
            raise
        self.state = HELD
        return entries

    def __exit__(self, *error):
        if not release_many(self, HELD):
            raise RuntimeError("the locks of this lock_many() are not held")

    def __aenter__(self):
        """Waits for all locks without blocking the event loop. The locks belong to the running task."""
        return enter_later(self.entries.copy(), self, self.order, self.seconds, self.timeout)

    def __aexit__(self, *error):
        if not release_many(self, HELD):
            raise RuntimeError("the locks of this lock_many() are not held")
        return finished


cdef int begin_many(LockedMany self) except -1:
    cdef bint was_free
    with cython.critical_section(self):
        was_free = self.state == FREE
        if was_free:
            self.state = ENTERING
    if not was_free:
        raise RuntimeError("the locks of this lock_many() are already held")
    return 0


cdef bint release_many(LockedMany self, Holding expected) noexcept:
    """Releases what is held, the last taken first; False if that is not the state. May run any code."""
    cdef Py_ssize_t i
    cdef bint is_expected
    with cython.critical_section(self):
        is_expected = self.state == expected
        if is_expected:
            self.state = ENTERING       # nobody else is to enter or leave meanwhile
    if is_expected:
        for i in range(len(self.order) - 1, -1, -1):
            let_entry_go(<KeyEntry>self.order[i], True)
        self.state = FREE
    return is_expected


cdef list in_locking_order(MapCore source, dict entries):
    """By the 31 bits of the hash, which do not depend on how many shards there are. Keys that agree in them have no
    order of their own: whoever wants several of them first takes the lock of the hash."""
    cdef KeyEntry entry, hash_lock
    cdef list order = []
    cdef dict by_hash = {}
    for entry in entries.values():
        by_hash.setdefault(sm_mixed_of(<uint64_t>entry.hashed), []).append(entry)
    for mixed in sorted(by_hash):
        same_hash = by_hash[mixed]
        if len(same_hash) > 1:
            entry = same_hash[0]
            hash_lock = KeyEntry.__new__(KeyEntry)
            hash_lock.source = source
            hash_lock.key = entry.key
            hash_lock.hashed = entry.hashed
            hash_lock.is_hash_lock = True
            order.append(hash_lock)
        order.extend(same_hash)
    return order
