# fork: in the child every live map must be usable.
#
# The thread that forks is attached; so no other thread is attached and in the middle of a change (GIL,
# or the world stopped around os.fork), and every table is whole. But a detached thread may own a mutex
# for the moment between waiting for it and letting it go, and in the child that thread is gone. So all
# mutexes of all live maps are made anew there, and the key locks of threads that are gone are dropped. It is done for
# forks from C as well (pthread_atfork).

cdef sm_mutex live_maps_mutex
cdef PyObject* newest_map = NULL        # borrowed: a map leaves the list as it dies


cdef void enlist(MapCore m) noexcept:
    global newest_map
    sm_mutex_lock(&live_maps_mutex)
    m.newer = NULL
    m.older = newest_map
    if newest_map != NULL:
        (<MapCore>newest_map).newer = <PyObject*>m
    newest_map = <PyObject*>m
    sm_mutex_unlock(&live_maps_mutex)


cdef void delist(MapCore m) noexcept:
    global newest_map
    sm_mutex_lock(&live_maps_mutex)
    if m.newer != NULL:
        (<MapCore>m.newer).older = m.older
    else:
        newest_map = m.older
    if m.older != NULL:
        (<MapCore>m.older).newer = m.newer
    sm_mutex_unlock(&live_maps_mutex)


# These run inside fork(): no Python, no reference counting.

cdef void drop_lost_key_locks(Shard* shard) noexcept nogil:
    """In a forked child: the locks of threads that are gone. Frees nothing: nothing may be released inside fork(), and
    a KeyEntry may still point to its lock. Who waits is gone, too, but for waits of the forking thread itself, which
    is in the middle of them if code that runs there forks; of tasks that wait nothing comes any more, since an event
    loop does not go on in a child."""
    cdef KeyLock** link = &shard.key_locks
    cdef KeyLock* each
    while link[0] != NULL:
        each = link[0]
        if each.owner.thread == sm_thread_token():
            keep_own_waiters(each, True)
            link = &each.next
        else:
            keep_own_waiters(each, False)
            link[0] = each.next
            each.grant = 0


cdef void keep_own_waiters(KeyLock* self, bint lives) noexcept nogil:
    """Leaves this thread's waits in the queue. If the lock does not live, they look for it again."""
    cdef Waiter* each = self.first
    cdef Waiter* next
    self.first = self.last = NULL
    while each != NULL:
        next = each.next
        if each.request == NULL and each.owner.thread == sm_thread_token() and lives:
            join_queue_locked(each)
        elif each.request != NULL or each.owner.thread == sm_thread_token():
            each.lock = NULL
        each = next


cdef void before_fork() noexcept:
    sm_mutex_lock(&live_maps_mutex)


cdef void after_fork_in_parent() noexcept:
    sm_mutex_unlock(&live_maps_mutex)


cdef void after_fork_in_child() noexcept:
    global main_thread
    cdef PyObject* m = newest_map
    cdef Shard* shard
    cdef uint32_t i
    while m != NULL:
        for i in range((<MapCore>m).shard_count):
            shard = <Shard*>((<MapCore>m).shards + i * stride_for(sizeof(Shard)))
            sm_mutex_init(&shard.mutex)
            drop_lost_key_locks(shard)
        m = (<MapCore>m).older
    sm_mutex_init(&live_maps_mutex)
    sm_mutex_init(&waiters_mutex)
    memset(waiter_lists, 0, sizeof(waiter_lists))
    sm_reset_readers()
    main_thread = PyThread_get_thread_ident()


sm_mutex_init(&live_maps_mutex)
if sm_at_fork(before_fork, after_fork_in_parent, after_fork_in_child) != 0:
    raise MemoryError()
