# Declarations of the core: C functions, the shapes in memory, the extension types' fields.

from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport int64_t, intptr_t, uint8_t, uint32_t, uint64_t, uintptr_t


# --- C ---------------------------------------------------------------------------------------------

cdef extern from "Python.h":
    ctypedef int (*visitproc)(PyObject*, void*)
    ctypedef struct PyThreadState:
        pass
    # By pointer, so that Cython adds no reference counting of its own.
    void incref "Py_INCREF"(PyObject*)
    void decref "Py_DECREF"(PyObject*)
    PyTypeObject* type_of "Py_TYPE"(PyObject*)
    bint is_exact_str "PyUnicode_CheckExact"(PyObject*)
    Py_hash_t hash_object "PyObject_Hash"(PyObject*) except? -1
    PyObject* rich_compare "PyObject_RichCompare"(PyObject*, PyObject*, int) except NULL
    int is_true "PyObject_IsTrue"(PyObject*) except -1
    PyThreadState* PyEval_SaveThread() noexcept
    void PyEval_RestoreThread(PyThreadState*) noexcept
    int Py_EQ

cdef extern from "core/system.h" nogil:
    ctypedef struct sm_mutex:
        pass
    ctypedef struct sm_cond:
        pass
    void sm_mutex_init(sm_mutex*)
    void sm_mutex_destroy(sm_mutex*)
    bint sm_mutex_try(sm_mutex*)
    void sm_mutex_lock(sm_mutex*)
    void sm_mutex_unlock(sm_mutex*)

cdef extern from "core/system.h":
    int sm_at_fork(void (*before)() noexcept, void (*in_parent)() noexcept, void (*in_child)() noexcept)

cdef extern from "core/atomics.h" nogil:
    uint64_t sm_load_u64(const uint64_t*)
    void sm_store_u64(uint64_t*, uint64_t)
    uint64_t sm_add_u64(uint64_t*, uint64_t)
    uint32_t sm_load_u32(const uint32_t*)
    void sm_store_u32(uint32_t*, uint32_t)
    void* sm_load_ptr(void**)
    void sm_store_ptr(void**, void*)
    uint8_t sm_load_u8(const uint8_t*)
    void sm_store_u8(uint8_t*, uint8_t)
    uint32_t sm_load_u32_relaxed(const uint32_t*)
    void sm_store_u32_relaxed(uint32_t*, uint32_t)
    unsigned long sm_load_ulong_relaxed(const unsigned long*)
    void sm_store_ulong_relaxed(unsigned long*, unsigned long)
    int64_t sm_sub_i64_relaxed(int64_t*, int64_t)
    int64_t sm_load_i64_relaxed(const int64_t*)
    void sm_store_i64_relaxed(int64_t*, int64_t)
    void sm_fence_release()
    void sm_fence_full()
    void sm_fence_after_unlock()
    void sm_pause()

cdef extern from "core/pauses.h" nogil:
    void sm_step()
    const bint sm_has_pauses

cdef extern from "core/hashing.h" nogil:
    uint32_t sm_shard_of(uint64_t hash, unsigned int shard_bits)
    uint32_t sm_place_of(uint64_t hash, unsigned int shard_bits)

cdef extern from "core/plain.h" nogil:
    bint sm_is_plain_key(PyObject*)
    int sm_compare(PyObject*, PyObject*)
    size_t sm_plain_size(PyObject*)
    void prefetch "SM_PREFETCH"(const void*)

cdef extern from "core/readers.h":
    ctypedef struct sm_reader:
        pass
    const bint SM_READERS_MEET_WRITERS
    bint sm_reads_unlocked
    bint sm_asymmetric
    void sm_readers_init() noexcept
    sm_reader* sm_start_reading() noexcept
    void sm_stop_reading(sm_reader*) noexcept
    void sm_wait_for_readers() noexcept
    void sm_forget_readers() noexcept

cdef extern from "core/stamp.h" nogil:
    void sm_stamp_init()
    uint64_t sm_stamp_now()
    int sm_stamp_uses_tsc

cdef extern from "core/interpreter.h":
    object steal "SM_STEAL"(PyObject*)
    void sm_note_use(PyObject*, uint8_t* seen) noexcept
    bint sm_try_incref(PyObject*) noexcept
    void sm_allow_try_incref(PyObject*) noexcept
    const bint SM_TELLS_ONLY_REFERENCE
    bint sm_only_reference(PyObject*) noexcept
    void sm_recycle_tuple(PyObject*) noexcept
    Py_hash_t sm_str_hash(PyObject*) noexcept
    bint sm_small_int_hash(PyObject*, Py_hash_t*) noexcept


# --- Shapes in memory --------------------------------------------------------------------------------

cdef enum Found:
    FAILED = -1     # an exception is set
    ABSENT = 0
    PRESENT = 1

