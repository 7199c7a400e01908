cdef enum:
    FEW = 16        # entries: below, a batch costs more than it brings
