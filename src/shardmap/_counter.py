"""ShardCounter: a ShardMap of numbers with the methods of collections.Counter."""

# Types: _counter.pyi.

import heapq
import operator
from collections import Counter
from collections.abc import Mapping
from itertools import chain, repeat, starmap

from shardmap import _core
from shardmap._core import MISSING, MapCore
from shardmap._map import ShardMap
from shardmap._public import public_class


def _is_counter(other):
    return isinstance(other, (ShardCounter, Counter))


def _plain(counter):
    """Returns a collections.Counter of the counts at one point in time."""
    if isinstance(counter, Counter):
        return counter
    plain = Counter()
    dict.update(plain, counter.to_dict())
    return plain


def _sides(left, right):
    """Returns both as collections.Counter, each at one point in time. If both are the same counter, both results are
    the same object."""
    mine = _plain(left)
    return mine, mine if right is left else _plain(right)


def _compared(operation):
    def compare(self, other):
        return operation(*_sides(self, other)) if _is_counter(other) else NotImplemented

    return compare


def _calculated(operation, reflected=False):
    def calculate(self, other):
        if not _is_counter(other):
            return NotImplemented
        mine, theirs = _sides(self, other)
        return _counter_of(operation(theirs, mine) if reflected else operation(mine, theirs))

    return calculate


