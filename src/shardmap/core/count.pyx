# count() and add_many(): equal keys are summed up in a small table of the call's own, then each sum is added to
# the map once, shard by shard.
#
# The table is an open-addressing index over the keys in the order in which they first came. Nobody else can
# see it, so keys of any type are compared right here, and no mutex is held.

cdef int64_t MOST_DELTA = <int64_t>1 << 45     # so that no sum of a batch overflows
cdef object ZERO = 0
cdef object ONE = 1


cdef int tally_grow(Tally* tally, uint32_t bits) except -1:
    """A new index of so many bits for what there is."""
    cdef size_t slots = <size_t>1 << bits
    cdef Sum* sums = <Sum*>allocate(slots // 2 * sizeof(Sum) + slots * sizeof(uint32_t), 64)
    cdef uint32_t i, slot
    if sums == NULL:
        raise MemoryError()
    if tally.used != 0:
        memcpy(sums, tally.sums, tally.used * sizeof(Sum))
    free(tally.sums)
    tally.sums = sums
    tally.index = <uint32_t*>(sums + slots // 2)
    tally.bits = bits
    memset(tally.index, 0, slots * sizeof(uint32_t))
    for i in range(tally.used):
        slot = tally_slot(tally, sums[i].hash)
        while tally.index[slot] != 0:
            slot = (slot + 1) & <uint32_t>(slots - 1)
        tally.index[slot] = i + 1
    return 0


cdef inline uint32_t tally_slot(Tally* tally, uint64_t hash) noexcept nogil:
    """Where probing starts (Fibonacci hashing: see core/hashing.h)."""
    return <uint32_t>((hash * <uint64_t>0x9E3779B97F4A7C15) >> (64 - tally.bits))


cdef inline ProbeResult tally_probe(Tally* tally, PyObject* key, uint64_t hash, uint32_t* at) noexcept nogil:
    """Goes on from the slot `at`."""
    cdef uint32_t slot = at[0], number
    cdef Sum* sum
    cdef int outcome
    while True:
        number = tally.index[slot]
        if number == 0:
            at[0] = slot
            return NOT_THERE
        sum = &tally.sums[number - 1]
        if sum.key == key:
            at[0] = slot
            return THERE
        if sum.hash == hash:
            at[0] = slot
            outcome = sm_compare(sum.key, key)
            if outcome != 0:
                return THERE if outcome > 0 else NEEDS_PYTHON
        slot = (slot + 1) & ((<uint32_t>1 << tally.bits) - 1)


cdef inline void tally_insert(Tally* tally, uint32_t slot, PyObject* key, uint64_t hash) noexcept:
    """Where probing ended; there is room (tally_is_full)."""
    cdef Sum* sum = &tally.sums[tally.used]
    incref(key)
    sum.key = key
    sum.hash = hash
    sum.number = 1
    tally.used += 1
    tally.index[slot] = tally.used


cdef inline bint tally_is_full(Tally* tally) noexcept nogil:
    return tally.used == <uint32_t>1 << (tally.bits - 1)


cdef inline bint tally_plain(Tally* tally, PyObject* key) except -1:
    """Counts a key of a plain type. False, and nothing done, where the key is none, or has to be compared with one
    that is none. Runs no Python code."""
    cdef Py_hash_t hashed = 0
    cdef uint32_t slot
    cdef ProbeResult found
    if not sm_is_plain_key(key):
        return False
    hash_of(key, &hashed)
    slot = tally_slot(tally, <uint64_t>hashed)
    found = tally_probe(tally, key, <uint64_t>hashed, &slot)
    if found == THERE:
        tally.sums[tally.index[slot] - 1].number += 1
    elif found == NEEDS_PYTHON or tally_is_full(tally):
        return False
    else:
        tally_insert(tally, slot, key, <uint64_t>hashed)
    tally.elements += 1
    return True


cdef int tally_object(Tally* tally, PyObject* key) except -1:
    """Counts a key of any type, of which the caller has a reference; may run any code."""
    cdef Py_hash_t hashed = 0
    cdef uint32_t slot
    cdef ProbeResult found
    hash_of(key, &hashed)
    if tally_is_full(tally):
        tally_grow(tally, tally.bits + 1)
    slot = tally_slot(tally, <uint64_t>hashed)
    while True:
        found = tally_probe(tally, key, <uint64_t>hashed, &slot)
        if found != NEEDS_PYTHON or equal_objects(tally.sums[tally.index[slot] - 1].key, key):
            break
        slot = (slot + 1) & ((<uint32_t>1 << tally.bits) - 1)
    if found == NOT_THERE:
        tally_insert(tally, slot, key, <uint64_t>hashed)
    else:
        tally.sums[tally.index[slot] - 1].number += 1
    tally.elements += 1
    return 0


# --- Where the keys come from ---
#
# Of a list's elements no reference is counted but for the first of equal ones: nobody can change the list in the
# critical section, and nothing in there may suspend it.

cdef int tally_list(MapCore m, Bulk work, Tally* tally, list source, int64_t delta) except -1:
    cdef Py_ssize_t i = 0
    cdef PyObject* unusual
    while True:
        unusual = NULL
        with cython.critical_section(source):
            while i < list_size(<PyObject*>source) and tally.elements < TALLY_ELEMENTS:
                if not tally_plain(tally, list_item(<PyObject*>source, i)):
                    unusual = list_item(<PyObject*>source, i)
                    incref(unusual)
                    break
                i += 1
        if unusual != NULL:
            i += 1
            try:
                tally_object(tally, unusual)
            finally:
                decref(unusual)
        elif tally.elements == 0:
            return 0
        else:
            tally_flush(m, work, tally, delta)


cdef int tally_tuple(MapCore m, Bulk work, Tally* tally, tuple source, int64_t delta) except -1:
    cdef Py_ssize_t i
    for i in range(tuple_size(<PyObject*>source)):
        if not tally_plain(tally, tuple_item(<PyObject*>source, i)):
            tally_object(tally, tuple_item(<PyObject*>source, i))
        if tally.elements == TALLY_ELEMENTS:
            tally_flush(m, work, tally, delta)
    return 0


cdef int tally_iterable(MapCore m, Bulk work, Tally* tally, source, int64_t delta) except -1:
    for key in source:
        if not tally_plain(tally, <PyObject*>key):
            tally_object(tally, <PyObject*>key)
        if tally.elements == TALLY_ELEMENTS:
            tally_flush(m, work, tally, delta)
    return 0


cdef int tally_integers(MapCore m, Bulk work, Tally* tally, IntegerArray source, int64_t delta) except -1:
    """Makes an object of the first of equal numbers only. All keys of the tally are such objects, so none takes Python
    code to compare."""
    cdef uint64_t numbers[TOGETHER]
    cdef Py_ssize_t begin
    cdef uint32_t i, slot
    cdef uint64_t hash
    cdef bint is_signed = source.element.is_signed
    sm_init_integer_key(&work.integer_key)
    for begin in range(0, source.size, TOGETHER):
        read_integers(source, begin, <uint32_t>min(source.size - begin, TOGETHER), numbers)
        for i in range(<uint32_t>min(source.size - begin, TOGETHER)):
            hash = <uint64_t>sm_integer_hash(numbers[i], is_signed)
            slot = tally_slot(tally, hash)
            if tally_probe(tally, sm_integer_as_key(&work.integer_key, numbers[i], is_signed), hash, &slot) == THERE:
                tally.sums[tally.index[slot] - 1].number += 1
                tally.elements += 1
            else:
                tally_new_integer(tally, numbers[i], source)
        if tally.elements >= TALLY_ELEMENTS:
            tally_flush(m, work, tally, delta)
    return 0


cdef int tally_new_integer(Tally* tally, uint64_t number, IntegerArray source) except -1:
    cdef PyObject* key = new_integer(number, source.element)
    try:
        tally_object(tally, key)
    finally:
        decref(key)
    return 0


cdef int map_add_many(MapCore m, keys, delta) except -1:
    cdef int64_t number = 0
    if not is_exact_int(<PyObject*>delta) or not as_number(<PyObject*>delta, &number) or not (
            -MOST_DELTA <= number <= MOST_DELTA):
        # Not a number of which n times is the same as n additions, or too large for it.
        for key in plain_keys(keys, RAISE_TYPE_ERROR):
            MapCore.add(m, key, delta)
        return 0
    map_count(m, keys, number)
    return 0


cdef int map_count(MapCore m, elements, int64_t delta) except -1:
    """Adds `delta`, at most MOST_DELTA, to the number of each of `elements`."""
    cdef object source = source_of_keys(elements, RAISE_TYPE_ERROR)
    cdef Bulk work = new_bulk(m, -1, BATCH)
    cdef Tally tally
    mark_shared(m)
    tally.sums = NULL
    tally.used = 0
    tally.elements = 0
    tally_grow(&tally, SMALLEST_TALLY)
    try:
        if PyList_CheckExact(source):
            tally_list(m, work, &tally, source, delta)
        elif PyTuple_CheckExact(source):
            tally_tuple(m, work, &tally, source, delta)
        elif type(source) is IntegerArray and (<IntegerArray>source).element.is_bool:
            tally_list(m, work, &tally, integers_as_list(<IntegerArray>source), delta)
        elif type(source) is IntegerArray:
            tally_integers(m, work, &tally, <IntegerArray>source, delta)
        else:
            tally_iterable(m, work, &tally, source, delta)
    finally:
        try:
            tally_flush(m, work, &tally, delta)
        finally:
            free(tally.sums)
    return 0


# --- Into the map ---

cdef int tally_flush(MapCore m, Bulk work, Tally* tally, int64_t delta) except -1:
    """Adds the sums to the map and forgets them. An error of one does not keep the others from being added; the
    first is raised in the end."""
    cdef uint32_t used = tally.used, begin, i
    split_if_wanted(m)
    cdef object error = None
    cdef Sum* sums
    for begin in range(0, used, BATCH):
        sums = &tally.sums[begin]
        work.layout = layout_of(m)
        work.size = min(used - begin, BATCH)
        for i in range(work.size):
            work.keys[i] = work.values[i] = NULL
            put_hash(work, i, sums[i].hash, work.layout.shard_bits)
            work.state[i] = False
        add_grouped(work, sums, delta)
        for i in range(work.size):
            if not work.state[i]:
                try:
                    add_later(m, work, i, &sums[i], delta)
                except BaseException as raised:
                    if error is None:
                        error = raised
        drop_keys(work)
    tally.used = 0
    tally.elements = 0
    memset(tally.index, 0, (<size_t>1 << tally.bits) * sizeof(uint32_t))
    for i in range(used):
        decref(tally.sums[i].key)
    if error is not None:
        raise error
    return 0


cdef void add_grouped(Bulk work, Sum* sums, int64_t delta) noexcept:
    """Adds what can be added in one go under the shards' mutexes to entries that are there, and sets `state`. What
    went out is in `values`. The keys differ, so their order does not matter."""
    cdef uint32_t begin = 0, end, at, i, slot = 0, entry = 0
    cdef int64_t number = 0
    cdef Shard* shard
    cdef Block* block
    cdef PyObject* old
    group(work, 0)
    while begin < work.size:
        end = turn_end(work, begin)
        shard = shard_of_key(work, work.order[begin])
        lock(shard)
        if shard.key_locks == NULL and not is_shared(shard.table):
            block = block_of(shard.table)
            prefetch_first(work, block, begin, end)
            for at in range(begin, end):
                prefetch_ahead(work, block, at, end, False)
                i = work.order[at]
                if probe(block, sums[i].key, work.hash31[i], &slot, &entry) == THERE:
                    old = block.entries[entry].value
                    if as_number(old, &number) and fits(number + sums[i].number * delta):
                        put_value(block, entry, raw_of(number + sums[i].number * delta))
                        work.values[i] = old
                        work.state[i] = True
        unlock(shard)
        begin = end


cdef int add_later(MapCore m, Bulk work, uint32_t i, Sum* sum, int64_t delta) except -1:
    """Adds one sum whatever the key, the entry and the shard are."""
    cdef Access at
    cdef uint32_t entry = 0
    cdef PyObject* total = NULL
    cdef PyObject* more
    locate_key(work, i, &at)
    lock_located(&at)
    if at.shard.key_locks == NULL and not is_shared(at.shard.table):
        at.found.block = block_of(at.shard.table)
        if probe(at.found.block, sum.key, at.hash31, &at.found.slot, &entry) == NOT_THERE:
            if not insert_and_unlock(&at, sum.key, raw_of(sum.number * delta)):
                raise_memory_error()
            return 0
    unlock(at.shard)
    more = box_long_long(sum.number * delta)
    try:
        if add_located(&at, sum.key, more, <PyObject*>ZERO, &total):
            value_decref(total)
        else:
            decref(add_objects(m, sum.key, more, <PyObject*>ZERO))
    finally:
        decref(more)
    return 0
