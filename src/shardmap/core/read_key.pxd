cdef enum Read:
    FOUND_ABSENT = 0         # ABSENT
    FOUND_PRESENT = 1        # PRESENT
    LOOK_AGAIN = 2          # something came between: look again with the mutex
    ABSENT_BEYOND_TOMBSTONE = 3         # absent as far as was seen, but there were tombstones on the way
    NEEDS_COMPARISON = 4    # by Python code, with the stored key of Access.candidate (core/compare_unlocked.pyx)
    NOT_READ = -1           # an exception is set

cdef enum:
    LARGE = 16384           # bytes: what is larger does not stay in limbo
    LIMBO_BYTES = 65536