@public_class()
class ShardCounter(ShardMap):
    """Counts that many threads can change at once: collections.Counter with ShardMap's guarantees.

    ShardCounter(), ShardCounter(iterable), ShardCounter(mapping), ShardCounter(..., element=count). The count of a
    missing element is 0. No count is lost, whatever threads do at once. `add(element)` and similar methods are atomic.
    `update(iterable)` sums up equal elements first and adds each sum atomically, like `count`. `counter[element] += 1`
    is not atomic: it reads, adds and writes. Arithmetic, comparisons, most_common, elements and total see each side at
    one point in time.

    >>> words = ShardCounter("abracadabra")
    >>> words.add("b", 10), words.most_common(2)
    (12, [('b', 12), ('a', 5)])
    """

    __slots__ = ()
    __module__ = "shardmap"
    __hash__ = None

    def __init__(self, iterable=None, /, **counts):
        super().__init__()
        self.update(iterable, **counts)

    def __missing__(self, element, /):
        """Returns the count of an element that is not there: 0. Like Counter.__missing__."""
        return 0

    def __delitem__(self, element, /):
        """Removes the element if it is there; does not raise. Linearizable. Like Counter.__delitem__."""
        self.pop(element, None)

    @classmethod
    def fromkeys(cls, iterable, value=None, /):
        """Raises NotImplementedError, because it has no meaning for counters. Like Counter.fromkeys."""
        raise NotImplementedError("ShardCounter.fromkeys() is undefined. Use ShardCounter(iterable) instead.")

    def update(self, iterable=None, /, **counts):
        """Adds the counts of a mapping, or 1 for every element of an iterable. Each addition is linearizable, the whole
        is not: other threads see the counts grow. Like Counter.update."""
        if iterable is not None:
            if isinstance(iterable, Mapping):
                _add_counts(self, iterable)
            else:
                self.count(_core._elements_of(iterable))
        if counts:
            _add_counts(self, counts)

    def subtract(self, iterable=None, /, **counts):
        """Subtracts the counts of a mapping, or 1 for every element of an iterable. Counts may become negative. Each
        subtraction is linearizable, the whole is not. Like Counter.subtract."""
        if iterable is not None:
            if isinstance(iterable, Mapping):
                _subtract_counts(self, iterable)
            else:
                self.add_many(_core._elements_of(iterable), -1)
        if counts:
            _subtract_counts(self, counts)

    def most_common(self, n=None):
        """Returns the `n` elements with the greatest counts at one point in time, as (element, count) pairs, greatest
        first. None: all elements. O(elements * log n). Like Counter.most_common."""
        if n is None:
            return sorted(self.items(), key=operator.itemgetter(1), reverse=True)
        return heapq.nlargest(n, self.items(), key=operator.itemgetter(1))

    def elements(self):
        """Iterates over the elements at one point in time, and repeats each as often as its count. Like
        Counter.elements."""
        return chain.from_iterable(starmap(repeat, self.items()))

    def total(self):
        """Returns the sum of all counts at one point in time. O(elements). Like Counter.total."""
        return sum(self.values())

    def copy(self):
        """Returns a new counter with the counts at one point in time. Like Counter.copy."""
        if type(self) is not ShardCounter:
            return type(self)(self)
        return _core._copy(ShardCounter, self)

    def __repr__(self):
        if not self:
            return f"{type(self).__name__}()"
        try:
            counts = dict(self.most_common())
        except TypeError:  # they cannot be compared
            counts = self.to_dict()
        return f"{type(self).__name__}({counts!r})"

    # --- Comparisons and arithmetic: collections.Counter's, on one point in time ---

    def __eq__(self, other):
        """Returns whether all counts are equal; a missing count is 0. Compared with another mapping like a ShardMap.
        Like Counter.__eq__."""
        if not _is_counter(other):
            return super().__eq__(other)
        return operator.eq(*_sides(self, other))

    __le__ = _compared(operator.le)
    __lt__ = _compared(operator.lt)
    __ge__ = _compared(operator.ge)
    __gt__ = _compared(operator.gt)
    __add__ = _calculated(operator.add)
    __sub__ = _calculated(operator.sub)
    __and__ = _calculated(operator.and_)
    __radd__ = _calculated(operator.add, reflected=True)
    __rsub__ = _calculated(operator.sub, reflected=True)
    __rand__ = _calculated(operator.and_, reflected=True)

    def __or__(self, other):
        """Returns a new counter with the greater of both counts of each element. With another mapping, works like
        ShardMap.__or__. Like Counter.__or__."""
        return _counter_of(operator.or_(*_sides(self, other))) if _is_counter(other) else super().__or__(other)

    def __ror__(self, other):
        return _counter_of(_plain(other) | _plain(self)) if _is_counter(other) else super().__ror__(other)

    def __pos__(self):
        return _counter_of(+_plain(self))

    def __neg__(self):
        return _counter_of(-_plain(self))

    if hasattr(Counter, "__xor__"):  # from 3.15 on
        __xor__ = _calculated(operator.xor)
        __rxor__ = _calculated(operator.xor, reflected=True)

        def __ixor__(self, other):
            for element, count in other.items():
                self.compute(element, lambda element, old, count=count: abs(_or_zero(old) - count))
            return _keep_positive(self)

    # In place: each count is changed atomically, then the counts that are not positive are removed.

    def __iadd__(self, other):
        _add_counts(self, other, as_they_are=False)
        return _keep_positive(self)

    def __isub__(self, other):
        _subtract_counts(self, other)
        return _keep_positive(self)

    def __ior__(self, other):
        for element, count in other.items():
            if count > 0:
                self.update_max(element, count)
        return _keep_positive(self)

    def __iand__(self, other):
        theirs = _plain(other) if _is_counter(other) else other
        for element in self:
            count = theirs[element]
            self.compute_if_present(element, lambda element, old, count=count: count if count < old else old)
        return _keep_positive(self)


def _counter_of(plain):
    new = ShardCounter()
    MapCore.update(new, plain)
    return new


def _or_zero(count):
    return 0 if count is MISSING else count


def _add_counts(counter, counts, as_they_are=True):
    was_empty = as_they_are and not counter
    for element, count in counts.items():
        if type(count) is int or (type(count) is float and not was_empty):
            counter.add(element, count)
        elif was_empty:  # then Counter.update stores any value as it is
            counter.merge(element, count, lambda old, count: count + old)
        else:
            counter.compute(element, lambda element, old, count=count: count + _or_zero(old))


def _subtract_counts(counter, counts):
    for element, count in counts.items():
        if type(count) is int or type(count) is float:
            counter.add(element, -count)
        else:
            counter.compute(element, lambda element, old, count=count: _or_zero(old) - count)


def _keep_positive(counter):
    counter.retain(lambda element, count: count > 0)
    return counter
