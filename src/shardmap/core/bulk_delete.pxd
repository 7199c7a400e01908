cdef enum Removal:
    TO_DO = 0
    WAS_ABSENT = 1
    REMOVED_NOW = 2