cdef struct Entry:
    PyObject* key       # owned; NULL once removed
    PyObject* value     # owned, or a number (core/value.pxi); NULL once removed

# One allocation: this head, then index, entries, stamps, places. Essay in core/block.pxi.
cdef struct Block:
    # Fixed for the block's life: the line that readers share.
    uint32_t mask           # index words - 1
    uint32_t capacity       # entries that fit
    uint32_t* index
    Entry* entries
    uint64_t* stamps
    uint32_t* places        # and in the top bit whether the key is plain
    size_t bytes            # of the whole allocation
    char _apart[64]
    # Changed by every insertion and removal.
    uint32_t used           # entries appended, the removed ones among them included
    uint32_t live           # entries that are there
    uint32_t filled         # index words that are not EMPTY
    uint32_t reuses         # insertions that took the index word of a removed entry
    # Hints, written even where the block is shared: entries before `head`, and from `tail` on, are gone.
    uint32_t head
    uint32_t tail
    Block* emptied_before   # in a table's list

# Who runs (core/context.pxi).
cdef struct Context:
    uint64_t thread         # token
    uint64_t id             # token of the task, or of the thread's scope
    bint is_task
    bint in_loop            # an event loop runs in this thread
    PyObject* scope         # a Scope, owned; NULL in a loop

# Who asks for a key's lock.
cdef struct Caller:
    Context context
    bint is_known
    uint64_t left           # a scope of this thread that was left
    uint64_t same           # one that was not

cdef struct Waiter

cdef struct KeyLock:
    KeyLock* next
    PyObject* key           # owned; NULL: the guard of a place (lock_many)
    uint32_t place
    bint is_compute         # held to compute a value, not for a block
    bint computing          # the function runs: the holder itself may not write from within
    bint written            # the holder came by to write the key
    uint64_t serial         # identifies the key; a lock that is handed on keeps it
    uint64_t grant          # identifies who holds it; 0: lost in a fork
    Context owner
    Waiter* first
    Waiter* last

cdef struct Waiter:
    Waiter* next            # in the lock's queue
    Waiter* newer           # in the list of all that wait
    Waiter* older
    KeyLock* lock           # NULL: it is no more (only while away)
    Context owner
    bint computing
    bint for_ever
    bint granted
    bint is_away            # other code runs in the thread that waits: passed over
    uint64_t grant
    uint64_t searched_by    # the search for deadlocks that came by last,
    Waiter* next_to_follow  # and whom it looks at next
    PyObject* request       # of a task (core/keyrequest.pxi); NULL: a thread waits
    sm_cond wake

# A writer's way past the key locks of its shard.
cdef struct KeyLockCheck:
    uint64_t cleared        # locks up to this serial are of other keys
    uint64_t matched        # the lock of this serial is of an equal key
    KeyLock* held           # taken on the way; handed on at the end
    uint64_t granted        # the caller's own, which it may write under although it computes; 0: none
    Caller caller

# What was removed while threads may have been looking at it without the mutex (core/readers.h): plain keys, and
# blocks (lowest bit set). Let go together when it is full.
cdef struct Limbo:
    uint32_t count
    size_t bytes
    void* items[126]

cdef struct Shard:
    sm_mutex mutex
    Block** published       # where readers find the table's block
    uint8_t* seen           # the map's: a second thread has used it
    Limbo* limbo            # NULL: nothing in it
    PyObject* table         # owned, and one share of it; never NULL; NOTHING until the first insertion
    uint64_t size_word      # version << 32 | live entries: for len() without locks
    uint64_t epoch          # grows whenever positions in the block lose their meaning
    KeyLock* key_locks      # of this shard's keys; almost always none
    uint64_t lock_serial    # of the newest
    uint64_t contended      # acquisitions that found the mutex taken
    uint64_t copies         # of the table, because a snapshot shared it

# What leave() has to see to before the caller frees what it took out of the table.
cdef enum Removed:
    NOTHING_REMOVED = 0
    UNSEEN = 1              # while one thread only used the map: nobody to wait for, unless that has changed
    SEEN = 2                # wait for those who read

# An entry that a key was found in, for as long as the shard's epoch is the same.
cdef struct FoundEntry:
    bint is_valid
    uint64_t epoch
    uint32_t entry

# Where a look-up ended: the entry, or the empty index word where the key would go.
cdef struct Position:
    Shard* shard
    Block** slot            # the shard's, in MapCore.blocks
    Block* block
    uint32_t place
    uint32_t word
    uint32_t entry
    PyObject* equal         # a stored key that was found equal, borrowed: not compared again; or NULL
    PyObject* left          # a table to let go twice once the mutex is let go, or NULL
    Limbo* full             # to be emptied then, or NULL
    Removed removed

cdef struct Merge           # core/merge.pxi


# --- Extension types -----------------------------------------------------------------------------------

