# MISSING: no value.

from typing import final

cdef object NO_DEFAULT = object()       # pop() was called without a default


@final
class MissingType:
    """The type of MISSING, for annotations: `int | MissingType`.

    MISSING means that there is no value. Methods of ShardMap pass it to your functions and return it where there is no
    entry. If your function returns it, the entry is removed or nothing is stored. MISSING is the only object of its
    type, so compare with `is`. It is false. To store it as a value in a map or a cache raises ValueError."""

    __slots__ = ()
    __module__ = "shardmap"

    def __repr__(self):
        return "MISSING"

    def __reduce__(self):
        return "MISSING"

    def __bool__(self):
        return False


MISSING = MissingType()
"""No value: compound operations pass it to functions and take it from them where there is no entry."""

cdef object no_value = MISSING      # because a look-up in the module costs more than its use


cdef int refuse_missing() except -1:
    raise ValueError("MISSING cannot be stored, because it means that there is no value")


cdef inline PyObject* storable(PyObject* value) except NULL:
    """The value; ValueError if it is MISSING."""
    if value == <PyObject*>no_value:
        refuse_missing()
    return value
