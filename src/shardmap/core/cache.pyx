# ShardCache's extension type. A cache is a map with a fixed number of shards, whose blocks have columns of their own
# (core/cache_columns.pyx), and with data of the eviction policy for each shard (core/cache_policy.pyx). No other code
# gets the map: all writes go through core/cache_write.pyx.

cdef int64_t UNBOUNDED = 0x3FFFFFFFFFFFFFFF     # small enough to add to
cdef list free_numbers = []                     # of caches that are gone
cdef uint64_t numbers = 0

cdef class CacheCore:
    """ShardCache(maxsize, *, ttl=None, idle=None, refresh_after=None, weigh=None, on_remove=None, loader=None, \
executor=None, timer=None)\n--\n\n"""

    __class_getitem__ = classmethod(GenericAlias)

    def __cinit__(self, *args, **kwargs):
        self.entries = MapCore.__new__(MapCore)
        self.loads = MapCore.__new__(MapCore)
        self.ttl = self.idle = self.refresh_after = FOREVER
        self.most = UNBOUNDED
        self.columns = MARKS
        give_shards(self, 0)
        try:
            self.number = <uint32_t>free_numbers.pop()
        except IndexError:
            self.number = <uint32_t>sm_add_u64(&numbers, 1) - 1
        self.load_counts = <LoadCounts*>allocate(sizeof(LoadCounts), 64)
        if self.load_counts == NULL:
            raise MemoryError()
        memset(self.load_counts, 0, sizeof(LoadCounts))
        forget_counts(self)

    def __dealloc__(self):
        cdef uint32_t i
        if self.load_counts != NULL:
            free(self.load_counts)
            if free_numbers is not None:
                free_numbers.append(self.number)
        if self.total != NULL:
            for i in range(self.shard_count):       # `entries` may have been taken apart
                policy_free(&known_of(self, i).policy)
            free(self.total)        # and the shards behind it

    def _configure(self, shards, maxsize, ttl, idle, refresh_after, weigh, on_remove, loader, executor, timer, /):
        """Called once, before other code has the cache."""
        cdef uint32_t bits
        self.most = UNBOUNDED if maxsize is None else <int64_t>min(maxsize, UNBOUNDED)
        if ttl is not None:
            self.columns |= DEADLINES
            if callable(ttl):
                self.ttl_function = ttl
            else:
                self.ttl = nanoseconds_of(ttl, "ttl")
        if idle is not None:
            self.columns |= ACCESS_TIMES
            self.idle = nanoseconds_of(idle, "idle")
            self.idle_grain = self.idle // GRAINS
        if refresh_after is not None:
            self.columns |= REFRESH_TIMES
            self.refresh_after = nanoseconds_of(refresh_after, "refresh_after")
        if weigh is not None:
            self.columns |= WEIGHTS
            self.weigh = weigh
        self.expires = (self.columns & (DEADLINES | ACCESS_TIMES | REFRESH_TIMES)) != 0
        self.on_remove = on_remove
        self.timer = timer
        self.loader = loader
        self.executor = executor
        bits = (<uint32_t>shards).bit_length() - 1
        give_shards(self, bits)
        if weigh is None and self.most < UNBOUNDED:
            self.most_in_shard = <uint64_t>self.most >> bits

    # --- dict's operations ---

    def __len__(self):
        """Returns the number of entries that have not expired, at one point in time. Like dict.__len__."""
        mark_cache_shared(self)
        purge_if_due(self)
        return map_len(self.entries)

    def __contains__(self, key):
        """Returns whether there is an entry that has not expired. Does not count as a hit, a miss or a use of the
        entry. Linearizable, takes no lock. Like dict.__contains__."""
        return find_in_cache(self, <PyObject*>key, False, NULL) == PRESENT

    def __getitem__(self, key):
        """Returns the value of `key`. Without an entry, the cache's loader makes the value, as in get_or_load; if the
        loader returns MISSING, raises KeyError. Without a loader, calls `__missing__` of a subclass, or raises
        KeyError. Like dict.__getitem__."""
        cdef PyObject* value = NULL
        cdef PyObject* method
        if self.loader is not None:
            mark_cache_shared(self)
            found = get_or_load(self, key, self.loader)
            if found is no_value:
                raise KeyError(key)
            return found
        if find_in_cache(self, <PyObject*>key, True, &value) == PRESENT:
            return steal(value)
        method = sm_lookup_special(<PyObject*>self, <PyObject*>MISSING_NAME)
        if method == NULL:
            raise KeyError(key)
        return steal(method)(key)

    def __setitem__(self, key, value):
        """Stores the value, and evicts other entries if necessary. Raises ValueError if the value is MISSING.
        Linearizable. Like dict.__setitem__."""
        store_in_cache(self, key, value, NO_DEFAULT, CACHE_ALWAYS, NULL)

    def __delitem__(self, key):
        """Removes the entry of `key`. Raises KeyError if there is none. If a value is being loaded for the key, it will
        not be stored. Linearizable. Like dict.__delitem__."""
        if remove_from_cache(self, <PyObject*>key, NULL) == ABSENT:
            raise KeyError(key)

    def __iter__(self):
        """Iterates over the keys at one point in time, in insertion order. Like dict.__iter__."""
        mark_cache_shared(self)
        purge_if_due(self)
        return iterate_map(self.entries, KEYS, False)

    def __reversed__(self):
        """Iterates over the keys at one point in time, last inserted first. Like dict.__reversed__."""
        mark_cache_shared(self)
        purge_if_due(self)
        return iterate_map(self.entries, KEYS, True)

    def _iterate(self, int what, bint backward=False, /):
        mark_cache_shared(self)
        purge_if_due(self)
        return iterate_map(self.entries, checked(what), backward)

    def get(self, key, default=None, /):
        """Returns the value of `key`, or `default` if there is no entry. Counts as a hit or a miss. Linearizable, takes
        no lock. Like dict.get."""
        # call_cache_get()

    @cython.embedsignature(False)       # a default that inspect.signature can read
    def set(self, key, value, *, ttl=NO_DEFAULT):
        """set($self, key, value, *, ttl=...)\n--\n\nStores the value, like `cache[key] = value`. `ttl` is the number of
        seconds after which this entry expires, in place of the cache's own `ttl`; with None, the entry does not expire
        by `ttl`. Raises ValueError if the cache was created without `ttl`. To give a `ttl` to some entries only, create
        the cache with ttl=math.inf. Raises ValueError if the value is MISSING. Linearizable."""
        store_in_cache(self, key, value, ttl, CACHE_ALWAYS, NULL)

    def setdefault(self, key, default=None, /):
        """Returns the value of `key`; if there is no entry, first stores `default`. If many threads call it at once,
        one stores, and all get the same value. Linearizable. Like dict.setdefault."""
        cdef PyObject* there = NULL
        if store_in_cache(self, key, default, NO_DEFAULT, CACHE_IF_ABSENT, &there) == PRESENT:
            return steal(there)
        return default

    @cython.embedsignature(False)
    def pop(self, key, default=NO_DEFAULT, /):
        """pop($self, key, default=..., /)\n--\n\nRemoves the entry of `key` and returns its value. If there is no
        entry, returns `default`, or raises KeyError without a `default`. Linearizable. Like dict.pop."""
        cdef PyObject* value = NULL
        if remove_from_cache(self, <PyObject*>key, &value) == PRESENT:
            return steal(value)
        if default is NO_DEFAULT:
            raise KeyError(key)
        return default

    def popitem(self):
        """Removes the entry of the fullest shard that would be evicted next, and returns it as (key, value). Raises
        KeyError if the cache is empty."""
        purge_if_due(self)
        return pop_victim(self)

    def clear(self):
        """Removes all entries at one point in time. Values that are being loaded will not be stored. Linearizable for
        the whole cache. O(entries) if the cache has `on_remove`. Like dict.clear."""
        cache_clear(self)

    def invalidate(self, key, /):
        """Removes the entry if there is one, and returns whether there was one. If a value is being loaded for the key,
        the threads that wait for it get it, but it is not stored. Later calls load the value again. Linearizable.
        Cache.invalidate of Caffeine."""
        return remove_from_cache(self, <PyObject*>key, NULL) == PRESENT

    def invalidate_all(self):
        """Does the same as clear(). Cache.invalidateAll of Caffeine."""
        cache_clear(self)

    def get_or_load(self, key, loader=None, /):
        """Returns the value of `key`; if there is no entry, stores loader(key) and returns that. Without `loader`, uses
        the cache's own loader.

        If many threads call it at once, the loader runs once. The other threads wait, and get its value or the
        exception that it raises. If it raises, nothing is stored. Loads of different keys do not wait for each other.
        No lock is held while the loader runs, so it may use the cache. If the loader asks for its own key, directly or
        through loaders in other threads, the call that would close the circle runs its loader itself, without waiting.
        If the loader returns MISSING, nothing is stored, and the callers get MISSING. Cache.get(key, function) of
        Caffeine; like dict.setdefault, with a function."""
        if loader is None:
            loader = self.loader
            if loader is None:
                raise TypeError("get_or_load() needs a loader, because the cache was created without one")
        mark_cache_shared(self)
        return get_or_load(self, key, loader)

    def purge(self):
        """Removes all expired entries, and returns the number of entries that are left. It holds a lock for at most
        1,024 entries at a time. You need not call it: expired entries are never returned, and every write removes
        some."""
        mark_cache_shared(self)
        purge_if_due(self)
        return map_len(self.entries)

    @property
    def weight(self):
        """The total weight of all entries; without `weigh`, their number. An entry that is being stored may already be
        counted."""
        return sm_load_i64(self.total)


