# Where update() has its pairs from: a dict, another map or snapshot, a list or tuple of pairs.

cdef inline int reserve_if_many(MapCore m, uint64_t incoming) except -1:
    if incoming >= <uint64_t>WORTH_RESERVING * layout_of(m).shard_count:
        reserve(m, incoming)
    return 0


cdef int hash_and_store(MapCore m, Bulk self) except -1:
    hash_keys(self, m)
    store_batch(m, self)
    drop_keys(self)
    raise_error_of(self)
    return 0


cdef int store_dict(MapCore m, source) except -1:
    """As the dict is at one point in time: all references to its keys and values are taken at once, and then go
    into the map."""
    cdef Py_ssize_t size, count, done = 0
    cdef PyObject** keys = NULL
    cdef size_t bytes
    cdef Bulk self = None
    if fill_from_dict(m, source, NULL):
        return 0
    while True:
        size = PyDict_Size(source)
        bytes = 2 * max(size, 1) * sizeof(PyObject*)
        keys = <PyObject**>allocate_table(bytes)
        if keys == NULL:
            raise MemoryError()
        count = hold_entries(source, keys, keys + size, size)
        if count >= 0:
            break
        sm_release_table(keys, bytes)
    try:
        for done in range(count):
            if keys[size + done] == <PyObject*>no_value:
                refuse_missing()
        done = 0
        self = new_bulk(m, count, BATCH)
        mark_shared(m)
        reserve_if_many(m, count)
        while done < count:
            self.keys = keys + done
            self.values = keys + size + done
            self.size = min(count - done, BATCH)
            done += self.size
            hash_and_store(m, self)
    finally:
        if self is not None:
            drop_keys(self)
            self.keys = keys + done
            self.values = keys + size + done
            self.size = <uint32_t>(count - done)
            drop_keys(self)
        else:
            for done in range(count):
                decref(keys[done])
                decref(keys[size + done])
        sm_release_table(keys, bytes)
    return 0


cdef Py_ssize_t hold_entries(source, PyObject** keys, PyObject** values, Py_ssize_t room) noexcept:
    """References to all keys and values; a negative number, and none, if they are more than there is room for."""
    cdef Py_ssize_t position = 0, count = 0, i
    with cython.critical_section(source):
        if PyDict_Size(source) > room:
            count = -1
        else:
            while PyDict_Next(source, &position, &keys[count], &values[count]):
                count += 1
            for i in range(count):
                if i + AHEAD < count:
                    prefetch_to_write(keys[i + AHEAD])
                    prefetch_to_write(values[i + AHEAD])
                incref(keys[i])
                incref(values[i])
    return count


cdef int store_snapshot(MapCore m, SnapshotCore source) except -1:
    cdef SnapshotIterator iterator
    cdef Bulk self
    if fill_from_snapshot(m, source, NULL):
        return 0
    iterator = new_iterator(source, ITEMS, False)
    self = new_bulk(m, source.live, BATCH)
    mark_shared(m)
    reserve_if_many(m, source.live)
    while iterator.merge != NULL and not iterator.merge.over:
        while not iterator.merge.over and self.size < self.room:
            take_into_bulk(self, iterator)
        hash_and_store(m, self)
    return 0


cdef inline void take_into_bulk(Bulk self, SnapshotIterator iterator) noexcept:
    """The next entry of an iterator that nobody else has. Numbers stay numbers (core/value.pyx)."""
    cdef Entry* entry = merge_entry(iterator.merge)
    self.keys[self.size] = entry.key
    self.values[self.size] = entry.value
    incref(entry.key)
    value_incref(entry.value)
    self.size += 1
    merge_advance(iterator.merge)


cdef int store_pairs(MapCore m, pairs) except -1:
    """From a list or a tuple. Tuples of two are taken in batches; anything else is a pair of the caller's own making,
    which may run code, and is stored by itself."""
    cdef Bulk self = new_bulk(m, known_size(pairs), BATCH)
    cdef Py_ssize_t number = 0
    cdef PyObject* unusual
    mark_shared(m)
    reserve_if_many(m, known_size(pairs))
    while True:
        unusual = take_tuples(self, pairs, &number)
        if self.size != 0:
            try:
                hash_and_store(m, self)
            except:
                if unusual != NULL:
                    decref(unusual)
                raise
        elif unusual == NULL:
            return 0
        if unusual != NULL:
            pair = checked_pair(steal(unusual), number)
            map_set(m, tuple_item(<PyObject*>pair, 0), tuple_item(<PyObject*>pair, 1))
            number += 1


cdef PyObject* take_tuples(Bulk self, pairs, Py_ssize_t* number) noexcept:
    """Keys and values of the pairs that follow. A reference to the element that ended it, if one did."""
    cdef PyObject* unusual = NULL
    if PyList_CheckExact(pairs):
        with cython.critical_section(pairs):
            while self.size < self.room and unusual == NULL and number[0] < list_size(<PyObject*>pairs):
                unusual = take_tuple(self, list_item(<PyObject*>pairs, number[0]), number)
    else:
        while self.size < self.room and unusual == NULL and number[0] < tuple_size(<PyObject*>pairs):
            unusual = take_tuple(self, tuple_item(<PyObject*>pairs, number[0]), number)
    return unusual


cdef inline PyObject* take_tuple(Bulk self, PyObject* pair, Py_ssize_t* number) noexcept:
    if (not PyTuple_CheckExact(<object>pair) or tuple_size(pair) != 2
            or tuple_item(pair, 1) == <PyObject*>no_value):     # an error in its turn
        incref(pair)
        return pair
    self.keys[self.size] = tuple_item(pair, 0)
    self.values[self.size] = tuple_item(pair, 1)
    incref(self.keys[self.size])
    incref(self.values[self.size])
    self.size += 1
    number[0] += 1
    return NULL
