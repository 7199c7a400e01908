# The extension type under ShardMap: what of a dict's surface should not cost a Python frame.

cdef class MapCore:
    """ShardMap(other=(), /, **kwargs)\n--\n\n"""

    __class_getitem__ = classmethod(GenericAlias)

    def __cinit__(self, *args, **kwargs):
        begin_with_one_shard(self)
        self.wants_split = splits_forced != 0
        if first_shard_bits != 0:
            begin_with_shards(self, first_shard_bits)
        if HAS_GIL:
            enlist(self)

    def __init__(self, /, *args, **kwargs):
        update_from_arguments(self, type(self).__name__, args, kwargs)

    def __dealloc__(self):
        delist(self)
        drop_layouts(self)

    # --- dict's operations ---

    def __len__(self):
        """Returns the number of entries at one point in time. O(shards). Takes no lock, unless other threads keep
        inserting or deleting meanwhile. Like dict.__len__."""
        return map_len(self)

    def __contains__(self, key):
        """Returns whether there is an entry for `key`. Linearizable. Like dict.__contains__."""
        return map_contains(self, <PyObject*>key) == PRESENT

    def __getitem__(self, key):
        """Returns the value of `key`. Without an entry, calls `__missing__` of a subclass, or raises KeyError.
        Linearizable. Like dict.__getitem__."""
        cdef PyObject* value = NULL
        if map_get(self, <PyObject*>key, &value) == PRESENT:
            return steal(boxed(value))
        return missing(self, key)

    def __setitem__(self, key, value):
        """Inserts or overwrites the entry of `key`. Raises ValueError if the value is MISSING. Linearizable. Like
        dict.__setitem__."""
        map_set(self, <PyObject*>key, <PyObject*>value)

    def __delitem__(self, key):
        """Removes the entry of `key`. Raises KeyError if there is none. Linearizable. Like dict.__delitem__."""
        if map_remove(self, <PyObject*>key, NULL) == ABSENT:
            raise KeyError(key)

    def __iter__(self):
        """Iterates over the keys at one point in time, in insertion order. Like dict.__iter__."""
        return iterate_map(self, KEYS, False)

    def __reversed__(self):
        """Iterates over the keys at one point in time, last inserted first. Like dict.__reversed__."""
        return iterate_map(self, KEYS, True)

    def get(self, key, default=None, /):
        """Returns the value of `key`, or `default` if there is no entry. Linearizable. Like dict.get."""
        # call_get() in fast_methods.pyx

    def setdefault(self, key, default=None, /):
        """Returns the value of `key`; if there is no entry, first inserts `default`. This is one operation: if many
        threads call it at once, one inserts, and all get the same value. Linearizable. Like dict.setdefault."""
        # call_setdefault() in fast_methods.pyx

    def pop(self, key, default=..., /):
        """Removes the entry of `key` and returns its value. If there is no entry, returns `default`, or raises KeyError
        without a `default`. If many threads pop the same entry, one gets it. Linearizable. Like dict.pop."""
        # call_pop() in fast_methods.pyx

    def popitem(self):
        """Removes the entry that was inserted last and returns it as (key, value). Raises KeyError if the map is empty.
        O(shards): holds the locks of all shards for a short time. Linearizable. Like dict.popitem."""
        cdef PyObject* key = NULL
        cdef PyObject* value = NULL
        cdef PyObject* item = new_untracked_pair()      # made first: once the entry is out nothing can fail
        try:
            if map_popitem(self, &key, &value) == ABSENT:
                raise KeyError("popitem(): dictionary is empty")
        except:
            decref(item)
            raise
        return steal(filled_pair(item, key, value))

    def clear(self):
        """Removes all entries at one point in time. O(shards), plus the time to release the entries. Linearizable for
        the whole map. Like dict.clear."""
        map_clear(self)

    @cython.embedsignature(False)       # that of MutableMapping.update
    def update(self, /, *args, **kwargs):
        """update($self, other=(), /, **kwargs)\n--\n\nInserts or overwrites entries from a mapping, an iterable of
        pairs, and keywords. Each key is linearizable, the whole is not: other threads see a part of the update. A
        ShardMap is read at one point in time. An empty map is filled from a dict or a ShardMap without comparing keys.
        If the ShardMap has the same number of shards, that is O(shards): the two maps share tables until one of them
        writes. Like dict.update."""
        update_from_arguments(self, "update", args, kwargs)

    # --- Compound operations: what would be several steps of a dict, as one ---
    #
    # In compute.pyx.

    def add(self, key, delta=1, default=0, /):
        """Adds `delta` to the number stored for `key`, or to `default` if there is no entry; returns the sum.
        Linearizable, also with plain writes of other threads: no update is lost. Ints of up to 63 bits and floats run
        no Python code and are added under the shard's lock. For any other type, `+` runs without a lock, and runs again
        if the entry changed meanwhile. Like `c[key] += delta` of a collections.Counter under a lock."""
        # call_add() in fast_methods.pyx

    # --- Many keys at once (bulk_keys.pyx) ---

    def get_many(self, keys, default=None):
        """Returns the values of all `keys` in their order as a list, with `default` for keys without an entry. Each
        look-up is linearizable, the whole is not. Faster for each key than a loop. From 512 keys on, if all are of type
        str, int or bytes, a build with a GIL releases it while it hashes and looks up the keys, so that threads do this
        in parallel. No lock is held while your code runs. `keys` may be an array of integers (NumPy's, array.array,
        bytes, bytearray, memoryview): no object is made for a key. NumPy arrays of other elements, except objects,
        raise TypeError. Like [m.get(key, default) for key in keys]."""
        return map_get_many(self, keys, default)

    def contains_many(self, keys):
        """Returns a list of bools: for each of `keys`, whether there is an entry. Otherwise like get_many. Like [key in
        m for key in keys]."""
        return map_contains_many(self, keys)

    def set_many(self, keys, values):
        """Stores each of `values` under the key at the same position of `keys`, in this order. Each store is
        linearizable, the whole is not. Raises ValueError if there are not as many values as keys: before it stores
        anything if both have a length, otherwise after it has stored the complete pairs. Raises ValueError if a value
        is MISSING. If an element or its hash raises, the pairs before it are stored. Keys are taken 1,024 at a time, so
        later pairs of the same 1,024 may be stored, too. Keys may be an array as in get_many, and are stored as ints.
        Like `for key, value in zip(keys, values): m[key] = value`."""
        map_set_many(self, keys, values)

    def delete_many(self, keys):
        """Removes the entries of all `keys` and returns how many entries it removed. Each removal is linearizable, the
        whole is not. Like sum(m.pop(key, MISSING) is not MISSING for key in keys)."""
        return map_delete_many(self, keys)

    def pop_many(self, keys, default=None):
        """Removes the entries of all `keys` and returns their values as a list, with `default` for keys without an
        entry. Each removal is linearizable, the whole is not. Like [m.pop(key, default) for key in keys]."""
        return map_pop_many(self, keys, default)

    def add_many(self, keys, delta=1):
        """Adds `delta` to the number stored for each of `keys`, or to 0 if there is no entry. If `delta` is an int of
        up to 45 bits, it is multiplied by the number of times that a key occurs and added once, as in count. Any other
        `delta` is added once for each occurrence. Each addition is linearizable, the whole is not. Like `for key in
        keys: m.add(key, delta)`."""
        map_add_many(self, keys, delta)

    def count(self, iterable):
        """Adds 1 for every element, like `for e in iterable: m.add(e)`. It first sums up equal elements, 65,536
        elements at a time, and then adds each sum once. So other threads see a count grow by such sums. Each addition
        is linearizable, the whole is not. If the iterable or an element raises, the elements before are counted. If an
        addition to an entry raises, the other elements of its batch are counted. No lock is held while your code runs.
        Of an array of integers, as in get_many, an int is made for the first of equal elements of those 65,536.
        O(elements). Like collections.Counter.update."""
        map_count(self, iterable, 1)

    def update_max(self, key, value, /):
        """Stores `value` if there is no entry or if it is greater than the stored value; returns what the map then
        holds. Linearizable. `<` runs without a lock, and runs again if the entry changed meanwhile."""
        return extreme(self, key, value, False)

    def update_min(self, key, value, /):
        """Stores `value` if there is no entry or if it is less than the stored value; returns what the map then holds.
        Linearizable. `<` runs without a lock, and runs again if the entry changed meanwhile."""
        return extreme(self, key, value, True)

    def exchange(self, key, value, /):
        """Inserts or overwrites, and returns the previous value, or MISSING if there was no entry. Raises ValueError if
        `value` is MISSING. Linearizable. Map.put of Java."""
        cdef PyObject* old = NULL
        if map_exchange(self, <PyObject*>key, storable(<PyObject*>value), ALWAYS, &old) == PRESENT:
            return steal(old)
        return no_value

    def replace(self, key, value, /):
        """Overwrites the value if there is an entry, and returns the previous value. If there is no entry, stores
        nothing and returns MISSING. Raises ValueError if `value` is MISSING. Linearizable. Map.replace of Java."""
        cdef PyObject* old = NULL
        if map_exchange(self, <PyObject*>key, storable(<PyObject*>value), IF_PRESENT, &old) == PRESENT:
            return steal(old)
        return no_value

    def compare_and_set(self, key, expected, new, /):
        """Stores `new` if the stored value is `expected`, and returns whether it did. The stored value counts as
        `expected` if it is the same object or equal (`==`), as for `in` with a list. MISSING as `expected` means that
        there is no entry. MISSING as `new` means to remove the entry. An exception of `==` reaches the caller. If the
        result of `==` is neither true nor false (arrays), only the same object counts. `==` runs without a lock, and
        runs again if the entry changed meanwhile. Linearizable. ConcurrentMap.replace(k, old, new) of Java."""
        return compare_and_write(self, key, expected, NULL if new is no_value else <PyObject*>new)

    def compare_and_delete(self, key, expected, /):
        """Removes the entry if its value is `expected` (see compare_and_set), and returns whether it did. If `expected`
        is MISSING, removes nothing and returns False. ConcurrentMap.remove(key, value) of Java."""
        if expected is no_value:
            return False
        return compare_and_write(self, key, expected, NULL)

    def compute(self, key, function, /):
        """Stores the result of function(key, value) and returns it. `value` is MISSING if there is no entry. If the
        function returns MISSING, the entry is removed. The function runs exactly once, under the key's lock: threads
        that write the key wait, and threads that read it see the previous value. If the function raises, nothing is
        changed. Raises RuntimeError if the function writes this key itself, or waits for a key whose holder waits for
        this one.

        clear() does not wait for the function. If clear() runs meanwhile, the caller gets the result, but it is not
        stored, as if it had been stored just before clear() removed it. Linearizable. ConcurrentHashMap.compute of
        Java."""
        cdef PyObject* value = NULL
        cdef Computation work
        cdef Found found = start_computing(self, <PyObject*>key, &work, &value)
        try:
            result = function(key, steal(value) if found == PRESENT else no_value)
            write_computed(&work, key, result)
            return result
        finally:
            end_computing(&work)

    def compute_if_absent(self, key, function, /):
        """Returns the value of `key`; if there is no entry, stores function(key) and returns that. If the function
        returns MISSING, nothing is stored, and the caller gets MISSING. If many threads call it at once, the function
        runs exactly once for each insertion. The others wait for this key only, and get its value. If the function
        raises, nothing is inserted, its caller gets the exception, and one of the waiting threads tries next: with a
        function that takes 0.2 s and fails, the last of ten waits 2 s. Otherwise like compute.
        ConcurrentHashMap.computeIfAbsent of Java."""
        cdef PyObject* value = NULL
        cdef Computation work
        if map_get_object(self, <PyObject*>key, &value) == PRESENT:
            return steal(value)
        found = start_computing(self, <PyObject*>key, &work, &value)
        try:
            if found == PRESENT:
                return steal(value)
            result = function(key)
            write_computed(&work, key, result)
            return result
        finally:
            end_computing(&work)

    def compute_if_present(self, key, function, /):
        """Stores the result of function(key, value) if there is an entry, and returns it. If the function returns
        MISSING, the entry is removed. If there is no entry, returns MISSING and does not call the function. Otherwise
        like compute. ConcurrentHashMap.computeIfPresent of Java."""
        cdef PyObject* value = NULL
        cdef Computation work
        if map_contains(self, <PyObject*>key) == ABSENT:
            return no_value
        found = start_computing(self, <PyObject*>key, &work, &value)
        try:
            if found == ABSENT:
                return no_value
            result = function(key, steal(value))
            write_computed(&work, key, result)
            return result
        finally:
            end_computing(&work)

    def merge(self, key, value, function, /):
        """Stores `value` if there is no entry, otherwise function(old, value); returns what it stored. If the function
        returns MISSING, the entry is removed, and the caller gets MISSING. Raises ValueError if `value` is MISSING.
        Otherwise like compute. ConcurrentHashMap.merge of Java."""
        cdef PyObject* old = NULL
        cdef Computation work
        storable(<PyObject*>value)
        found = start_computing(self, <PyObject*>key, &work, &old)
        try:
            result = function(steal(old), value) if found == PRESENT else value
            write_computed(&work, key, result)
            return result
        finally:
            end_computing(&work)

    def retain(self, predicate, /):
        """Removes every entry for which predicate(key, value) is false, and returns how many it removed. Each removal
        is linearizable. It removes only the value that it passed to the predicate. If another thread stored a new value
        meanwhile, it calls the predicate again. If another thread was computing a value at the time of the call
        (compute and its like), retain waits for that value and calls the predicate for it, too. The predicate runs
        without a lock. HashMap::retain of Rust."""
        return map_retain(self, predicate)

    # --- One entry, or several, for longer ---

    def lock(self, key, timeout=None):
        """Returns a KeyEntry: `with m.lock(key) as entry:` holds one entry for the time of the block, even if it does
        not exist. In the block, use entry.value, get(default), set(value), delete() and exists. Other code that writes,
        computes or locks the key waits, first come first served. Readers do not wait, and other keys are not delayed.
        `async with` waits without blocking the event loop.

        The lock belongs to the KeyEntry, which any thread may use and exit. In an asyncio task, plain writes to the key
        through the map pass if the same task entered the block. Elsewhere, they pass if the same thread entered it and
        the contextvars.Context of that time is still on the thread's stack. So in a pool that runs each call with
        Context.run(), write through the entry. Plain writes and `with` of another task of the same thread raise
        RuntimeError at once, even with a timeout, because a wait would block both.

        Raises TimeoutError after `timeout` seconds. None and -1 mean no limit; other negative numbers raise ValueError.
        Raises RuntimeError if the same code already holds the lock, or if a wait without a timeout would be a deadlock
        among key locks of ShardMaps. Other locks, futures, queues and awaits are not checked. The code that entered the
        block counts as the holder, even after it passed the entry to another thread. clear() and popitem() of other
        code wait if they would remove the entry. After a fork, the child does not have the locks that other threads
        entered."""
        return new_entry(self, key, timeout)

    def lock_many(self, keys, timeout=None):
        """Returns a LockedMany: `with m.lock_many(keys) as entries:` holds several entries at once. `entries` is a dict
        from each key to its KeyEntry (see lock), in the order of `keys`. The locks are acquired in one order for the
        whole map, so threads that lock the same keys in any order do not deadlock. `timeout` is in seconds and applies
        to all locks together. If a wait is interrupted or raises, none of the keys stays locked. `async with` waits
        without blocking the event loop. The same code as with lock may write these keys meanwhile, and the same errors
        are raised."""
        return LockedMany.__new__(LockedMany, self, keys, timeout)

    def _iterate(self, int what, bint backward=False, /):
        """Iterates over the keys (0), values (1) or items (2) at one point in time."""
        return iterate_map(self, checked(what), backward)

    def _chosen_shards(self):
        """The number of shards if the user chose it, otherwise None."""
        return layout_of(self).shard_count if self.shards_fixed == FIXED_BY_CHOICE else None