cdef int give_shards(CacheCore c, uint32_t bits) except -1:
    """To a cache that nobody else knows."""
    cdef uint32_t i, count = <uint32_t>1 << bits
    cdef Layout* layout
    cdef size_t bytes = count * stride_for(sizeof(CacheShard)) + 128
    cdef char* memory = <char*>allocate(bytes, 128)
    if memory == NULL:
        raise MemoryError()
    memset(memory, 0, bytes)
    if c.total != NULL:
        free(c.total)
    c.total = <int64_t*>memory
    c.shards = memory + 128
    c.shard_count = count
    for i in range(count):
        known_of(c, i).earliest = known_of(c, i).earliest_swept = FOREVER
    if bits != 0:
        c.columns |= STAMPS
    c.before_marks = <uint32_t>(sizeof(uint32_t) + column_bytes(c.columns & ~MARKS))
    begin_with_shards(c.entries, bits)
    c.entries.shards_fixed = FIXED_BY_CHOICE
    layout = layout_of(c.entries)
    for i in range(count):
        shard_in(layout, i).columns = <uint8_t>c.columns
    return 0


cdef int cache_clear_slot(PyObject* self) noexcept:
    """For the collector: breaks cycles through the user's functions. Cycles through entries are broken in the tables.
    The map itself stays, because finalizers in the same garbage may still use the cache."""
    (<CacheCore>self).on_remove = None
    (<CacheCore>self).loader = None
    (<CacheCore>self).weigh = None
    (<CacheCore>self).ttl_function = None
    (<CacheCore>self).timer = None
    (<CacheCore>self).executor = None
    (<CacheCore>self).tasks = None
    return 0


