cdef enum Read:
    SEEN_ABSENT = 0         # ABSENT
    SEEN_PRESENT = 1        # PRESENT
    LOOK_AGAIN = 2          # something came between, or it needs Python code: look again with the mutex
    SEEN_BEYOND = 3         # absent as far as was seen, but on the way there were words of removed entries

cdef enum:
    LARGE = 16384           # bytes: what is larger does not stay in limbo
    LIMBO_BYTES = 65536
