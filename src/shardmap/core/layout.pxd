# How a map's shards are laid out. `shard_count` block pointers follow it in memory. Essay in core/layout.pyx.
cdef struct Layout:
    uint32_t shard_bits
    uint32_t shard_count
    char* shards            # shard_count slots, each whole cache lines unless it is the only one
    Layout* older           # that this one replaced

# The layout that every map begins with, inside of the map itself.
cdef struct SingleShard:
    Layout layout
    Block* block
    Shard shard