cdef class Table:
    cdef Block* block       # never NULL
    cdef Block* emptied     # by the collector, a list: iterators may still point to them
    cdef uint64_t shares    # maps and snapshots that hold it; more than one: nobody may change it
    cdef object gc_anchor   # makes Cython give the type the garbage collector's slots; stays None

cdef class MapCore:
    cdef object __weakref__
    cdef object gc_anchor
    cdef char* shards           # shard_count slots, each whole cache lines
    cdef Block** blocks         # the block of each, for those who read without the mutex; changes rarely
    cdef uint32_t shard_count
    cdef uint32_t shard_bits
    cdef bint chosen_shards     # the user said how many
    cdef uint8_t seen           # a second thread has used the map
    cdef uint64_t sweep         # odd while one operation changes several shards
    cdef PyObject* newer        # neighbours in the list of live maps (core/fork.pxi)
    cdef PyObject* older

cdef class SnapshotCore:
    cdef object __weakref__
    cdef object origin          # None; or what keeps the tables, which are then that one's (core/eventual.pxi)
    cdef PyObject** tables      # table_count owned references, each with a share
    cdef uint32_t table_count
    cdef uint32_t shard_bits
    cdef bint chosen_shards
    cdef uint32_t foreign_uses  # by threads that did not make it, until they are many
    cdef Py_ssize_t live

cdef class KeyEntry:
    cdef object __weakref__
    cdef MapCore source
    cdef object key
    cdef object timeout         # as given, for messages
    cdef double seconds         # NO_DEADLINE: for ever
    cdef Py_hash_t hashed
    cdef Shard* shard
    cdef KeyLock* lock          # held, or NULL
    cdef uint64_t grant         # by which it is held
    cdef PyObject* held_map     # a reference of our own while the lock is held
    cdef bint guard             # of the key's place, not of the key

cdef class LockedMany:
    cdef object __weakref__
    cdef dict entries           # in the order asked
    cdef list order             # in the order of locking, guards among them
    cdef object timeout
    cdef double seconds
    cdef bint held

# How far a batch operation has come with an iterable.
cdef struct Source:
    Py_ssize_t position     # in a list or a tuple
    bint ended              # there are no more

# Many keys of one call, their hashes, and the order by shard in which they are worked on (core/bulk_keys.pxi).
cdef class Bulk:
    cdef PyObject** keys        # size owned references, or NULL
    cdef PyObject** values      # likewise, or numbers
    cdef uint32_t* shard        # of each key ...
    cdef uint32_t* place
    cdef uint32_t* entry        # where it was found, and
    cdef uint64_t* epoch        # in which epoch of its shard
    cdef PyObject** others      # in its stead: keys that were removed
    cdef uint8_t* state
    cdef uint32_t* order        # numbers of keys, sorted by shard
    cdef uint32_t* starts       # for sorting; NULL: too many shards for it
    cdef char* memory
    cdef uint32_t room
    cdef uint32_t size
    cdef uint32_t shards
    cdef bint all_plain         # all keys are of plain types
    cdef bint mostly_new        # most keys of the last batch were not in the map
    cdef Source source          # of the keys
    cdef Source other           # of the values
    cdef object error           # of a source or of a hash: to be raised once what came before is done

cdef class SnapshotIterator:
    cdef SnapshotCore snapshot  # None once exhausted
    cdef Merge* merge           # NULL: nothing to begin with
    cdef PyObject* item         # owned; the tuple to use again, or NULL
    cdef int what               # KEYS, VALUES or ITEMS
    cdef uint8_t lock           # of one byte (atomicref.h): threads may share an iterator
    cdef uint8_t kept           # the caller had kept the tuple: another one was needed
    cdef Py_ssize_t remaining


cdef class AtomicRef:
    cdef object __weakref__
    cdef object gc_anchor
    cdef PyObject* value        # owned; never NULL
    cdef unsigned long writer   # thread that wrote last
    cdef uint8_t lock
    cdef uint8_t seen           # a second thread has used it

cdef class Version:
    cdef readonly SnapshotCore content
    cdef readonly object meta
    cdef readonly uint64_t number

cdef class ReaderCore:
    cdef object __weakref__
    cdef AtomicRef published
    cdef Version held
    cdef object replaced        # versions that a read further up the stack may look at: (version, more) or None
    cdef unsigned long owner    # thread; 0: the first that uses it
    cdef Py_ssize_t reading     # reads of the owner's that are under way, one inside the other
    cdef char _apart[128]       # another thread's reader may be the next object in memory

cdef class Partition:
    cdef SnapshotCore source
    cdef Py_ssize_t size
    cdef uint32_t table         # where it begins
    cdef uint32_t entry

cdef class PartitionIterator:
    cdef SnapshotCore source
    cdef Py_ssize_t remaining
    cdef uint32_t table
    cdef uint32_t entry
