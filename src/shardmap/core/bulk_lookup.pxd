cdef enum:
    WORTH_DETACHING = 512       # keys: below, letting the GIL go costs more than it brings