# --- Storing and removing ---

cdef int prepare_write(CacheCore c, PyObject* key, CacheWrite* write) except -1:
    """Times and weight, by the user's functions if there are any. Without a mutex."""
    if c.expires:
        write.now = time_now(c)
        if c.columns & DEADLINES:
            write.deadline = deadline_for(c, key, write.value, write.now)
    if c.columns & WEIGHTS:
        write.weight = weight_of(c, key, write.value)
    return 0


cdef int64_t weight_of(CacheCore c, PyObject* key, PyObject* value) except -1:
    weight = c.weigh(<object>key, <object>value)
    if not hasattr(weight, "__index__"):
        raise TypeError(f"weigh must return an integer, not {type(weight).__name__}")
    weight = weight.__index__()
    if weight < 0:
        raise ValueError(f"weigh must return a non-negative integer, not {weight}")
    return <int64_t>min(weight, UNBOUNDED)


cdef Found store_in_cache(CacheCore c, key, value, ttl, CacheWriteWhen when, PyObject** old) except FAILED:
    cdef Access at
    cdef Py_hash_t hashed = 0
    cdef CacheWrite write
    if value is no_value:
        refuse_missing()
    mark_cache_shared(c)
    hash_of(<PyObject*>key, &hashed)
    write = write_to_cache(<PyObject*>value, when)
    write.old = old
    prepare_write(c, <PyObject*>key, &write)
    if ttl is not NO_DEFAULT:
        if not c.columns & DEADLINES:
            raise ValueError("the cache was created without ttl; with ttl=math.inf, set() can give an entry a ttl")
        write.deadline = later(write.now, nanoseconds_of(ttl, "ttl"))
    overtake_load(c, <PyObject*>key, hashed)
    locate_in_cache(c, hashed, &at)
    return cache_write(c, &at, <PyObject*>key, &write)


cdef Found remove_from_cache(CacheCore c, PyObject* key, PyObject** old) except FAILED:
    cdef Access at
    cdef Py_hash_t hashed = 0
    cdef CacheWrite write = write_to_cache(NULL, CACHE_ALWAYS)
    mark_cache_shared(c)
    hash_of(key, &hashed)
    write.old = old
    write.now = time_if_needed(c)
    sm_add_u64(&c.deletions, 1)
    overtake_load(c, key, hashed)
    locate_in_cache(c, hashed, &at)
    return cache_write(c, &at, key, &write)


# --- get, with CPython's own calling convention (core/fast_methods.pyx) ---

cdef PyMethodDef fast_cache_get


cdef PyObject* call_cache_get(PyObject* self, PyObject** arguments, Py_ssize_t count) except NULL:
    cdef PyObject* value = NULL
    if count != 1 and count != 2:
        check_count(b"get", count, 2)
    if find_in_cache(<CacheCore>self, arguments[0], True, &value) == PRESENT:
        return value
    return new_reference(arguments[1] if count == 2 else <PyObject*>None)


sm_take_place(<PyTypeObject*>CacheCore, &fast_cache_get, b"get", <void*>call_cache_get)
