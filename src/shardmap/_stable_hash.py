"""A hash of keys that is the same in every process, so that every process finds the same owner of a key.

hash() of a str, of bytes and of a date differs from process to process (PYTHONHASHSEED). A hash of a pickled key would
differ for equal keys: 1, 1.0 and True are one key of a dict and have three pickles, and a pickle also depends on which
parts of a tuple are the same object. So each type has a rule here that equal keys of all types share.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import date, datetime, timedelta
from enum import Enum, Flag
from numbers import Number
from typing import Any
from zlib import crc32

_BYTES = 8
_MASK = (1 << 8 * _BYTES) - 1


def stable_hash(key: Any, start: int = 0) -> int:
    """Returns 32 bits. `start` is the hash of what comes before the key in a tuple. Raises TypeError for a key of a
    type without a rule, and ValueError for NaN, which no other object is equal to, not even its own copy."""
    kind = type(key)
    if kind is str:
        return crc32(key.encode("utf-8", "surrogatepass"), start)
    if kind is int:
        return crc32((hash(key) & _MASK).to_bytes(_BYTES, "little"), start)
    if key is None:
        return crc32(b"None", start)
    # A class that inherits __hash__ also inherits __eq__: Python removes __hash__ from a class that defines only
    # __eq__. So the rule of the base is right for the class (StrEnum, IntEnum, named tuples).
    rule = _RULES.get(kind.__hash__)
    if rule is not None:
        return rule(key, start)
    # Also numpy's, but not its timedelta64: it is registered as an integer, and is equal to timedeltas.
    if isinstance(key, Number) and getattr(getattr(key, "dtype", None), "kind", None) != "m":
        return _of_number(key, start)
    hash(key)  # raises Python's own error for an unhashable key
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    raise TypeError(
        f"a key of type {name!r} has no hash that is the same in every process. Keys may be str, bytes, "
        "numbers, None, enum members, UUIDs, dates, datetimes, timedeltas, and tuples and frozensets of these"
    )


def owner_of(key: Any, owners: int) -> int:
    return stable_hash(key) % owners


def _of_number(key: Any, start: int) -> int:
    # Python has the same hash for equal numbers of all types, and it depends on no seed.
    number = hash(key)  # raises Python's own error for a signaling NaN
    if key != key:
        raise ValueError("NaN cannot be a key: in another process, it is not equal to itself")
    return crc32((number & _MASK).to_bytes(_BYTES, "little"), start)


def _of_tuple(key: tuple[Any, ...], start: int) -> int:
    start = crc32(b"(%d" % len(key), start)
    for item in tuple.__iter__(key):
        start = crc32(b",", stable_hash(item, start))  # so that ("a", "b") differs from ("ab", "")
    return start


def _of_frozenset(key: frozenset[Any], start: int) -> int:
    # Sets that are equal may have different orders.
    return crc32((sum(map(stable_hash, frozenset.__iter__(key))) & _MASK).to_bytes(_BYTES, "little"), start)


def _of_datetime(key: datetime, start: int) -> int:
    # Two aware datetimes are equal if they are the same moment, whatever their time zones. `fold` does not count, and
    # the offset depends on it: Python's hash, too, takes that of fold=0. A timedelta, because the moment may be before
    # year 1 or after year 9999.
    first = key.replace(fold=0)
    offset = first.utcoffset()
    moment = first.replace(tzinfo=None) - datetime.min
    return stable_hash((moment if offset is None else moment - offset) // timedelta.resolution, start)


def _of_member(key: Enum, start: int) -> int:
    kind = type(key)
    return crc32(f"{kind.__module__}.{kind.__qualname__}.{key.name}".encode(), start)


_RULES: dict[Any, Callable[[Any, int], int]] = {
    str.__hash__: lambda key, start: crc32(str.encode(key, "utf-8", "surrogatepass"), start),
    bytes.__hash__: lambda key, start: crc32(key, start),
    **dict.fromkeys((int.__hash__, float.__hash__, complex.__hash__), _of_number),
    tuple.__hash__: _of_tuple,
    frozenset.__hash__: _of_frozenset,
    Enum.__hash__: _of_member,
    Flag.__hash__: lambda key, start: stable_hash(key.value, start),
    uuid.UUID.__hash__: lambda key, start: stable_hash(key.int, start),
    datetime.__hash__: _of_datetime,
    date.__hash__: lambda key, start: stable_hash(key.toordinal(), start),
    timedelta.__hash__: lambda key, start: stable_hash(key // timedelta.resolution, start),
}
