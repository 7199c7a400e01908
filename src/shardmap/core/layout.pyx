# How a map's shards are laid out: how many, where they are, and their blocks.
#
# A map begins with one shard, inside of the map object. More are made when they are of use (core/split.pyx): then
# another layout takes the place of the one there is. Who reads `map.layout` once knows how many shards there are, where
# they are, and where their blocks are published.
#
# A layout that was replaced lives as long as the map: threads may be waiting for its mutexes, and operations under way
# may be aimed at its shards. They find the shard `moved`, and aim again (lock_located). It has no entries any more, and
# each has at most half as many shards as the next.

cdef inline Layout* layout_of(MapCore m) noexcept nogil:
    return <Layout*>sm_load_ptr(<void**>&m.layout)      # acquire: its shards are whole


cdef inline Block** blocks_of(Layout* layout) noexcept nogil:
    """Where those who read without the mutex find the shards' blocks: lines that change rarely."""
    return <Block**>(layout + 1)


cdef inline size_t stride_for(size_t size) noexcept nogil:
    """Whole pairs of cache lines: cores prefetch the neighbour."""
    return (size + 127) // 128 * 128


cdef inline Shard* shard_in(Layout* layout, uint32_t number) noexcept nogil:
    return <Shard*>(layout.shards + number * stride_for(sizeof(Shard)))


cdef inline size_t size_of_layout(uint32_t count) noexcept nogil:
    """Bytes of a layout of its own: the head and the block pointers in whole cache lines, then the shards."""
    return (stride_for(sizeof(Layout) + count * sizeof(Block*)) + count * stride_for(sizeof(Shard)))


cdef void init_shard(Shard* shard, MapCore m, Layout* layout, Block** published) noexcept nogil:
    """In memory that is zero."""
    sm_mutex_init(&shard.mutex)
    shard.table = EMPTY_TABLE
    shard.owner = <PyObject*>m
    shard.published = published
    shard.shard_bits = <uint8_t>layout.shard_bits
    shard.columns = STAMPS if layout.shard_bits != 0 else NO_COLUMNS
    published[0] = &empty_block


cdef void begin_with_one_shard(MapCore m) noexcept:
    """The layout inside of a new map, which is zero."""
    cdef Layout* layout = &m.first.layout
    layout.shard_count = 1
    layout.shards = <char*>&m.first.shard
    init_shard(&m.first.shard, m, layout, &m.first.block)
    m.layout = layout


cdef Layout* layout_new(MapCore m, uint32_t shard_bits) noexcept:
    """NULL when there is no memory. Nobody knows it yet."""
    cdef uint32_t count = <uint32_t>1 << shard_bits, i
    cdef size_t bytes = size_of_layout(count)
    cdef Layout* layout = <Layout*>allocate(bytes, 128)
    if layout == NULL:
        return NULL
    trace_memory(layout, bytes)
    memset(layout, 0, bytes)
    layout.shard_bits = shard_bits
    layout.shard_count = count
    layout.shards = <char*>layout + stride_for(sizeof(Layout) + count * sizeof(Block*))
    for i in range(count):
        init_shard(shard_in(layout, i), m, layout, &blocks_of(layout)[i])
    return layout


cdef int begin_with_shards(MapCore m, uint32_t shard_bits) except -1:
    """More shards than one, for a map that nobody else knows yet."""
    cdef Layout* layout
    if shard_bits == layout_of(m).shard_bits:
        return 0
    layout = layout_new(m, shard_bits)
    if layout == NULL:
        raise MemoryError()
    layout.older = m.layout
    m.layout = layout
    return 0


cdef void drop_layout(Layout* layout) noexcept:
    """What the shards hold and the layout itself. Nobody can reach the map any more, or yet."""
    cdef uint32_t i
    cdef Shard* shard
    for i in range(layout.shard_count):
        shard = shard_in(layout, i)
        table_release(shard.table)
        if shard.limbo != NULL:
            free_limbo(shard.limbo)
        sm_mutex_destroy(&shard.mutex)
    if layout.older != NULL:        # the oldest one is inside of the map
        untrace_memory(layout)
        free(layout)


cdef void drop_layouts(MapCore m) noexcept:
    cdef Layout* layout = m.layout
    cdef Layout* older
    m.layout = NULL
    while layout != NULL:
        older = layout.older
        drop_layout(layout)
        layout = older
