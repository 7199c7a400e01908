cdef enum:
    RUN = 64                    # keys for which several mutexes are held, at the most
    MOST_SHARDS_OF_A_RUN = 64   # as many as a word has bits
    LARGE_GROWTH = 65536        # entries: with a GIL, larger tables grow without it

cdef struct Inserting:
    uint64_t shards             # whose mutexes are held
    uint64_t announced          # and whose version is odd: all of them from the first insertion on
    uint64_t stamp              # the last one given
    Layout* layout
