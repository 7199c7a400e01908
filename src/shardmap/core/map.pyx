# The extension type under ShardMap: what of a dict's surface should not cost a Python frame.

cdef class MapCore:

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
        """Entries at one point in time. O(shards), takes no lock unless others keep inserting. dict.__len__."""
        return map_len(self)

    def __contains__(self, key):
        """Whether there is an entry for `key`. Linearizable. dict.__contains__."""
        return map_contains(self, <PyObject*>key) == PRESENT

    def __getitem__(self, key):
        """The value of `key`; KeyError without one (or what a subclass's __missing__ returns). Linearizable.
        dict.__getitem__."""
        cdef PyObject* value = NULL
        if map_get(self, <PyObject*>key, &value) == PRESENT:
            return steal(boxed(value))
        return missing(self, key)

    def __setitem__(self, key, value):
        """Inserts or overwrites. Linearizable. dict.__setitem__."""
        map_set(self, <PyObject*>key, <PyObject*>value)

    def __delitem__(self, key):
        """Removes the entry; KeyError without one. Linearizable. dict.__delitem__."""
        if map_remove(self, <PyObject*>key, NULL) == ABSENT:
            raise KeyError(key)

    def __iter__(self):
        """Iterates over the keys of one point in time, in insertion order. dict.__iter__."""
        return iterate_map(self, KEYS, False)

    def __reversed__(self):
        """The same, last inserted first. dict.__reversed__."""
        return iterate_map(self, KEYS, True)

    def get(self, key, default=None, /):
        """The value of `key`, or `default`. Linearizable. dict.get."""
        # call_get() in fast_methods.pyx

    def setdefault(self, key, default=None, /):
        """The value of `key`; without one, inserts `default` and returns it. One operation: of many threads that
        ask at once, one inserts, and all get the same value. Linearizable. dict.setdefault."""
        # call_setdefault() in fast_methods.pyx

    def pop(self, key, default=NO_DEFAULT, /):
        """Removes the entry and returns its value; without one, `default` or KeyError. Of many threads that pop
        one entry, one gets it. Linearizable. dict.pop."""
        # call_pop() in fast_methods.pyx

    def popitem(self):
        """Removes the entry inserted last and returns it as (key, value); KeyError from an empty map. Takes every
        shard's lock for a moment: O(shards). Linearizable. dict.popitem."""
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
        """Removes all entries at one point in time: O(shards), then the entries are let go. Linearizable over the
        whole map. dict.clear."""
        map_clear(self)

    def update(self, /, *args, **kwargs):
        """Inserts or overwrites from a mapping, an iterable of pairs, and keywords. Each key is linearizable, the
        whole is not: others see it happen. From a ShardMap: from one point in time of it. An empty map is filled from a
        dict or a ShardMap without comparing keys; from one with as many shards in O(shards): tables are shared until
        one of the two maps writes to them. dict.update."""
        update_from_arguments(self, "update", args, kwargs)

    # --- Compound operations: what would be several steps of a dict, as one ---
    #
    # In compute.pyx.

    def add(self, key, delta=1, default=0, /):
        """Adds `delta` to the number stored for `key` (to `default` without one) and returns the sum. Linearizable,
        plain writes included: no update is lost. Ints of 63 bits and floats run no Python code and are added under
        the shard's lock; for anything else `+` runs outside of any lock, and again if the entry changed meanwhile.
        Like `c[key] += delta` of a collections.Counter under a lock."""
        # call_add() in fast_methods.pyx

    # --- Many keys at once (bulk_keys.pyx) ---

    def get_many(self, keys, default=None):
        """The values of all `keys` in their order, as a list, with `default` for those without an entry. Each look-up
        is linearizable, the whole is not. Faster for each key than a loop; with a GIL, from 512 keys on, it is
        released while keys of type str, int and bytes are hashed and found, so that threads do that at the same time.
        No lock is held while your code runs. [m.get(key, default) for key in keys]."""
        return map_get_many(self, keys, default)

    def contains_many(self, keys):
        """Whether there is an entry, for each of `keys`, as a list of bools. Otherwise as get_many.
        [key in m for key in keys]."""
        return map_contains_many(self, keys)

    def set_many(self, keys, values):
        """Stores each of `values` under the key at the same place in `keys`, in this order. Each store is
        linearizable, the whole is not. ValueError if there are not as many values as keys: before anything is stored
        if both have a length, else what came before is. If an element or its hash raises, what came before is stored;
        of the 1,024 keys that are taken at a time, others may be too. for key, value in zip(keys, values): m[key] =
        value."""
        map_set_many(self, keys, values)

    def delete_many(self, keys):
        """Removes the entries of all `keys` that have one, and returns how many. Each removal is linearizable, the
        whole is not. sum(m.pop(key, MISSING) is not MISSING for key in keys)."""
        return map_delete_many(self, keys)

    def pop_many(self, keys, default=None):
        """Removes the entries of all `keys` and returns their values as a list, with `default` for those without an
        entry. Each removal is linearizable, the whole is not. [m.pop(key, default) for key in keys]."""
        return map_pop_many(self, keys, default)

    def add_many(self, keys, delta=1):
        """Adds `delta` to the number stored for each of `keys` (to 0 without one). An int of up to 45 bits is
        multiplied by how often a key comes and then added once, as by count; anything else is added one by one.
        Each addition is linearizable, the whole is not. for key in keys: m.add(key, delta)."""
        map_add_many(self, keys, delta)

    def count(self, iterable):
        """Adds 1 for every element, as `for e in iterable: m.add(e)` would, but sums up equal elements first and then
        adds each sum once, 65,536 elements at a time: others see the counts grow by that. Each addition is
        linearizable, the whole is not. If the iterable or an element raises, what came before is counted; if adding
        to an entry raises, the others of its batch are counted. No lock is held while your code runs. O(elements).
        collections.Counter.update."""
        map_count(self, iterable, 1)

    def update_max(self, key, value, /):
        """Stores `value` if there is no entry or it is greater than the stored value; returns what the map then holds.
        Linearizable. `<` runs outside of any lock, and again if the entry changed meanwhile."""
        return extreme(self, key, value, False)

    def update_min(self, key, value, /):
        """Stores `value` if there is no entry or it is less than the stored value; returns what the map then holds.
        Linearizable. `<` runs outside of any lock, and again if the entry changed meanwhile."""
        return extreme(self, key, value, True)

    def exchange(self, key, value, /):
        """Inserts or overwrites, and returns the value before, or MISSING. Linearizable. Map.put of Java."""
        cdef PyObject* old = NULL
        if map_exchange(self, <PyObject*>key, storable(<PyObject*>value), ALWAYS, &old) == PRESENT:
            return steal(old)
        return no_value

    def replace(self, key, value, /):
        """Overwrites if there is an entry, and returns the value before; else does nothing and returns MISSING.
        Linearizable. Map.replace of Java."""
        cdef PyObject* old = NULL
        if map_exchange(self, <PyObject*>key, storable(<PyObject*>value), IF_PRESENT, &old) == PRESENT:
            return steal(old)
        return no_value

    def compare_and_set(self, key, expected, new, /):
        """Stores `new` if the entry's value is `expected`: the same object, or equal to it (`==`, as `in` a list does).
        MISSING as `expected`: if there is no entry; as `new`: removes it. Returns whether it was done. Where `==` gives
        neither true nor false (arrays), only the same object counts; what it raises reaches the caller. Linearizable.
        `==` runs outside of any lock, and again if the entry changed meanwhile. ConcurrentMap.replace(k, old, new)."""
        return compare_and_write(self, key, expected, NULL if new is no_value else <PyObject*>new)

    def compare_and_delete(self, key, expected, /):
        """Removes the entry if its value is `expected` (see compare_and_set). Returns whether it was done.
        ConcurrentMap.remove(key, value) of Java."""
        if expected is no_value:
            return False
        return compare_and_write(self, key, expected, NULL)

    def compute(self, key, function, /):
        """Stores function(key, value), with MISSING for the value if there is no entry, and returns it. If it returns
        MISSING there is no entry afterwards. The function runs exactly once, under the key's lock: other threads
        that write the key wait, those that read it see the value from before. If it raises, nothing is changed.
        RuntimeError if it writes this key itself, or waits for a key whose holder waits for this one.

        clear() does not wait for the function: if it comes while the function runs, the caller gets the result and
        it is not stored, as if it had been stored just before clear() removed it. Linearizable.
        ConcurrentHashMap.compute."""
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
        """The value of `key`; without one, stores function(key) and returns it (MISSING: stores nothing). However many
        threads ask at once, the function runs exactly once for each insertion: the others wait for this key only,
        and get its value. If it raises, nothing is inserted, the caller gets the exception, and one of those who
        wait tries next: with a function that takes 0.2 s and fails, the last of ten waits 2 s. Otherwise as compute.
        ConcurrentHashMap.computeIfAbsent."""
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
        """Stores function(key, value) if there is an entry, and returns it (MISSING: removes the entry); returns
        MISSING if there is none. Otherwise as compute. ConcurrentHashMap.computeIfPresent."""
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
        """Stores `value` if there is no entry, else function(old, value) (MISSING: removes the entry); returns what the
        map then holds. ValueError if `value` is MISSING. Otherwise as compute. ConcurrentHashMap.merge."""
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
        """Removes every entry for which predicate(key, value) is false, and returns how many. Each removal is
        linearizable: only the value that was asked about is removed; if another thread stored a new one, it is
        asked about again. A value that was being computed when this was called (compute and its like) is waited
        for, and asked about as well. The function runs outside of any lock. HashMap::retain of Rust."""
        return map_retain(self, predicate)

    # --- One entry, or several, for longer ---

    def lock(self, key, timeout=None):
        """`with m.lock(key) as entry:` holds one entry for as long as the block takes, whether or not it exists:
        entry.value, get(default), set(value), delete(), exists. Others that write the key (or compute it, or lock it)
        wait, first come first served; readers do not, and other keys are not delayed. `async with` waits without
        blocking the event loop.

        The lock belongs to the entry, which may be used, and left, in any thread. Plain writes to the key through the
        map pass if they come from the asyncio task that entered the block; outside of tasks from the thread, as long as
        the contextvars.Context in which the block was entered is on the thread's stack. A pool that runs each call with
        Context.run() keeps calls apart: there, write through the entry. Plain writes, and `with`, of another task of the
        same thread are a RuntimeError at once, even with a timeout, since waiting would block both.

        TimeoutError after `timeout` seconds (None or -1: never; other negative numbers: ValueError). RuntimeError if
        the same code holds the lock already, or if waiting without a timeout would be a deadlock among key locks of
        ShardMaps (other locks, futures, queues and awaits are not looked at; a lock counts as held by the code that
        entered it, also after it was handed to another thread). While the block lasts, `clear` and `popitem` of this
        entry by others wait too. After a fork, locks that other threads entered are gone in the child."""
        return new_entry(self, key, timeout)

    def lock_many(self, keys, timeout=None):
        """`with m.lock_many(keys) as entries:` holds several entries at once; entries is a dict from each key to its
        entry (see lock), in the order asked. They are taken in one order for the whole map, so threads that ask for the
        same keys in any order do not deadlock. `timeout` is for all of them together. If a wait is interrupted, or
        anything raises, none of them stays locked. `async with` waits without blocking the event loop. Who may write
        these keys meanwhile, and what is an error: as for lock."""
        return LockedMany.__new__(LockedMany, self, keys, timeout)

    def _iterate(self, int what, bint backward=False, /):
        """Iterates over keys (0), values (1) or items (2) of one point in time."""
        return iterate_map(self, checked(what), backward)

    def _chosen_shards(self):
        """The number of shards if it was chosen, else None."""
        return layout_of(self).shard_count if self.shards_fixed == FIXED_BY_CHOICE else None
