# AtomicRef: one reference that threads load and replace (arc-swap of Rust, AtomicReference of Java).
#
# Writers change the pointer under a lock of one byte; nothing but the pointer and reference counts that go up
# is touched under it, and old values are released after it. From 3.14 on, a reader takes it only for the first load of
# an object by another thread than the object's, and when it meets a replacement (atomicref.h).

cdef inline PyObject* ref_load(AtomicRef self) noexcept:
    """A reference of the caller's."""
    cdef PyObject* value = sm_try_get_ref(&self.value)
    return value if value != NULL else ref_load_locked(self)


cdef PyObject* ref_load_locked(AtomicRef self) noexcept:
    cdef PyObject* value
    sm_byte_lock(&self.lock)
    value = self.value
    incref(value)
    sm_allow_try_incref(value)
    sm_byte_unlock(&self.lock)
    return value


cdef inline PyObject* ref_swap(AtomicRef self, PyObject* new) noexcept:
    """Takes a reference to `new`, gives that to the value before."""
    cdef PyObject* old
    cdef unsigned long me = PyThread_get_thread_ident()
    incref(new)
    sm_byte_lock(&self.lock)
    old = self.value
    sm_store_ptr(<void**>&self.value, new)
    self.writer = me
    sm_byte_unlock(&self.lock)
    return old


cdef inline PyObject* ref_compare_and_swap(AtomicRef self, PyObject* current, PyObject* new, bint* spoiled) noexcept:
    """A reference to the value before; replaced by `new` if it is `current`. `spoiled`: if not, whether it was this
    thread that wrote last."""
    cdef PyObject* old
    cdef unsigned long me = PyThread_get_thread_ident()
    incref(new)
    sm_byte_lock(&self.lock)
    old = self.value
    if old == current:
        sm_store_ptr(<void**>&self.value, new)
        self.writer = me
        sm_byte_unlock(&self.lock)
        return old
    incref(old)
    spoiled[0] = self.writer == me
    sm_byte_unlock(&self.lock)
    decref(new)
    return old


@cython.final
@cython.trashcan(True)      # references may be nested deeply
cdef class AtomicRef:
    """AtomicRef(value, /)\n--\n\nA reference to one object that threads load and replace, for example a configuration
    or a version of a data structure.

    AtomicRef(value). Readers load a version and use it for as long as they like. Writers replace it. Every operation is
    linearizable and holds no lock while your code runs. A call waits at most for a few instructions of another call. On
    free-threaded CPython 3.14 and later, most loads wait for nothing. All threads that load an object update the same
    reference count, which costs time: so keep the loaded object in a variable instead of loading it again. Comparisons
    are by identity. ArcSwap of Rust, AtomicReference of Java.

    >>> config = AtomicRef({"workers": 2})
    >>> before = config.rcu(lambda old: {**old, "workers": 4})
    >>> before, config.load()
    ({'workers': 2}, {'workers': 4})
    """

    __class_getitem__ = classmethod(GenericAlias)

    def __cinit__(self, *arguments, **keywords):
        if keywords:
            raise TypeError("AtomicRef() takes no keyword arguments")
        if len(arguments) != 1:
            raise TypeError(f"AtomicRef() takes exactly one argument ({len(arguments)} given)")
        self.value = new_reference(<PyObject*>arguments[0])

    def __dealloc__(self):
        cdef PyObject* value = self.value
        self.value = NULL
        if value != NULL:
            decref(value)

    def load(self):
        """Returns the value. Linearizable. ArcSwap::load_full of Rust."""
        sm_mark_shared(<PyObject*>self, &self.is_shared_between_threads)
        return steal(ref_load(self))

    def store(self, value, /):
        """Replaces the value. Linearizable. ArcSwap::store of Rust."""
        sm_mark_shared(<PyObject*>self, &self.is_shared_between_threads)
        decref(ref_swap(self, <PyObject*>value))

    def swap(self, value, /):
        """Replaces the value and returns the previous one. Linearizable. ArcSwap::swap of Rust."""
        sm_mark_shared(<PyObject*>self, &self.is_shared_between_threads)
        return steal(ref_swap(self, <PyObject*>value))

    def compare_and_swap(self, current, new, /):
        """Replaces the value if it *is* `current`, and returns the previous value, which is `current` if it was
        replaced. The comparison is by identity, so pass what load() returned as `current`: equal numbers may be
        different objects. Linearizable. ArcSwap::compare_and_swap of Rust."""
        cdef bint spoiled = False
        sm_mark_shared(<PyObject*>self, &self.is_shared_between_threads)
        return steal(ref_compare_and_swap(self, <PyObject*>current, <PyObject*>new, &spoiled))

    def rcu(self, function, /):
        """Replaces the value by function(value) and returns the previous value (read, copy, update). If another thread
        wrote meanwhile, the function runs again with the new value. So no update is lost, but the function may run more
        than once and should have no other effect. It runs without a lock. If it raises, nothing is changed. If the
        function itself writes to this reference each time it runs, raises RuntimeError. Linearizable. ArcSwap::rcu of
        Rust."""
        cdef bint spoiled
        cdef int own = 0
        sm_mark_shared(<PyObject*>self, &self.is_shared_between_threads)
        while True:
            old = steal(ref_load(self))
            new = function(old)
            spoiled = False
            found = steal(ref_compare_and_swap(self, <PyObject*>old, <PyObject*>new, &spoiled))
            if found is old:
                return old
            if spoiled:
                own += 1
                if own == OWN_WRITES:
                    raise RuntimeError("the function passed to rcu() itself writes to the reference")
            PyErr_CheckSignals()

    def __repr__(self):
        if Py_ReprEnter(self) != 0:
            return "AtomicRef(...)"
        try:
            return f"AtomicRef({self.load()!r})"
        finally:
            Py_ReprLeave(self)

    def __reduce__(self):
        # The value as a state: it may refer to this reference.
        return AtomicRef, (None,), (self.load(),)

    def __setstate__(self, tuple state not None):
        value, = state
        self.store(value)

    def __copy__(self):
        """Returns a new reference to the same object."""
        return AtomicRef(self.load())
