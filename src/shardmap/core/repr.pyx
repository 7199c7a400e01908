# The text of a map. What is ASCII is put together in a buffer; the frequent kinds of keys and values are written there
# without an object for each.

@cython.final
@cython.no_gc
cdef class Text:
    """Text in the making (internal)."""

    def __cinit__(self):
        self.pieces = []

    def __dealloc__(self):
        free(self.buffer)


cdef int make_room(Text self, Py_ssize_t more) except -1:
    cdef Py_ssize_t room
    cdef char* buffer
    if self.room - self.size >= more:
        return 0
    room = max(2 * self.room, self.size + more, 256)
    buffer = <char*>allocate(room, 64)
    if buffer == NULL:
        raise MemoryError()
    memcpy(buffer, self.buffer, self.size)
    free(self.buffer)
    self.buffer = buffer
    self.room = room
    return 0


cdef int write_ascii(Text self, const char* text, Py_ssize_t size) except -1:
    make_room(self, size)
    memcpy(self.buffer + self.size, text, size)
    self.size += size
    return 0


cdef str text_of_buffer(Text self):
    """What is in the buffer, which is then empty."""
    cdef str text = new_ascii(self.buffer, self.size, NULL)
    self.size = 0
    return text


cdef int write_str(Text self, str text) except -1:
    if is_ascii(text):
        write_ascii(self, <const char*>ascii_data(text), str_length(text))
    else:
        self.pieces.append(text_of_buffer(self))
        self.pieces.append(text)
    return 0


cdef str finished_text(Text self):
    if not self.pieces:
        return text_of_buffer(self)
    self.pieces.append(text_of_buffer(self))
    return "".join(self.pieces)


cdef int write_number(Text self, int64_t number) except -1:
    cdef char digits[20]
    cdef int first = 20
    cdef uint64_t rest = <uint64_t>number if number >= 0 else 0 - <uint64_t>number
    while True:
        first -= 1
        digits[first] = <char>(c'0' + rest % 10)
        rest //= 10
        if rest == 0:
            break
    make_room(self, 21)
    if number < 0:
        self.buffer[self.size] = c'-'
        self.size += 1
    return write_ascii(self, digits + first, 20 - first)


cdef bint write_simple_str(Text self, PyObject* text) except -1:
    """A str that only needs quotes; False for any other."""
    cdef Py_ssize_t size, i
    cdef const unsigned char* data
    cdef char* into
    if not sm_has_plain_hash(text) or not is_ascii(<object>text):
        return False
    size = str_length(<object>text)
    data = <const unsigned char*>ascii_data(<object>text)
    make_room(self, size + 2)
    into = self.buffer + self.size
    into[0] = c"'"
    for i in range(size):
        if data[i] < c' ' or data[i] == c"'" or data[i] == c'\\' or data[i] == 0x7F:
            return False
        into[i + 1] = <char>data[i]
    into[size + 1] = c"'"
    self.size += size + 2
    return True


cdef int write_repr(Text self, PyObject* o) except -1:
    """Of a key or a value. May run any code."""
    cdef int64_t number = 0
    if as_number(o, &number):
        return write_number(self, number)
    if is_exact_str(o) and write_simple_str(self, o):
        return 0
    return write_str(self, repr(<object>o))


def _repr(self, /):
    """Name({key: value, ...}) of one point in time; ... inside of itself."""
    if Py_ReprEnter(self):
        return "..."
    try:
        return text_of_map(self)
    finally:
        Py_ReprLeave(self)


cdef str text_of_map(self):
    cdef SnapshotCore content = content_of(self)
    cdef Text text = Text.__new__(Text)
    cdef Merge* merge
    cdef PyObject* key = NULL
    cdef PyObject* value = NULL
    cdef bint first = True
    write_str(text, type(self).__name__)
    write_ascii(text, b"(", 1)
    if content.live != 0:
        merge = merge_new(content.table_count)
        try:
            merge_start(merge, content.tables, content.table_count, False)
            while take_next_raw(merge, &key, &value):
                try:
                    if first:
                        write_ascii(text, b"{", 1)
                    else:
                        write_ascii(text, b", ", 2)
                    first = False
                    write_repr(text, key)
                    write_ascii(text, b": ", 2)
                    write_repr(text, value)
                finally:
                    decref(key)
                    value_decref(value)
        finally:
            merge_free(merge)
    if not first:
        write_ascii(text, b"}", 1)
    write_ascii(text, b")", 1)
    return finished_text(text)
