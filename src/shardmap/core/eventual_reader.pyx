# Readers of an EventualMap. A version is a snapshot of keys and their bags (tuples), published in an AtomicRef.
#
# A reader belongs to one thread, as evmap's ReadHandle does: so it can look at the version it holds without a
# lock, without counting a reference to it, and without writing anything but memory of its own. Objects that
# several threads read are not counted on the way: the snapshot and its tables are reached by plain pointers,
# stored keys of plain types are compared where they are, and a small bag is copied into a tuple of the
# reader's own. What is counted is what the reader gets: the values.
#
# On free-threaded builds an object is best freed by the thread that made it: the last reference of another thread's
# goes to the owner's queue, under a mutex, and interrupts the owner. One such object costs little. A whole version in
# a row does not (its tables, their bags and keys): the writer, interrupted at the first, waits for the queue's mutex
# while the reader still adds to it, and where threads outnumber processors CPython waits by giving up its turn. So
# only a Version holds the snapshot that it published. Its owner is then always one of those who hold a reference to
# the snapshot, so the snapshot, whoever lets the Version go last, goes to the owner's queue alone, and is taken apart
# there.

@cython.final
cdef class Version:
    """What one refresh published (internal)."""

    __class_getitem__ = classmethod(GenericAlias)

    def __cinit__(self, SnapshotCore content not None, meta, uint64_t number, /):
        self.content = content
        self.meta = meta
        self.number = number


# Garbage is taken apart at `meta` and in the tables; who still reads needs the rest.

cdef SnapshotCore view_of(Version version):
    """A snapshot of the caller's own, on the tables of the version's, which it keeps by keeping the version."""
    cdef SnapshotCore source = version.content
    cdef type cls = type(source)
    cdef SnapshotCore view = cls.__new__(cls)
    view.origin = version
    view.tables = source.tables
    view.table_count = source.table_count
    view.shard_bits = source.shard_bits
    view.chosen_shards = source.chosen_shards
    view.live = source.live
    return view


cdef inline int begin_reading(ReaderCore self) except -1:
    """Checks the thread; until end_reading() the version stays, even if the code of keys renews the reader."""
    cdef unsigned long me = PyThread_get_thread_ident()
    if self.owner != me:
        claim_reader(self, me)
    self.reading += 1
    return 0


cdef inline void end_reading(ReaderCore self) noexcept:
    self.reading -= 1
    if self.reading == 0 and <PyObject*>self.replaced != <PyObject*>None:
        self.replaced = None


cdef int claim_reader(ReaderCore self, unsigned long me) except -1:
    if not sm_claim(&self.owner, me):
        raise RuntimeError("this reader belongs to another thread; create a reader for each thread with reader()")
    return 0


cdef inline PyObject* version_content(ReaderCore self) noexcept:
    return <PyObject*>(<Version><PyObject*>self.held).content


cdef Found reader_find(ReaderCore self, PyObject* key, PyObject** bag) except FAILED:
    """PRESENT: the key's bag, borrowed until end_reading()."""
    cdef Access at
    cdef Found found = snapshot_find(<SnapshotCore>version_content(self), key, &at)
    if found == PRESENT:
        bag[0] = entry_of(&at).value
    return found


cdef tuple bag_of_ones_own(PyObject* bag):
    cdef Py_ssize_t size = tuple_size(bag), i
    cdef tuple own
    if size > SMALL_BAG:
        return <tuple>bag
    own = PyTuple_New(size)
    for i in range(size):
        incref(tuple_item(bag, i))
        set_item(<PyObject*>own, i, tuple_item(bag, i))
    return own


cdef tuple published_values(ReaderCore self, key):
    """The values of `key`, oldest first, or None."""
    cdef PyObject* bag = NULL
    begin_reading(self)
    try:
        if reader_find(self, <PyObject*>key, &bag) == PRESENT:
            return bag_of_ones_own(bag)
        return None
    finally:
        end_reading(self)


@cython.no_gc_clear     # every cycle goes through a table or what was published with the version
cdef class ReaderCore:
    """EventualReader(published, /)\n--\n\nOne version of an EventualMap, for one thread at a time."""

    __class_getitem__ = classmethod(GenericAlias)

    def __cinit__(self, AtomicRef published not None, /):
        self.published = published
        self.held = published.load()
        if self.held is None:
            raise TypeError("EventualReader() argument must hold a published version, not None")

    def __len__(self):
        cdef Py_ssize_t size
        begin_reading(self)
        size = (<SnapshotCore>version_content(self)).live
        end_reading(self)
        return size

    def __contains__(self, key):
        cdef PyObject* bag = NULL
        begin_reading(self)
        try:
            return reader_find(self, <PyObject*>key, &bag) == PRESENT
        finally:
            end_reading(self)

    def __getitem__(self, key):
        """Returns the values of `key` as a tuple, oldest first. Raises KeyError if there are none. Takes no lock."""
        cdef tuple values = published_values(self, key)
        if values is None:
            raise KeyError(key)
        return values

    def get(self, key, default=None, /):
        """Returns the values of `key` as a tuple, oldest first, or `default` if there are none. Takes no lock.
        ReadHandle::get of evmap."""
        cdef tuple values = published_values(self, key)
        return default if values is None else values

    def get_one(self, key, default=None, /):
        """Returns the oldest value of `key`, or `default` if there is none. Takes no lock and creates no tuple.
        ReadHandle::get_one of evmap."""
        cdef PyObject* bag = NULL
        begin_reading(self)
        try:
            if reader_find(self, <PyObject*>key, &bag) == PRESENT:
                return <object>tuple_item(bag, 0)
        finally:
            end_reading(self)
        return default

    def renew(self):
        """Moves to the newest published version, and returns whether it is a different one. If it is not, the call
        costs one comparison. Versions never go backward. mdb_txn_renew of LMDB."""
        cdef Version newest
        begin_reading(self)
        try:
            if sm_load_ptr(<void**>&self.published.value) == <PyObject*>self.held:
                return False
            newest = self.published.load()
            if newest is None or newest.number <= self.held.number:
                return False
            # Kept until nobody further up this thread's stack is looking at it.
            self.replaced = (self.held, self.replaced)
            self.held = newest
            return True
        finally:
            end_reading(self)

    @property
    def version(self):
        """The number of the version that this reader sees."""
        begin_reading(self)
        number = self.held.number
        end_reading(self)
        return number

    @property
    def meta(self):
        """The `meta` that was published with the version that this reader sees."""
        begin_reading(self)
        meta = self.held.meta
        end_reading(self)
        return meta

    def _content(self):
        begin_reading(self)
        try:
            return view_of(self.held)
        finally:
            end_reading(self)

    def _iterate(self, int what, bint backward=False, /):
        return new_iterator(self._content(), checked(what), backward)

    def __iter__(self):
        return new_iterator(self._content(), KEYS, False)

    def __reversed__(self):
        return new_iterator(self._content(), KEYS, True)


# Steps that nothing of the user's may come between: finalizers run after them.

def _empty(list items not None, /):
    """Removes all items; returns whether there were any."""
    cdef bint any_there = len(items) != 0
    items.clear()
    return any_there


def _delete_item(list items not None, Py_ssize_t place, item, /):
    """Removes the item in that place if it is `item`; returns whether it was."""
    if not 0 <= place < len(items) or <PyObject*>items[place] != <PyObject*>item:
        return False
    del items[place]
    return True
