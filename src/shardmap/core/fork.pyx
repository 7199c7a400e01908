# fork: in the child every live map must be usable.
#
# Only maps that more than one thread has to do with need anything for that. They are in a list: from the first use by a
# second thread on, from the first wait for a mutex, from the first lock of a key. With a GIL nobody knows which thread
# made a map, and each is in the list from the beginning.
#
# The thread that forks is attached; so no other thread is attached and in the middle of a change (GIL,
# or the world stopped around os.fork), and every table is whole. But a detached thread may own a mutex
# for the moment between waiting for it and letting it go, and in the child that thread is gone. So all
# mutexes of all live maps are made anew there, and the key locks of threads that are gone are dropped. It is done for
# forks from C as well (pthread_atfork).

cdef sm_mutex live_maps_mutex
cdef PyObject* newest_map = NULL        # borrowed: a map leaves the list as it dies


cdef inline void mark_shared(MapCore m) noexcept:
    """What every operation on a map begins with: notices a second thread (core/interpreter.h)."""
    if sm_is_foreign(<PyObject*>m, &m.is_shared_between_threads):
        share_between_threads(m)


cdef void share_between_threads(MapCore m) noexcept:
    enlist(m)
    sm_mark_shared(<PyObject*>m, &m.is_shared_between_threads)


cdef inline void enlist(MapCore m) noexcept:
    if not sm_load_u8(&m.is_enlisted):
        put_into_list(m)


cdef void put_into_list(MapCore m) noexcept:
    global newest_map
    sm_mutex_lock(&live_maps_mutex)
    if not m.is_enlisted:       # another thread may have been first
        m.newer = NULL
        m.older = newest_map
        if newest_map != NULL:
            (<MapCore>newest_map).newer = <PyObject*>m
        newest_map = <PyObject*>m
        sm_store_u8(&m.is_enlisted, True)
    sm_mutex_unlock(&live_maps_mutex)


cdef void delist(MapCore m) noexcept:
    global newest_map
    if not m.is_enlisted:
        return
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
    cdef Layout* layout
    cdef uint32_t i
    while m != NULL:
        layout = layout_of(<MapCore>m)
        while layout != NULL:
            for i in range(layout.shard_count):
                sm_mutex_init(&shard_in(layout, i).mutex)
                drop_lost_key_locks(shard_in(layout, i))
            layout = layout.older
        m = (<MapCore>m).older
    sm_mutex_init(&live_maps_mutex)
    sm_mutex_init(&waiters_mutex)
    memset(waiter_lists, 0, sizeof(waiter_lists))
    sm_reset_readers()
    main_thread = PyThread_get_thread_ident()


sm_mutex_init(&live_maps_mutex)
if sm_at_fork(before_fork, after_fork_in_parent, after_fork_in_child) != 0:
    raise MemoryError()
