# Calling a function whose results are cached: what @cached makes (src/shardmap/_cached.py).
#
# The object is called by CPython's vectorcall convention, so a hit makes no frame, no dict, and for one argument of
# type int or str no tuple: that argument is the key, as in functools.lru_cache. Any other key is a tuple of the
# arguments, compared in C if they are of plain types. The object itself is used by all threads, so its references are
# counted in the deferred way once a second one calls it (core/interpreter.h).
#
# A method's results are cached for each instance, in the instance's __dict__. So they live as long as the instance,
# which they do not keep alive; a cycle through them is the collector's. Whose instances have no __dict__ are part of
# the key.

from collections import namedtuple
from types import MethodType
from weakref import ref as weak_reference

cdef object KEYWORDS = object()         # in a key, before names and values


# No tp_clear in these two, which would take the cache away from finalizers that still use it: each cycle through them
# goes through a table, a function or a dict as well.

@cython.final
@cython.no_gc_clear
cdef class InstanceCache:
    """The results of one method for one instance (internal). A copy or a pickle of the instance gets an empty one."""

    def __reduce__(self):
        return _new_instance_cache, ()

    def __copy__(self):
        return _new_instance_cache()

    def __deepcopy__(self, memo):
        return _new_instance_cache()

    def __eq__(self, other):
        return isinstance(other, InstanceCache)

    __hash__ = None


def _new_instance_cache():
    return InstanceCache.__new__(InstanceCache)


@cython.final
@cython.no_gc_clear
cdef class CachedCall:
    """A function with a cache of its results. See shardmap.cached."""

    def __cinit__(self, function, CacheCore cache, make_cache, key, parameters, bint typed, bint once, bint bypasses):
        self.vectorcall = <void*>call_cached
        self.function = function
        self.cache = cache
        self.make_cache = make_cache
        self.key = key
        self.parameters = parameters
        self.typed = typed
        self.once = once
        self.bypasses = bypasses

    def __call__(self, *args, **kwargs):
        """Returns the cached result, or calls the function if there is none."""
        return (<object>self)(*args, **kwargs)      # the type's slot, which is set below: call_cached()

    def __set_name__(self, owner, name):
        # Only of a function that was defined in this class: not if it has merely been put there.
        if getattr(self.function, "__qualname__", "").rpartition(".")[0] == owner.__qualname__:
            self.is_method = True
            self.name_in_instance = f"cached:{owner.__module__}.{owner.__qualname__}.{name}"

    def __get__(self, instance, owner):
        if instance is None:
            return self
        if self.is_method:
            return BoundCachedCall(self, instance)
        return MethodType(self, instance)

    def __reduce__(self):
        return self.__qualname__

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __repr__(self):
        return f"<cached {self.function!r}>"

    def _cache_for(self, args, kwargs, /):
        """The cache that a call with these arguments looks into, and the key."""
        cdef InstanceCache own = None
        if self.is_method and args:
            own = cache_of_instance(self, args[0])
            if own is None and self.key is not None:
                return self.cache, (args[0], self.key(*args[1:], **kwargs))
            if own is not None:
                args = args[1:]
        key = self.key(*args, **kwargs) if self.key is not None else _call_key(args, kwargs, self.typed)
        return own.cache if own is not None else self.cache, key

    def _cache_of(self, instance, /):
        return cache_or_shared(self, instance)

    def cache_info(self):
        """Returns CacheInfo(hits, misses, maxsize, currsize). For a method, it covers only calls that did not use the
        cache of an instance."""
        return cache_info(self.cache, self.parameters)

    def cache_clear(self):
        """Forgets all results and sets the counts to zero. For a method, it does so for every instance."""
        sm_add_u64(&self.generation, 1)
        clear_all(self.cache)

    def cache_parameters(self):
        """Returns a dict with `maxsize` and `typed`."""
        return self.parameters.copy()

    def invalidate(self, *args, **kwargs):
        """Forgets the result of one call, even if it is being computed, and returns whether there was one."""
        cache, key = self._cache_for(args, kwargs)
        return cache.invalidate(key)


