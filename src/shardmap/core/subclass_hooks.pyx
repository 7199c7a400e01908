# What a subclass of the map may define, as of dict: __missing__.

cdef object missing(MapCore self, key):
    """What a subclass's __missing__ returns. It is looked for on the type and bound, whatever it is, as by dict."""
    cdef PyObject* method = sm_lookup_special(<PyObject*>self, <PyObject*>MISSING_NAME)
    if method == NULL:
        raise KeyError(key)
    return steal(method)(key)
