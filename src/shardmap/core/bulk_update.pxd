cdef enum:
    WORTH_RESERVING = 128       # entries for each shard
