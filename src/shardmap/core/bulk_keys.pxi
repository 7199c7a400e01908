# What operations on many keys share: finding keys without running Python code, and putting the keys of one shard
# next to each other.

from cpython.list cimport PyList_CheckExact
from cpython.tuple cimport PyTuple_CheckExact

cdef extern from "Python.h":
    Py_ssize_t list_size "PyList_GET_SIZE"(PyObject*) noexcept
    PyObject* list_item "PyList_GET_ITEM"(PyObject*, Py_ssize_t) noexcept
    Py_ssize_t tuple_size "PyTuple_GET_SIZE"(PyObject*) noexcept
    PyObject* tuple_item "PyTuple_GET_ITEM"(PyObject*, Py_ssize_t) noexcept

cdef enum Probe:
    NOT_THERE = 0           # `word` is where it would go
    THERE = 1
    UNSURE = 2              # only Python can compare the key with that of `entry`

cdef enum:
    BATCH = 1024            # keys that are sorted by shard at a time
    KEYS_A_TURN = 128       # keys for which a mutex is held at a time, at the most
    AHEAD = 8               # keys that are prefetched ahead
    MOST_SORTED_SHARDS = 4096   # with more there is little to put together


cdef inline Probe probe(Block* block, PyObject* key, uint32_t place, uint32_t* found_word,
                        uint32_t* found_entry) noexcept nogil:
    """find_locked() without what could run Python code."""
    cdef uint32_t mask = block.mask, around = round_of(block), perturb = place
    cdef uint32_t word = place & mask, content, entry, step
    cdef PyObject* stored
    cdef int outcome
    while True:
        for step in range(around + 1):
            content = block.index[word]
            if content == EMPTY:
                found_word[0] = word
                return NOT_THERE
            if ((content ^ place) & ~mask) == 0 and (content & mask) >= FIRST_ENTRY:
                entry = (content & mask) - FIRST_ENTRY
                stored = block.entries[entry].key
                if stored == key or place_of_entry(block, entry) == place:
                    found_word[0] = word
                    found_entry[0] = entry
                    if stored == key:
                        return THERE
                    outcome = sm_compare(stored, key)
                    if outcome != 0:
                        return THERE if outcome > 0 else UNSURE
            word = (word & ~around) | ((word + 1) & around)
        word = next_line(word, &perturb, mask)


# --- By shard ---

cdef struct Grouping:
    uint32_t* starts        # of each shard's keys in `order`, shards + 1 of them; NULL: not sorted
    uint32_t shards
    uint32_t order[BATCH]
    uint32_t shard[BATCH]
    uint32_t place[BATCH]


cdef Grouping* new_grouping(MapCore m, size_t size) except NULL:
    """One as the beginning of a struct of `size` bytes."""
    cdef bint sorted = m.shard_count <= MOST_SORTED_SHARDS
    cdef Grouping* grouping = <Grouping*>allocate(size + (m.shard_count + 1) * sizeof(uint32_t) * sorted, 64)
    if grouping == NULL:
        raise MemoryError()
    grouping.shards = m.shard_count
    grouping.starts = <uint32_t*>(<char*>grouping + size) if sorted else NULL
    return grouping


cdef inline void put_hash(Grouping* grouping, uint32_t i, uint64_t hash, uint32_t shard_bits) noexcept nogil:
    grouping.shard[i] = sm_shard_of(hash, shard_bits)
    grouping.place[i] = sm_place_of(hash, shard_bits)


cdef void group(Grouping* grouping, uint32_t count) noexcept nogil:
    """Sorts the keys by shard, those of one shard staying in their order (a counting sort)."""
    cdef uint32_t* starts = grouping.starts
    cdef uint32_t i
    if starts == NULL:
        for i in range(count):
            grouping.order[i] = i
        return
    memset(starts, 0, (grouping.shards + 1) * sizeof(uint32_t))
    for i in range(count):
        starts[grouping.shard[i] + 1] += 1
    for i in range(1, grouping.shards):
        starts[i] += starts[i - 1]
    for i in range(count):
        grouping.order[starts[grouping.shard[i]]] = i
        starts[grouping.shard[i]] += 1


cdef inline uint32_t turn_end(Grouping* grouping, uint32_t begin, uint32_t count) noexcept nogil:
    """The end of the run of keys of one shard that begins at `begin`, cut where the mutex is to be let go."""
    cdef uint32_t shard = grouping.shard[grouping.order[begin]], end = begin + 1
    if count > begin + KEYS_A_TURN:
        count = begin + KEYS_A_TURN
    while end < count and grouping.shard[grouping.order[end]] == shard:
        end += 1
    return end


cdef inline void prefetch_word(Block* block, uint32_t place) noexcept nogil:
    prefetch(&block.index[place & block.mask])


cdef inline void prefetch_entry(Block* block, uint32_t place) noexcept nogil:
    """The entry that the first index word of the place points to; most often the right one."""
    cdef uint32_t content = block.index[place & block.mask] & block.mask
    if content >= FIRST_ENTRY:
        prefetch(&block.entries[content - FIRST_ENTRY])
        prefetch(&block.places[content - FIRST_ENTRY])


cdef inline void prefetch_ahead(Grouping* grouping, Block* block, uint32_t at, uint32_t end) noexcept nogil:
    if at + AHEAD < end:
        prefetch_word(block, grouping.place[grouping.order[at + AHEAD]])
    if at + AHEAD // 2 < end:
        prefetch_entry(block, grouping.place[grouping.order[at + AHEAD // 2]])