@cython.final
cdef class BoundCachedCall:
    """A method of one instance, with a cache of its results."""

    def __cinit__(self, function, instance):
        self.function = function
        self.instance = instance

    def __call__(self, *args, **kwargs):
        return self.function(self.instance, *args, **kwargs)

    def __getattr__(self, name):
        return getattr(self.function, name)

    @property
    def __func__(self):
        return self.function

    @property
    def __self__(self):
        return self.instance

    @property
    def __doc__(self):
        return self.function.__doc__

    @property
    def __wrapped__(self):
        return MethodType(self.function.__wrapped__, self.instance)

    def __eq__(self, other):
        if not isinstance(other, BoundCachedCall):
            return NotImplemented
        return (self.function is (<BoundCachedCall>other).function
                and self.instance is (<BoundCachedCall>other).instance)

    def __hash__(self):
        return hash((id(self.function), id(self.instance)))

    def __reduce__(self):
        return getattr, (self.instance, self.function.__name__)

    def __repr__(self):
        return f"<cached method {self.function.__qualname__} of {self.instance!r}>"

    def cache_info(self):
        """Returns CacheInfo(hits, misses, maxsize, currsize) of this instance's cache. Instances without `__dict__`
        share one cache."""
        return cache_info(self.function._cache_of(self.instance), self.function.cache_parameters())

    def cache_clear(self):
        """Forgets this instance's results and sets its counts to zero. Instances without `__dict__` share one cache: it
        forgets the results of all."""
        clear_all(self.function._cache_of(self.instance))

    def invalidate(self, *args, **kwargs):
        """Forgets the result of one call for this instance, and returns whether there was one."""
        return self.function.invalidate(self.instance, *args, **kwargs)


CacheInfo = namedtuple("CacheInfo", ["hits", "misses", "maxsize", "currsize"], module="shardmap")


cdef object cache_info(CacheCore c, parameters):
    cdef uint64_t hits = 0, misses = 0
    sum_counts(c, &hits, &misses)
    return CacheInfo(hits, misses, parameters["maxsize"], len(c))


cdef int clear_all(CacheCore c) except -1:
    cache_clear(c)
    return forget_counts(c)


cdef CacheCore cache_or_shared(CachedCall self, instance):
    cdef InstanceCache own = cache_of_instance(self, instance)
    return own.cache if own is not None else self.cache


cdef InstanceCache cache_of_instance(CachedCall self, instance):
    """None: the instance has no __dict__."""
    cdef InstanceCache own
    cdef uint64_t generation
    found = None
    try:
        found = generic_getattr(instance, self.name_in_instance)
    except AttributeError:
        pass
    if isinstance(found, InstanceCache) and belongs_to(found, self, instance):
        own = found
        generation = sm_load_u64(&self.generation)
        if sm_load_u64(&own.generation) != generation:      # all results of the method were forgotten since
            clear_all(own.cache)        # first, so that no other thread takes it for cleared before
            sm_store_u64(&own.generation, generation)
        return own
    try:
        attributes = instance.__dict__
    except AttributeError:
        return None
    if not isinstance(attributes, dict):        # a class is the instance of its metaclass
        return None
    own = InstanceCache.__new__(InstanceCache)
    own.owner = self
    own.cache = self.make_cache()
    own.address = <PyObject*>instance
    own.generation = sm_load_u64(&self.generation)
    try:
        own.instance = weak_reference(instance)
    except TypeError:
        pass
    if found is not None:       # of another function of this name, or it came with a copy
        attributes.pop(self.name_in_instance, None)
    found = attributes.setdefault(self.name_in_instance, own)
    return found if isinstance(found, InstanceCache) and belongs_to(found, self, instance) else None


cdef inline bint belongs_to(InstanceCache own, CachedCall function, instance) noexcept:
    """A shallow copy of an instance has the very object of the one that it was made of."""
    return (own.owner is function and own.address == <PyObject*>instance
            and (own.instance is None or sm_refers_to(<PyObject*>own.instance, own.address)))


# --- Keys ---

cdef inline bint is_its_own_key(PyObject* argument) noexcept:
    return is_exact_str(argument) or is_exact_int(argument)


cdef PyObject* key_of_call(PyObject** arguments, Py_ssize_t count, PyObject* names, bint typed) except NULL:
    """A new reference: the one argument, or a tuple (functools._make_key)."""
    cdef Py_ssize_t named = tuple_size(names) if names != NULL else 0, i, at
    cdef Py_ssize_t size = count
    cdef PyObject* key
    if size == 1 and named == 0 and not typed and is_its_own_key(arguments[0]):
        return new_reference(arguments[0])
    if named != 0:
        size += 1 + 2 * named
    if typed:
        size += count + named
    key = new_tuple(size)
    for at in range(count):
        set_item(key, at, new_reference(arguments[at]))
    at = count
    if named != 0:
        set_item(key, at, new_reference(<PyObject*>KEYWORDS))
        at += 1
        for i in range(named):
            set_item(key, at, new_reference(tuple_item(names, i)))
            set_item(key, at + 1, new_reference(arguments[count + i]))
            at += 2
    if typed:
        for i in range(count + named):
            set_item(key, at + i, new_reference(<PyObject*>type_of(arguments[i])))
    return key


