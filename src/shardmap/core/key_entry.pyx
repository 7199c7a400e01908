# `with m.lock(key) as entry`: an entry held exclusively, by a thread or by a task.
#
# A lock belongs to its entry object. It is released when the block is left, in any thread, or when the object is
# deallocated.

cdef double seconds_of(timeout) except? -2:
    """NO_DEADLINE: to wait for ever."""
    if timeout is None:
        return NO_DEADLINE
    if timeout != timeout or timeout < 0 and timeout != -1:
        raise ValueError(f"timeout must be None, -1 or a non-negative number of seconds, not {timeout}")
    return NO_DEADLINE if timeout == -1 or timeout > FOR_EVER else timeout


cdef inline double deadline_after(double seconds) noexcept:
    return NO_DEADLINE if seconds < 0 else sm_now() + seconds


cdef KeyEntry new_entry(MapCore source, key, timeout):
    cdef KeyEntry self = KeyEntry.__new__(KeyEntry)
    hash_of(<PyObject*>key, &self.hashed)   # only once; and an unhashable key raises here
    self.seconds = seconds_of(timeout)
    self.source = source
    self.key = key
    self.timeout = timeout
    return self


cdef inline void locate_entry(KeyEntry self, Access* at) noexcept:
    locate_hashed(self.source, self.hashed, at)


cdef int check_is_free(KeyEntry self) except -1:
    if sm_load_ptr(<void**>&self.lock) != NULL and lost_in_fork(self):
        let_entry_go(self, True)
    if self.source is None or sm_load_ptr(<void**>&self.lock) != NULL:
        raise RuntimeError(f"the lock of {self.key!r} is already held by this entry")
    mark_shared(self.source)
    return 0


cdef int enter(KeyEntry self, double deadline, timeout) except -1:
    cdef Access at
    cdef KeyLock* taken
    check_is_free(self)
    locate_entry(self, &at)
    taken = take_key_lock(&at, NULL if self.is_hash_lock else <PyObject*>self.key, <PyObject*>self.key, deadline, False)
    if taken == NULL:
        raise TimeoutError(f"could not acquire the lock of {self.key!r} within {timeout} s")
    give_lock(self, at.shard, taken)
    return 0


cdef void give_lock(KeyEntry self, Shard* shard, KeyLock* taken) noexcept:
    with cython.critical_section(self):
        if self.lock == NULL:
            self.shard = shard
            sm_store_ptr(<void**>&self.lock, taken)
            self.grant = taken.grant
            # A reference that the collector does not see: while the lock is held the map must outlive even a
            # `source` that was cleared with a cycle.
            self.held_map = new_reference(<PyObject*>self.source)
            taken = NULL
    if taken != NULL:       # two threads entered the same entry at once: only one of them holds it
        release_key_lock(shard, taken)


cdef bint let_entry_go(KeyEntry self, bint even_if_lost) noexcept:
    """Releases the lock; False if the entry has none, or one that was lost in a fork. May run any code."""
    cdef KeyLock* held
    cdef PyObject* held_map = NULL
    with cython.critical_section(self):
        held = self.lock
        if held != NULL and held.grant == 0 and not even_if_lost:
            held = NULL
        if held != NULL:
            held_map = self.held_map
            sm_store_ptr(<void**>&self.lock, NULL)
            self.held_map = NULL
    if held == NULL:
        return False
    release_key_lock(self.shard, held)
    decref(held_map)
    return True


cdef bint lost_in_fork(KeyEntry self) noexcept:
    cdef bint lost
    with cython.critical_section(self):
        lost = self.lock != NULL and self.lock.grant == 0
    return lost


cdef int must_hold(KeyEntry self) except -1:
    cdef bint holds
    with cython.critical_section(self):     # another thread may let the lock go meanwhile
        holds = self.lock != NULL and self.lock.grant == self.grant
    if not holds:
        raise_not_held(self)
    return 0


cdef int raise_not_held(KeyEntry self) except -1:
    raise RuntimeError(f"the lock of {self.key!r} is not held")


cdef Found write_entry(KeyEntry self, PyObject* value) except FAILED:
    cdef WriteRequest request = request_to_write(value)
    cdef Access at
    must_hold(self)
    request.grant = self.grant
    mark_shared(self.source)
    locate_entry(self, &at)
    return write_located(&at, <PyObject*>self.key, &request)


@cython.final
cdef class KeyEntry:
    """KeyEntry()\n--\n\nOne entry of a map that a `with` block holds exclusively (ShardMap.lock).

    The lock belongs to this object. Any thread or task may use the object and exit the block. The lock is also released
    when the object is deallocated. To enter it again while it is held raises RuntimeError. After a fork, the child
    holds the lock only if the forking thread entered it.
    """

    __class_getitem__ = classmethod(GenericAlias)

    def __dealloc__(self):
        if self.lock != NULL:
            let_entry_go(self, True)

    def __enter__(self):
        """Waits for the key's lock. Raises TimeoutError, or RuntimeError if the lock is already held or the wait would
        be a deadlock."""
        enter(self, deadline_after(self.seconds), self.timeout)
        return self

    def __exit__(self, *error):
        if not let_entry_go(self, False):
            raise_not_held(self)

    def __aenter__(self):
        """Waits for the key's lock without blocking the event loop. The lock belongs to the running task. Otherwise
        like `with`."""
        return enter_later(self, None, [self], self.seconds, self.timeout)

    def __aexit__(self, *error):
        if not let_entry_go(self, False):
            raise_not_held(self)
        return finished

    @property
    def key(self):
        """The key that is locked."""
        return self.key

    @property
    def exists(self):
        """Whether the map has an entry for the key."""
        must_hold(self)
        return map_contains(self.source, <PyObject*>self.key) == PRESENT

    @property
    def value(self):
        """The entry's value. Raises KeyError if there is no entry. Assign to it to store a value; MISSING raises
        ValueError."""
        cdef PyObject* value = NULL
        must_hold(self)
        if map_get_object(self.source, <PyObject*>self.key, &value) == ABSENT:
            raise KeyError(self.key)
        return steal(value)

    @value.setter
    def value(self, new):
        write_entry(self, storable(<PyObject*>new))

    def get(self, default=None, /):
        """Returns the entry's value, or `default` if there is no entry."""
        cdef PyObject* value = NULL
        must_hold(self)
        if map_get_object(self.source, <PyObject*>self.key, &value) == ABSENT:
            return default
        return steal(value)

    def set(self, value, /):
        """Stores the value, whether or not there is an entry. Raises ValueError if the value is MISSING."""
        write_entry(self, storable(<PyObject*>value))

    def delete(self):
        """Removes the entry if there is one, and returns whether there was one."""
        return write_entry(self, NULL) == PRESENT
