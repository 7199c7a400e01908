# Compound operations: what would be several steps of a dict, as one.
#
# There are two ways. Functions run under the key's lock (core/key_lock.pyx): exactly once, while other writers of the
# key wait. Comparisons and `+` run without a lock on the value that was read. The new value is stored only if the entry
# still holds the same object; otherwise the operation starts again. In both ways the key itself is compared only once,
# because its place is remembered.
#
# clear() does not wait for functions. If clear() runs after the value was read and before the result is stored, the
# result is returned to the caller but not stored, as if it had been stored just before clear() removed it. (Running the
# function again might never end.) `whole_map_seq` shows this, because every clear() changes it while it holds all
# mutexes.

cdef Found start_computing(MapCore self, PyObject* key, Computation* work, PyObject** value) except FAILED:
    """Takes the key's lock and reads the value."""
    mark_shared(self)
    locate(self, key, &work.at)
    work.held = take_key_lock(&work.at, key, key, NO_DEADLINE, True)
    work.grant = work.held.grant
    try:
        return read_to_compute(self, key, work, value)
    except:
        end_computing(work)
        raise


cdef Found read_to_compute(MapCore self, PyObject* key, Computation* work, PyObject** value) except FAILED:
    cdef Found found
    work.whole_map_seq = &self.whole_map_seq
    while True:
        work.seq_at_read = sm_load_u64(work.whole_map_seq)
        found = map_get_found(self, &work.at, key, value, &work.found)
        if not work.seq_at_read & 1 and sm_load_u64(work.whole_map_seq) == work.seq_at_read:
            break
        if found == PRESENT:        # a clear() came between. What is under way has the mutexes: reading waited for it
            value_decref(value[0])
            value[0] = NULL
    if found == PRESENT:
        value[0] = boxed(value[0])
    return found


cdef int write_computed(Computation* work, key, result) except -1:
    """Stores what a function returned under the key's lock; unless a clear() came between: then it is as if it had been
    stored before that."""
    cdef WriteRequest request = request_to_write(NULL if result is no_value else <PyObject*>result)
    request.grant = work.grant
    request.found = work.found
    request.whole_map_seq = work.whole_map_seq
    request.seq_at_read = work.seq_at_read
    write_located(&work.at, <PyObject*>key, &request)
    return 0


cdef void end_computing(Computation* work) noexcept:
    """May run any code."""
    release_key_lock(work.at.shard, work.held)
