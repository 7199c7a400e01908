cdef enum:
    TALLY_ELEMENTS = 65536      # elements that are summed up before others see them
    SMALLEST_TALLY = 6          # log2 of the slots to begin with

cdef struct Sum:
    PyObject* key           # owned
    uint64_t hash
    int64_t number

cdef struct Tally:
    Sum* sums               # in the order of the keys' first appearance; then the index, in one piece
    uint32_t* index         # 0, or a sum's number + 1
    uint32_t used
    uint32_t bits           # log2 of the slots, twice the sums that fit
    uint32_t elements       # since the last flush
