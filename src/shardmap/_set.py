"""ShardSet, a set that threads share, and SetSnapshot, its state at one point in time. Frequent operations are methods
of SetCore."""

# Types: _set.pyi.

from collections.abc import MutableSet, Set
from reprlib import recursive_repr

from shardmap import _core
from shardmap._core import SetCore, SetSnapshotCore
from shardmap._public import public_class
from shardmap._stats import stats_of


def _is_set(other):
    return isinstance(other, (set, frozenset, SetCore, SetSnapshotCore, Set))


def _left(other):
    return other if isinstance(other, (set, frozenset)) else ShardSet(other)


def _content(elements):
    """Returns a container that can be searched and iterated over many times. Of a ShardSet: its elements at one point
    in time."""
    if isinstance(elements, (SetCore, SetSnapshotCore)):
        return _core._content_of_set(elements)
    if isinstance(elements, set):
        return frozenset(elements)  # another thread may change the set meanwhile
    if isinstance(elements, frozenset):
        return elements
    return dict.fromkeys(
        _core._plain_elements(elements)
    )  # each once, in their order; TypeError if one cannot be hashed


def _sides(left, right):
    """Returns both contents. If both are the same set, both results are the same object."""
    mine = _core._content_of_set(left)
    return mine, mine if right is left else _content(right)


def _content_and_elements(left, right):
    """Returns the left content, and the right elements to iterate over once. A right iterable that is no set is read
    only as far as necessary."""
    return _sides(left, right) if _is_set(right) else (_core._content_of_set(left), right)


class SetSurface:
    """The common methods of ShardSet and SetSnapshot: set algebra at one point in time. Results are in the order of the
    left side, then of the right side. If elements are equal, the result has that of the left side."""

    __slots__ = ()

    def isdisjoint(self, other, /):
        """Returns whether no element of the iterable `other` is in this set. Like set.isdisjoint."""
        mine, theirs = _content_and_elements(self, other)
        return not any(element in mine for element in theirs)

    def issubset(self, other, /):
        """Returns whether every element is in the iterable `other`. Like set.issubset."""
        return _is_within(*_sides(self, other))

    def issuperset(self, other, /):
        """Returns whether every element of the iterable `other` is in this set. Like set.issuperset."""
        mine, theirs = _content_and_elements(self, other)
        return _core._all_elements(theirs, mine)

    def union(self, *others):
        """Returns a new set with the elements of this set and of all iterables `others`. Like set.union."""
        result = ShardSet(SetSnapshot(self))
        result.update(*others)
        return self._result(result)

    def intersection(self, *others):
        """Returns a new set with the elements that are also in all iterables `others`. Like set.intersection."""
        return self._new(_selected(self, _core._content_of_set(self), others, True))

    def difference(self, *others):
        """Returns a new set with the elements that are in none of the iterables `others`. Like set.difference."""
        return self._new(_selected(self, _core._content_of_set(self), others, False))

    def symmetric_difference(self, other, /):
        """Returns a new set with the elements that are in this set or in the iterable `other`, but not in both. Like
        set.symmetric_difference."""
        mine, theirs = _sides(self, other)
        return self._new(_core._elements_in(mine, theirs, False) + _core._elements_in(theirs, mine, False))

    def _new(self, elements):
        """Makes a result of elements that are all different."""
        return self._result(_core._set_of(ShardSet, elements))

    def __or__(self, other):
        return self.union(other) if _is_set(other) else NotImplemented

    def __and__(self, other):
        return self.intersection(other) if _is_set(other) else NotImplemented

    def __sub__(self, other):
        return self.difference(other) if _is_set(other) else NotImplemented

    def __xor__(self, other):
        return self.symmetric_difference(other) if _is_set(other) else NotImplemented

    # The left side is a set or a frozenset, which gives the result its type, or a set without such an operator.

    def __ror__(self, other):
        return _left(other).union(self) if _is_set(other) else NotImplemented

    def __rand__(self, other):
        return _left(other).intersection(self) if _is_set(other) else NotImplemented

    def __rsub__(self, other):
        return _left(other).difference(self) if _is_set(other) else NotImplemented

    def __rxor__(self, other):
        return _left(other).symmetric_difference(self) if _is_set(other) else NotImplemented

    def __eq__(self, other):
        """Returns whether both sets have the same elements, in any order. `other` may be any set. Like set.__eq__."""
        if not _is_set(other):
            return NotImplemented
        mine, theirs = _sides(self, other)
        return len(mine) == len(theirs) and _is_within(mine, theirs)

    def __le__(self, other):
        return _is_within(*_sides(self, other)) if _is_set(other) else NotImplemented

    def __lt__(self, other):
        if not _is_set(other):
            return NotImplemented
        mine, theirs = _sides(self, other)
        return len(mine) < len(theirs) and _is_within(mine, theirs)

    def __ge__(self, other):
        if not _is_set(other):
            return NotImplemented
        mine, theirs = _sides(self, other)
        return _is_within(theirs, mine)

    def __gt__(self, other):
        if not _is_set(other):
            return NotImplemented
        mine, theirs = _sides(self, other)
        return len(mine) > len(theirs) and _is_within(theirs, mine)

    def __repr__(self):
        return f"{type(self).__name__}({_repr_of_elements(self)})"


@recursive_repr("...")
def _repr_of_elements(self):
    elements = repr(list(_core._content_of_set(self)))
    return f"{{{elements[1:-1]}}}" if elements != "[]" else ""


