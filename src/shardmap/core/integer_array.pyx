# Arrays of integers as keys of one call: numpy's, array.array, bytes, bytearray, memoryview.
#
# Iteration over an array of numpy makes an object of numpy's for each element. Such an object is no plain key, so
# Python code would compare it. Instead, the elements are read from the array's memory, by the buffer protocol. The
# package does not import numpy.
#
# That is right only if iteration gives just these integers. Other exporters of buffers iterate in other ways: mmap
# gives bytes, numpy.ma.MaskedArray gives `masked`. So only types of which this is known are taken: the five above, and
# subclasses of ndarray that inherit its items, iteration and buffer. (Of items the method is compared: Python gives a
# subclass another slot than ndarray's, which calls the method.) An immutable type is not made in Python. So a class of
# the same name in a user's module is not mistaken for one of them.
#
# The buffer is held until the call ends, also if the call raises. Meanwhile array.array and bytearray cannot be
# resized.

@cython.final
@cython.no_gc       # lives no longer than a call
cdef class IntegerArray:
    """The integers in a buffer (internal)."""

    def __dealloc__(self):
        release_buffer(&self.view)      # does nothing if none is held


cdef enum:
    TOGETHER = 256      # numbers that are read before objects are made of them


cdef inline object source_of_keys(keys, OtherElements others):
    """source_of(), or an IntegerArray."""
    cdef object source = None
    if not PyList_CheckExact(keys) and not PyTuple_CheckExact(keys):
        source = integers_of(keys, others)
    return source_of(keys) if source is None else source


cdef object plain_keys(keys, OtherElements others):
    """For code that takes keys one by one: an array of integers as a list of ints, all else as it is."""
    cdef IntegerArray source = integers_of(keys, others)
    return keys if source is None else integers_as_list(source)


cdef list integers_as_list(IntegerArray source):
    cdef list boxed = new_untracked_list(source.size)
    box_integers(source, 0, source.size, list_items(boxed))
    track(<PyObject*>boxed)
    return boxed


def _elements_of(iterable, /):
    """For methods that Counter and set have, too: they take any array of numpy."""
    return iter(iterable) if has_buffer(iterable) and integers_of(iterable, ITERATE) is None else iterable


def _plain_elements(iterable, /):
    """Of an array of integers a list of ints, all else as it is."""
    return plain_keys(iterable, ITERATE)


cdef list new_untracked_list(Py_ssize_t size):
    """Without items. Nobody else may see it before it has all: the collector's functions show what is tracked."""
    cdef list new = PyList_New(size)
    untrack(<PyObject*>new)
    return new


cdef IntegerArray integers_of(keys, OtherElements others):
    """None: `keys` is to be iterated over. `others`: what an array of numpy does whose elements are neither integers
    nor objects."""
    if not has_buffer(keys):
        return None
    if is_ndarray(keys):
        return integers_of_ndarray(keys, others)
    if type(keys) in (bytes, bytearray, memoryview) or type(keys) is type_in("array", "array"):
        return integers_of_buffer(keys)
    return None


cdef object from_imported(module_name, name):
    """What a module has under this name, if it has been imported; else None."""
    cdef PyObject* module = get_imported_module(module_name)
    return None if module == NULL else getattr(steal(module), name, None)


cdef object type_in(module_name, name):
    """The type of this name, if it is not made in Python; else None."""
    found = from_imported(module_name, name)
    return found if isinstance(found, type) and sm_is_immutable_type(<PyTypeObject*>found) else None


cdef bint is_ndarray(keys) except -1:
    """Whether it is an array of numpy, and iterates as one."""
    ndarray = type_in("numpy", "ndarray")
    if ndarray is None:
        return False
    if type(keys) is ndarray:
        return True
    # memmap overrides __getitem__ for slices only.
    return sm_iterates_like(<PyObject*>keys, <PyTypeObject*>ndarray) and (
        type.__getattribute__(type(keys), "__getitem__") is ndarray.__getitem__
        or type(keys) is from_imported("numpy", "memmap"))


cdef IntegerArray integers_of_ndarray(array, OtherElements others):
    cdef IntegerArray self = IntegerArray.__new__(IntegerArray)
    try:
        get_buffer(array, &self.view, PyBUF_RECORDS_RO)
    except MemoryError:
        raise
    except Exception:       # numpy has elements that the protocol has no name for, such as datetime64
        if others == RAISE_TYPE_ERROR:
            raise_not_integers(array)
        return None
    if sm_has_format(&self.view, b"O"):
        return None
    if is_of_integers(self):
        return self
    if others == RAISE_TYPE_ERROR:
        if self.view.ndim != 1 and array.size != 0:
            raise TypeError(f"keys must be an array of one dimension, not of {self.view.ndim}")
        raise_not_integers(array)
    return None


cdef int raise_not_integers(array) except -1:
    """Unless the array is empty: numpy.array([]) has floats, none of which is a key."""
    if array.size == 0:
        return 0
    raise TypeError(f"keys must be an array of integers, bools or objects, not of {array.dtype}; keys.tolist() makes "
                    "Python objects of its elements")


cdef IntegerArray integers_of_buffer(keys):
    """If iteration gives ints or bools, too. If not, iteration says what is wrong, if anything is."""
    cdef IntegerArray self = IntegerArray.__new__(IntegerArray)
    try:
        get_buffer(keys, &self.view, PyBUF_RECORDS_RO)
    except (BufferError, ValueError):
        return None
    # memoryview iterates over elements of the machine's own formats only, which have a name of one letter.
    return self if is_of_integers(self) and strlen(self.view.format) == 1 else None


cdef bint is_of_integers(IntegerArray self) noexcept:
    """Whether this is a row of integers. Notes how they are stored."""
    if self.view.ndim != 1 or not sm_element_of(&self.view, &self.element):
        return False
    self.size = self.view.shape[0]
    self.stride = self.view.strides[0]
    return True


cdef inline void read_integers(IntegerArray self, Py_ssize_t begin, uint32_t count, uint64_t* into) noexcept nogil:
    """Reads each element once: another thread may be changing them."""
    sm_read_integers(<const char*>self.view.buf + begin * self.stride, self.stride, count, self.element, into)


cdef int box_integers(IntegerArray self, Py_ssize_t begin, Py_ssize_t count, PyObject** into) except -1:
    """New ints, or bools. If there is no memory for one, none."""
    cdef uint64_t numbers[TOGETHER]
    cdef Py_ssize_t made = 0
    try:
        while made < count:
            if made % TOGETHER == 0:
                read_integers(self, begin + made, <uint32_t>min(count - made, TOGETHER), numbers)
            into[made] = new_integer(numbers[made % TOGETHER], self.element)
            made += 1
    except:
        while made > 0:
            made -= 1
            decref(into[made])
            into[made] = NULL
        raise
    return 0
