# What the block of a cache has of each entry beside what a map's has: whole words, then marks of one byte.
#
#     deadlines       int64 [capacity]    when the entry expires; FOREVER: not by time since it was written
#     access times    int64 [capacity]    when it was last used, or up to 1/128 of `idle` before
#     refresh times   int64 [capacity]    from when on a new value is wanted
#     weights         int64 [capacity]
#     marks           uint8 [capacity]    what readers and the eviction policy know of it (core/cache_policy.pyx)
#
# They are written under the shard's mutex, but marks, which readers raise. Readers look at deadlines and access times:
# an entry's are stored before the slot that shows it.

cdef inline int64_t* column_of(Block* block, int columns, int which) noexcept nogil:
    """One of the columns of words."""
    cdef int before = columns & (which - 1)
    return <int64_t*>(<char*>(block.hash31s + block.capacity) + block.capacity * column_bytes(before))


cdef inline uint8_t* marks_of(Block* block, int columns) noexcept nogil:
    return <uint8_t*>column_of(block, columns, MARKS)


cdef void copy_cache_columns(Block* new, Block* old, int columns) noexcept nogil:
    """From a block to one with the same entries, without holes."""
    cdef int which = DEADLINES
    cdef uint32_t entry, to = 0
    cdef int64_t* words
    cdef int64_t* new_words
    cdef uint8_t* marks = marks_of(old, columns)
    cdef uint8_t* new_marks = marks_of(new, columns)
    while which < MARKS:
        if columns & which:
            words = column_of(old, columns, which)
            new_words = column_of(new, columns, which)
            to = 0
            for entry in range(old.used):
                if old.entries[entry].key != NULL:
                    new_words[to] = words[entry]
                    to += 1
        which *= 2
    to = 0
    for entry in range(old.used):
        if old.entries[entry].key != NULL:
            new_marks[to] = sm_load_u8_relaxed(&marks[entry])
            to += 1