def _call_key(tuple args, dict kwargs, bint typed, /):
    """What a call with these arguments is found by."""
    cdef PyObject** arguments = <PyObject**>allocate((len(args) + len(kwargs) + 1) * sizeof(PyObject*), sizeof(void*))
    cdef Py_ssize_t i = 0
    cdef tuple names = tuple(kwargs)
    cdef tuple values = tuple(kwargs.values())
    if arguments == NULL:
        raise MemoryError()
    try:
        for i in range(len(args)):
            arguments[i] = <PyObject*>args[i]
        for i in range(len(values)):
            arguments[len(args) + i] = <PyObject*>values[i]
        return steal(key_of_call(arguments, len(args), <PyObject*>names if names else NULL, typed))
    finally:
        free(arguments)


# --- The call ---

cdef PyObject* call_cached(PyObject* self, PyObject** arguments, size_t count_and_flag, PyObject* names) except NULL:
    if sm_is_foreign(self, &(<CachedCall>self).is_shared_between_threads):
        sm_mark_shared(self, &(<CachedCall>self).is_shared_between_threads)
    return call_through(<CachedCall>self, arguments, vectorcall_count(count_and_flag), names)


cdef inline PyObject* call_through(CachedCall self, PyObject** arguments, Py_ssize_t count,
                                   PyObject* names) except NULL:
    cdef PyObject* cache = <PyObject*>self.cache        # a name, of which Cython counts no reference
    cdef Call call
    call.function = <PyObject*>self.function
    call.arguments = arguments
    call.count = count
    call.names = names
    if self.is_method and count != 0:
        return call_method(self, &call)
    if self.key is None and count == 1 and names == NULL and not self.typed and is_its_own_key(arguments[0]):
        return look_up_or_call(self, <CacheCore>cache, arguments[0], &call)
    return call_with_made_key(self, <CacheCore>cache, arguments, count, &call)


cdef PyObject* call_method(CachedCall self, Call* call) except NULL:
    """Through the cache of the instance, which is the first argument."""
    cdef InstanceCache own = cache_of_instance(self, <object>call.arguments[0])
    if own is None:
        if self.key is not None:
            return call_with_key_of_instance(self, call)
        return call_with_made_key(self, self.cache, call.arguments, <Py_ssize_t>call.count, call)
    return call_with_made_key(self, own.cache, call.arguments + 1, <Py_ssize_t>call.count - 1, call)


cdef PyObject* call_with_made_key(CachedCall self, CacheCore cache, PyObject** arguments, Py_ssize_t count,
                                  Call* call) except NULL:
    """`arguments`: what the key is made of; after the `count` positional ones come those that have names."""
    cdef PyObject* key
    if self.key is not None:
        key = vectorcall(<PyObject*>self.key, arguments, count, call.names)
    else:
        key = key_of_call(arguments, count, call.names, self.typed)
    try:
        return look_up_or_call(self, cache, key, call)
    finally:
        decref(key)


cdef PyObject* call_with_key_of_instance(CachedCall self, Call* call) except NULL:
    """Where the instance is a part of the key: it is not an argument of the user's function that makes keys."""
    cdef PyObject* made = vectorcall(<PyObject*>self.key, call.arguments + 1, call.count - 1, call.names)
    key = (<object>call.arguments[0], steal(made))
    return look_up_or_call(self, self.cache, <PyObject*>key, call)


cdef inline PyObject* look_up_or_call(CachedCall self, CacheCore cache, PyObject* key, Call* call) except NULL:
    cdef PyObject* value = NULL
    cdef Py_hash_t hashed = 0
    mark_cache_shared(cache)
    hash_of(key, &hashed)
    if cache_get(cache, key, hashed, time_if_needed(cache), True, &value, NULL) == PRESENT:
        return value
    if self.bypasses:
        return make_call(call)
    if self.once:
        return load_value(cache, key, hashed, call)
    return load_alone(cache, key, hashed, call)


cdef PyObject* load_alone(CacheCore c, PyObject* key, Py_hash_t hashed, Call* call) except NULL:
    """load_value() for whom nobody waits."""
    cdef Load load = new_load(None)
    cdef PyObject* value
    cdef int64_t begun = sm_monotonic_ns()
    load.is_alone = True
    load.deletions = sm_load_u64(&c.deletions)
    try:
        value = make_call(call)
    except:
        count_load(c, False, sm_monotonic_ns() - begun)
        raise
    count_load(c, True, sm_monotonic_ns() - begun)
    try:
        store_loaded(c, key, hashed, <PyObject*>load, NULL, value)
    except:
        decref(value)
        raise
    return value


cdef size_t vectorcall_offset():
    cdef CachedCall some = CachedCall(None, None, None, None, None, False, False, False)
    return <size_t>(<char*>&some.vectorcall - <char*><PyObject*>some)


sm_set_vectorcall(<PyTypeObject*>CachedCall, vectorcall_offset())
