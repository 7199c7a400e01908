# The order in which the slots of an index are visited for one hash. Where it stands:
cdef struct ProbeSequence:
    uint32_t slot
    uint32_t step           # slots visited before
    uint32_t mask           # slots of the index, less one
    uint32_t perturb

cdef enum ProbeResult:
    NOT_THERE = 0           # the slot is where the key would go
    THERE = 1
    NEEDS_PYTHON = 2        # only Python can compare the key with that of the entry
    UNKNOWN = 3             # something came between: look again, with the mutex
