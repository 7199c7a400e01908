"""@cached: functools.lru_cache over a ShardCache."""

# Types: _cached.pyi.

from functools import partial, update_wrapper

from shardmap._cache import ShardCache
from shardmap._cache_async import get_or_load_async
from shardmap._core import BoundCachedCall, CachedCall


def cached(maxsize=128, typed=False, *, ttl=None, idle=None, key=None, once=True, on_remove=None, timer=None):
    """Caches the results of a function for many threads. A drop-in for functools.lru_cache, and with maxsize=None for
    functools.cache.

    @cached, or @cached(maxsize, ...). As with lru_cache, the function gets cache_info(), cache_clear(),
    cache_parameters() and `__wrapped__`. It also gets invalidate(*args, **kwargs), which forgets one result and returns
    whether there was one. A hit takes no lock. Arguments must be hashable. With `typed`, 3 and 3.0 are different
    arguments.

    ttl, idle, on_remove, timer     as for ShardCache
    key     key(*args, **kwargs) returns the key of a call, in place of the arguments; of a method, it gets no `self`
    once    True: concurrent calls with equal arguments run the function once. The others wait, and get its result
            or its exception. A call whose wait would be a deadlock runs the function itself. False: each call runs
            the function, as with lru_cache

    Methods: each instance has its own cache of `maxsize` results, which lives as long as the instance and does not keep
    it alive. An instance without `__dict__` is part of the key instead, as with lru_cache. For static and class
    methods, put @staticmethod or @classmethod above @cached. Coroutine functions: their results are cached, and tasks
    that call at once wait for one call; `once` has no effect.

    >>> @cached(maxsize=1_000, ttl=60)
    ... def square(n):
    ...     return n * n
    >>> square(3), square(3), square.cache_info()
    (9, 9, CacheInfo(hits=1, misses=1, maxsize=1000, currsize=1))
    """
    if callable(maxsize) and not isinstance(maxsize, int):
        return cached()(maxsize)
    if maxsize is not None:
        if not isinstance(maxsize, int):
            raise TypeError("Expected first argument to be an integer, a callable, or None")
        maxsize = max(maxsize, 0)
    make_cache = partial(ShardCache, maxsize, ttl=ttl, idle=idle, on_remove=on_remove, timer=timer)
    parameters = {"maxsize": maxsize, "typed": typed}

    def decorate(function):
        if not callable(function):
            raise TypeError("the first argument must be callable")
        wrapper = CachedCall(function, make_cache(), make_cache, key, parameters, bool(typed), bool(once), maxsize == 0)
        if _is_coroutine_function(function):
            wrapper = CachedCoroutineFunction(wrapper, function)
        return update_wrapper(wrapper, function)

    make_cache()  # raises errors of the parameters now, not at the first decoration
    return decorate


cached.__module__ = "shardmap"


def _is_coroutine_function(function):
    import inspect  # here, so that importing the package does not import it

    return inspect.iscoroutinefunction(function)


class CachedCoroutineFunction:
    """A coroutine function with a cache of its results. See shardmap.cached."""

    __module__ = "shardmap"
    __qualname__ = "cached_coroutine_function"

    def __init__(self, keyed, function):
        self._keyed = keyed  # makes the keys and has the caches
        self._function = function
        for name in "cache_info", "cache_clear", "cache_parameters", "invalidate", "_cache_for", "_cache_of":
            setattr(self, name, getattr(keyed, name))
        import inspect

        if hasattr(inspect, "markcoroutinefunction"):
            inspect.markcoroutinefunction(self)
        else:
            import asyncio.coroutines

            self._is_coroutine = asyncio.coroutines._is_coroutine

    async def __call__(self, *args, **kwargs):
        cache, key = self._cache_for(args, kwargs)
        return await get_or_load_async(cache, key, lambda key: self._function(*args, **kwargs))

    def __set_name__(self, owner, name):
        self._keyed.__set_name__(owner, name)

    def __get__(self, instance, owner=None):
        return self if instance is None else BoundCachedCall(self, instance)

    def __reduce__(self):
        return self.__qualname__

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __repr__(self):
        return f"<cached {self._function!r}>"
