cdef enum:
    INTEGER_BATCH = 4096        # numbers looked up at a time: the entries' cache lines stay in the second-level cache
    FAR_INDEX = 16384           # slots: a larger table is not in the processor's nearest caches
    NOT_FOUND = 0xFFFFFFFF      # no number of an entry: the key is not there
    NOT_KNOWN = 0xFFFFFFFE      # likewise: the key is to be looked up again. Numbers of entries are less than both
