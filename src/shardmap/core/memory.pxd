cdef enum:
    TRACE_DOMAIN = 0x5348       # by which tracemalloc knows our memory
