"""Views: keys(), values() and items() of a map or a snapshot, as dict's.

A view is live: `len` and `in` read the current state of the map. Iteration, comparison, set operations and repr
read the map at one point in time and never raise because another thread wrote. Like dict's views, a view reads what is
stored and calls no methods that a subclass of the map overrides.
"""

# Types: _views.pyi.

import collections.abc
import sys
from reprlib import recursive_repr
from sys import modules
from types import MappingProxyType

from shardmap._core import (
    _all_elements,
    _any_element,
    _keys_within,
    _selected_elements,
    _selected_keys,
    _stored_contains,
    _stored_item,
    _stored_len,
)
from shardmap._public import public_class

KEYS, VALUES, ITEMS = 0, 1, 2  # what MapCore._iterate takes
_new = object.__new__


class _View:
    """What all three have, given to each of them (_public.py)."""

    __slots__ = ()

    def __new__(cls, *_args, **_kwargs):
        raise TypeError(f"cannot create {cls.__name__!r} instances")

    @classmethod
    def _of(cls, source):
        if _unregistered and _REDUCTION in modules:
            _register_views()
        view = _new(cls)
        view._source = source
        return view

    @property
    def mapping(self):
        """A read-only proxy of the map. Like dict.keys().mapping."""
        return MappingProxyType(self._source)

    def __len__(self):
        return _stored_len(self._source)

    def __iter__(self):
        return self._source._iterate(self._what)

    def __reversed__(self):
        return self._source._iterate(self._what, True)

    def __reduce__(self):
        # The view may have been made before multiprocessing was imported, and may now be sent to another process.
        if _REDUCTION in modules and sys._getframe(1).f_globals is vars(modules[_REDUCTION]):
            return _as_list(self)
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    @recursive_repr()
    def __repr__(self):
        return f"{type(self).__name__}([{', '.join(map(repr, self))}])"


class _SetView:
    """The set methods of keys and items. As with dict's views, the operators accept any iterable, and comparisons need
    a set or a view."""

    __slots__ = ()

    def __and__(self, other):
        # The view decides what is in it: other may be larger than the map, or hold what equals a key.
        if self._what == KEYS and type(other) is KeysView:
            return _selected_keys(other._source, self._source, True)
        if not isinstance(other, collections.abc.Iterable):
            return NotImplemented
        return _selected_elements(other, self._source, self._what, True)

    def __or__(self, other):
        if not isinstance(other, collections.abc.Iterable):
            return NotImplemented
        result = set(self)
        result.update(other)
        return result

    def __sub__(self, other):
        if self._what == KEYS and type(other) is KeysView:
            result = _selected_keys(self._source, other._source, False)
            if result is not None:
                return result
        if not isinstance(other, collections.abc.Iterable):
            return NotImplemented
        result = set(self)
        result.difference_update(other)
        return result

    def __xor__(self, other):
        if not isinstance(other, collections.abc.Iterable):
            return NotImplemented
        result = set(self)
        result.symmetric_difference_update(other)
        return result

    __rand__ = __and__
    __ror__ = __or__
    __rxor__ = __xor__

    def __rsub__(self, other):
        if not isinstance(other, collections.abc.Iterable):
            return NotImplemented
        return _selected_elements(other, self._source, self._what, False)

    def isdisjoint(self, other):
        """Returns whether no element of `other` is in the view. Like dict.keys().isdisjoint."""
        return not _any_element(other, self._source, self._what)

    def _is_within(self, other, exactly=False, fewer=False):
        if self._what == KEYS and type(other) is KeysView:
            answer = _keys_within(self._source, other._source, exactly, fewer)
            if answer is not None:
                return answer
        if not isinstance(other, collections.abc.Set):
            return NotImplemented
        mine = list(self)
        size = len(other)
        if len(mine) > size or (exactly and len(mine) != size) or (fewer and len(mine) == size):
            return False
        return _all_elements(mine, other)

    def __eq__(self, other):
        return self._is_within(other, exactly=True)

    def __le__(self, other):
        return self._is_within(other)

    def __lt__(self, other):
        return self._is_within(other, fewer=True)

    def __ge__(self, other):
        if not isinstance(other, collections.abc.Set):
            return NotImplemented
        return len(self) >= len(other) and _all_elements(other, self)

    def __gt__(self, other):
        if not isinstance(other, collections.abc.Set):
            return NotImplemented
        return len(self) > len(other) and _all_elements(other, self)


@public_class(_SetView, _View)
class KeysView:
    """A live view of the keys of a map. Like the result of dict.keys()."""

    __slots__ = ("_source",)
    __module__ = "shardmap"
    __hash__ = None
    _what = KEYS

    def __contains__(self, key):
        return _stored_contains(self._source, key)


@public_class(_SetView, _View)
class ItemsView:
    """A live view of the (key, value) pairs of a map. Like the result of dict.items()."""

    __slots__ = ("_source",)
    __module__ = "shardmap"
    __hash__ = None
    _what = ITEMS

    def __contains__(self, item):
        return _stored_item(self._source, item)


@public_class(_View)
class ValuesView:
    """A live view of the values of a map. Like the result of dict.values()."""

    __slots__ = ("_source",)
    __module__ = "shardmap"
    _what = VALUES


# --- Views are sent to other processes as lists. For dict's views, multiprocessing.managers registers this with the
# pickler of multiprocessing. To import that module here would be a fifth of the time that importing shardmap takes. So
# our views are registered when the first view is made after multiprocessing was imported. ---

_REDUCTION = "multiprocessing.reduction"
_unregistered = True


def _as_list(view):
    return list, (list(view),)


def _register_views():
    global _unregistered
    pickler = getattr(modules[_REDUCTION], "ForkingPickler", None)
    if pickler is not None:  # else another thread is importing it
        for kind in (KeysView, ValuesView, ItemsView):
            pickler.register(kind, _as_list)
        _unregistered = False


collections.abc.KeysView.register(KeysView)
collections.abc.ItemsView.register(ItemsView)
collections.abc.ValuesView.register(ValuesView)
