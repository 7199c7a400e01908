"""ShardDefaultDict: a ShardMap that makes each missing value once."""

# Types: _default_dict.pyi.

from reprlib import recursive_repr

from shardmap import _core
from shardmap._core import MISSING, HeldAlready, MapCore
from shardmap._map import ShardMap
from shardmap._public import public_class
from shardmap._snapshot import Snapshot

# These run no user code, and nobody can observe how often one was made. So one too many may be made, without a lock.
_PLAIN_FACTORIES = frozenset({bool, bytearray, bytes, complex, dict, float, frozenset, int, list, set, str, tuple})

_NOTHING = ()  # as dict's: no entries


@public_class()
class ShardDefaultDict(ShardMap):
    """A dict with default values that many threads can use at once: collections.defaultdict with ShardMap's guarantees.

    ShardDefaultDict(default_factory, ...): the other arguments as for ShardMap. `m[key]` of a missing key calls
    default_factory() and stores the result. This happens exactly once, even if many threads ask for the key at once,
    and all get the same object. The other threads wait for this key only. If default_factory raises, nothing is stored.
    Calls for different keys run at the same time. A default_factory that asks for its own key runs once more, as with
    defaultdict. If factories in two threads wait for each other's keys, that is a deadlock, and one of the threads gets
    a RuntimeError. `get`, `in` and `setdefault` do not call default_factory.

    The stored object is shared. `m[key].append(x)` of a list is safe from many threads, because list.append is atomic.
    `m[key] += 1` is not atomic (it reads, adds and writes): use `m.add(key)`.

    >>> groups = ShardDefaultDict(list)
    >>> groups["a"].append(1)
    >>> groups
    ShardDefaultDict(<class 'list'>, {'a': [1]})
    """

    __slots__ = {"default_factory": "Called by __missing__() to make a value. None: missing keys raise KeyError."}
    __module__ = "shardmap"

    def __init__(self, default_factory=None, other=_NOTHING, /, **kwargs):
        if default_factory is not None and not callable(default_factory):
            raise TypeError("first argument must be callable or None")
        self.default_factory = default_factory
        if other is _NOTHING:
            super().__init__(**kwargs)
        else:
            super().__init__(other, **kwargs)

    def __missing__(self, key, /):
        """Stores default_factory() and returns it; `m[key]` calls this if there is no entry. Raises KeyError if
        default_factory is None. Like defaultdict.__missing__."""
        factory = _factory_of(self)
        if factory is None:
            raise KeyError(key)
        if type(factory) is type and factory in _PLAIN_FACTORIES:
            return self.setdefault(key, factory())
        entry = self.lock(key)
        try:
            entry.__enter__()
        except HeldAlready as error:  # by this thread: in its factory, or in a `with m.lock(key)` block
            if error.of is not key:
                raise
            return self.setdefault(key, factory())
        try:
            value = entry.get(MISSING)
            if value is MISSING:
                made = factory()
                value = entry.get(MISSING)  # a value that the factory stored itself takes precedence
                if value is MISSING:
                    entry.set(made)
                    value = made
            return value
        finally:
            entry.__exit__(None, None, None)

    def copy(self):
        """Returns a new map with the same default_factory and the entries at one point in time. Like
        defaultdict.copy."""
        if type(self) is not ShardDefaultDict:
            return type(self)(_factory_of(self), self)
        new = _core._copy(ShardDefaultDict, self)
        new.default_factory = _factory_of(self)
        return new

    def __or__(self, other):
        if not isinstance(other, (dict, MapCore, Snapshot)):
            return NotImplemented
        return _united(self, self, other)

    def __ror__(self, other):
        if not isinstance(other, (dict, MapCore, Snapshot)):
            return NotImplemented
        return _united(self, other, self)

    def __repr__(self):
        return f"{type(self).__name__}({_repr_of_factory(self)}, {_repr_of_entries(self)})"


def _factory_of(self):
    return getattr(self, "default_factory", None)  # the attribute may have been deleted


def _united(self, left, right):
    new = type(self)(_factory_of(self), left)
    new.update(right)
    return new


@recursive_repr("...")
def _repr_of_factory(self):
    return repr(_factory_of(self))


@recursive_repr("{...}")
def _repr_of_entries(self):
    return repr(self.to_dict())