def _is_within(elements, container):
    return len(elements) <= len(container) and _core._all_elements(elements, container)


def _selected(s, mine, others, present):
    """Returns the elements of a set, whose content is `mine`, that are in all others (`present`) or in none of them."""
    elements = mine if others else list(mine)
    for other in others:
        elements = _core._elements_in(elements, mine if other is s else _content(other), present)
    return elements


@public_class(SetSurface)
class ShardSet(SetCore):
    """A set that many threads can use at once without a lock of their own.

    ShardSet(), ShardSet(iterable): like set. Every operation on one element is atomic (linearizable). `add` returns
    whether the element is new, `discard` whether it was there; if many threads do it at once, one gets True. Elements
    are in the order in which they were added, over the whole set. Iteration, set algebra and comparisons see the whole
    set at one point in time. Iteration never raises because another thread changed the set. No lock is held while your
    code runs (`__hash__`, `__eq__`, `__del__`), so it may use the set.

    Equivalents: a set with a lock, ConcurrentHashMap.newKeySet of Java.

    >>> seen = ShardSet()
    >>> seen.add("a"), seen.add("a"), seen.discard("a"), seen
    (True, False, True, ShardSet())
    """

    __slots__ = ()
    __module__ = "shardmap"
    __hash__ = None

    @classmethod
    def with_capacity(cls, capacity=0, *, shards=None):
        """Returns an empty set with room for `capacity` elements before it grows, in `shards` shards. This number then
        never changes. See ShardMap.with_capacity."""
        return _core._make_set(cls, shards, capacity)

    def copy(self):
        """Returns a new set with the elements at one point in time. O(shards): the two sets share tables until one of
        them changes. Like set.copy."""
        return _core._copy_set(ShardSet, self)

    def snapshot(self):
        """Returns the set at this point in time as a SetSnapshot, which is immutable and hashable. O(shards). Like
        frozenset(s)."""
        return SetSnapshot(self)

    def update(self, *others):
        """Adds the elements of all iterables `others`. Each addition is linearizable, the whole is not. Like
        set.update."""
        for other in others:
            _core._add_all(self, other)

    def intersection_update(self, *others):
        """Removes the elements that are not in all iterables `others`. It looks at the elements at one point in time;
        elements that are added later stay. Each removal is linearizable, the whole is not. Like
        set.intersection_update."""
        mine = _core._content_of_set(self)
        kept = set(_selected(self, mine, others, True))
        _core._discard_all(self, [element for element in mine if element not in kept])

    def difference_update(self, *others):
        """Removes the elements of all iterables `others`. Each removal is linearizable, the whole is not. Like
        set.difference_update."""
        for other in others:
            _core._discard_all(self, _content(other))

    def symmetric_difference_update(self, other, /):
        """Removes the elements of the iterable `other` that are in the set, and adds those that are not. Each element
        is linearizable, the whole is not. Like set.symmetric_difference_update."""
        for element in _content(other):
            while not SetCore.discard(self, element):
                if SetCore.add(self, element):
                    break

    def __ior__(self, other):
        if not _is_set(other):
            return NotImplemented
        self.update(other)
        return self

    def __iand__(self, other):
        if not _is_set(other):
            return NotImplemented
        self.intersection_update(other)
        return self

    def __isub__(self, other):
        if not _is_set(other):
            return NotImplemented
        self.difference_update(other)
        return self

    def __ixor__(self, other):
        if not _is_set(other):
            return NotImplemented
        self.symmetric_difference_update(other)
        return self

    def _result(self, result):
        return result

    def stats(self):
        """Returns the size, capacity and counters of each shard as a Stats. O(shards)."""
        return stats_of(_core._set_map(self))

    def __reduce__(self):
        return type(self), (list(self),), self.__getstate__()

    def __sizeof__(self):
        """Returns the bytes of the set, its shards and its tables, without the elements. Like set.__sizeof__."""
        entries = _core._set_map(self)
        return object.__sizeof__(self) + entries.__sizeof__() + _core._memory(entries)

    def _check(self):
        """For tests: verifies every invariant of every shard. Raises AssertionError that names the broken one."""
        _core._check(_core._set_map(self))


@public_class(SetSurface)
class SetSnapshot(SetSnapshotCore):
    """An immutable set: the elements of a ShardSet at one point in time, in their order. To take one is O(shards).
    Reads take no lock. It is equal to a frozenset of the same elements and has the same hash.

    >>> s = ShardSet("ab")
    >>> before = s.snapshot()
    >>> s.add("c")
    True
    >>> before, before < s, hash(before) == hash(frozenset("ab"))
    (SetSnapshot({'a', 'b'}), True, True)
    """

    __slots__ = ()
    __module__ = "shardmap"

    def _result(self, result):
        return SetSnapshot(result)

    def thaw(self):
        """Returns a new ShardSet with these elements. Like ShardSet(snapshot)."""
        return ShardSet(self)

    def copy(self):
        """Returns the same object. Like frozenset.copy."""
        return self

    def __hash__(self):
        """Returns the hash of frozenset(self). O(elements). Like frozenset.__hash__."""
        return hash(frozenset(self))

    def __copy__(self):
        return self

    def __reduce__(self):
        return _restore, (type(self), list(self)), self.__getstate__()


def _restore(cls, elements):
    return cls(ShardSet(elements))


MutableSet.register(ShardSet)
Set.register(SetSnapshot)
