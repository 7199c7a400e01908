/* Reads without a mutex: which threads are reading, and how to wait until these reads have ended.
 *
 * On a free-threaded build, a thread that reads a block without its shard's mutex first sets a flag of its own: it
 * makes its `seq` odd, and even again at the end. The cache line belongs to the thread, so reading writes nothing that
 * other cores share. A writer that has made something unreachable and wants to free it calls sm_wait_for_readers().
 * This looks at every thread's `seq`, and where it is odd waits until it has changed. Between the two changes a reader
 * does not detach, stop, or wait. So the wait is short; at worst it lasts until the system resumes a reader that it
 * had preempted.
 *
 * Why no reader is missed. A reader stores its flag, then loads the pointer to the block. The writer has stored the
 * new pointer, then loads the flags. At least one of the two must see the other's store. This takes a full barrier on
 * both sides between store and load. In the reader, a barrier would cost more than the rest of the read. Linux's
 * membarrier() runs one on all cores that run this process, at the request of the writer, which waits rarely
 * (asymmetric barriers, as in liburcu's urcu-memb; Desnoyers et al., User-level implementations of read-copy update,
 * 2012). Windows' FlushProcessWriteBuffers() does the same. If the reader's flag was stored before that barrier, the
 * writer sees it. If it is stored after it, the reader loads the new pointer. Without membarrier(), both sides have a
 * barrier of their own.
 *
 * With a GIL, no other thread runs while a thread reads, and none of this is needed. */
#ifndef SHARDMAP_READERS_H
#define SHARDMAP_READERS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "atomics.h"
#include "build.h"
#include "compiler.h"
#include "system.h"

static int sm_reads_unlocked = 0;  /* fixed at import */
static uint32_t sm_asymmetric = 0; /* membarrier() runs the barrier of readers */

#if SM_READERS_MEET_WRITERS

#if defined(__linux__) && !SM_AS_ON_MACOS
#include <sys/syscall.h>
#include <unistd.h>
#define SM_MEMBARRIER_EXPEDITED 8 /* linux/membarrier.h, which old systems lack */
#define SM_MEMBARRIER_REGISTER_EXPEDITED 16
static int sm_membarrier(int command) { return (int)syscall(__NR_membarrier, command, 0, 0); }
#elif defined(_WIN32)
#define SM_MEMBARRIER_EXPEDITED 1
#define SM_MEMBARRIER_REGISTER_EXPEDITED 2
/* Windows' own such barrier, which needs no registration and never fails. */
static int sm_membarrier(int command)
{
    if (command == SM_MEMBARRIER_EXPEDITED)
        FlushProcessWriteBuffers();
    return 0;
}
#else
#define SM_MEMBARRIER_EXPEDITED 0
#define SM_MEMBARRIER_REGISTER_EXPEDITED 0
static int sm_membarrier(int command)
{
    (void)command;
    return -1;
}
#endif

typedef struct SM_ALIGNED(128) sm_reader {
    uint64_t seq;     /* odd: reading */
    uint32_t in_use;  /* by a thread that has not ended */
    uint32_t counted; /* how many numbers have counts (counts.h) */
    uint64_t *counts;
    struct sm_reader *next; /* all records; they are used again, never freed */
} sm_reader;

static sm_reader *sm_readers = NULL;
static uint32_t sm_turning_off = 0; /* a reader may not know yet that it needs a barrier of its own */
static SM_THREAD_LOCAL sm_reader *sm_this_reader SM_TLS_MODEL = NULL;
static sm_thread_key sm_reader_key;

static void sm_give_reader_back(void *reader)
{
#if defined(SM_FIBRES_END)
    if (sm_this_reader != reader)
        return; /* another thread deletes the fiber in which the record was taken; its owner has not ended */
#endif
    sm_this_reader = NULL;
    /* Release: the next thread continues with this one's `seq` and counts. */
    sm_store_u32(&((sm_reader *)reader)->in_use, 0);
}

/* For a thread's first read. NULL if there is no memory. */
static SM_NOINLINE sm_reader *sm_new_reader(void)
{
    sm_reader *r = sm_load_ptr((void *const *)&sm_readers);
    void *memory = NULL;
    for (; r != NULL; r = r->next) {
        if (sm_change_u32(&r->in_use, 0, 1))
            break;
    }
    if (r == NULL) {
        if ((memory = sm_allocate(sizeof(sm_reader), 128)) == NULL)
            return NULL;
        r = memory;
        memset(r, 0, sizeof *r);
        r->in_use = 1;
        /* Release, for its fields. The barrier of the first read keeps this before that read. */
        do
            r->next = sm_load_ptr_relaxed((void *const *)&sm_readers);
        while (!sm_change_ptr_seq_cst((void **)&sm_readers, r->next, r));
    }
    if (sm_thread_key_set(sm_reader_key, r) != 0) {
        sm_store_u32(&r->in_use, 0);
        return NULL;
    }
    sm_this_reader = r;
    return r;
}

/* From here to sm_read_unlock(), no block is freed that is reachable now. NULL: it failed, and the caller must lock. */
static inline sm_reader *sm_read_lock(void)
{
    sm_reader *me = sm_this_reader;
    if (SM_UNLIKELY(me == NULL)) {
        me = sm_new_reader();
        if (me == NULL)
            return NULL;
    }
    /* Relaxed: the barrier keeps it before the reads. A writer that finds this value instead of the even one before it
     * knows as much, because a thread's stores to one variable stay in order. */
    sm_store_u64_relaxed(&me->seq, me->seq + 1);
    sm_note_reading(1);
    if (SM_LIKELY(sm_load_u32_relaxed(&sm_asymmetric)))
        sm_fence_compiler();
    else
        sm_fence_full();
    return me;
}

static inline void sm_read_unlock(sm_reader *me)
{
    sm_note_reading(0);
    /* Release: all reads stay before it. */
    sm_store_u64(&me->seq, me->seq + 1);
}

/* The caller has made something unreachable. Returns when every read has ended that may have seen it. Do not call it
 * while reading or under a mutex. */
static SM_NOINLINE void sm_wait_for_readers(void)
{
    sm_reader *r;
    uint64_t seq;
    int round;
    SM_REQUIRE(sm_mutexes_held == 0 && !sm_is_reading, "a grace period is waited for under a mutex, or by a reader");
    sm_fence_full();
    /* Acquire: otherwise `sm_turning_off` could be loaded before it, when it is not set yet. */
    if (sm_load_u32(&sm_asymmetric) && sm_membarrier(SM_MEMBARRIER_EXPEDITED) != 0 &&
        (sm_membarrier(SM_MEMBARRIER_REGISTER_EXPEDITED) != 0 || sm_membarrier(SM_MEMBARRIER_EXPEDITED) != 0)) {
        /* The process has been forbidden to call it (seccomp). From now on every reader runs its own barrier. After
         * the nap, the readers that did not know this yet have got a barrier from the scheduler. */
        sm_store_u32_seq_cst(&sm_turning_off, 1);
        sm_store_u32_seq_cst(&sm_asymmetric, 0);
        sm_nap(50000);
        sm_store_u32_seq_cst(&sm_turning_off, 0);
    } else {
        while (sm_load_u32_seq_cst(&sm_turning_off))
            sm_nap(1000); /* another thread has just found out the same */
    }
    for (r = sm_load_ptr_seq_cst((void *const *)&sm_readers); r != NULL; r = r->next) {
        seq = sm_load_u64(&r->seq); /* acquire: the reads come before the freeing */
        if ((seq & 1) == 0)
            continue;
        /* A later odd value is enough, because the same thread stored it after the even one. */
        for (round = 0; sm_load_u64(&r->seq) == seq; round++) {
            if (round < 100)
                sm_pause();
            else if (round < 1000)
                sm_yield();
            else
                sm_nap(50); /* a thread of higher priority must not keep the reader waiting */
        }
    }
}

/* In a forked child, where the other threads do not exist, even if they were reading. */
static void sm_reset_readers(void)
{
    sm_reader *r;
#if SM_DEBUG
    sm_mutexes_held = 0;
#endif
    for (r = sm_readers; r != NULL; r = r->next) {
        if (r != sm_this_reader) {
            r->seq = 0;
            r->in_use = 0;
        }
    }
    if (sm_asymmetric)
        sm_membarrier(SM_MEMBARRIER_REGISTER_EXPEDITED);
}

#else /* no readers to wait for */

typedef char sm_reader;
static char sm_nobody;

static inline sm_reader *sm_read_lock(void)
{
    sm_note_reading(1);
    return &sm_nobody;
}

static inline void sm_read_unlock(sm_reader *me)
{
    (void)me;
    sm_note_reading(0);
}

static inline void sm_wait_for_readers(void) {}
static inline void sm_reset_readers(void)
{
#if SM_DEBUG
    sm_mutexes_held = 0;
#endif
}

#endif

/* Called once, at import. SHARDMAP_READS=locked in the environment makes reads take the mutex.
 * SHARDMAP_READS=fenced makes them run a barrier of their own, as on systems without membarrier(). */
static void sm_readers_init(void)
{
    const char *wanted = getenv("SHARDMAP_READS");
    sm_reads_unlocked = !(wanted != NULL && strcmp(wanted, "locked") == 0);
#if SM_READERS_MEET_WRITERS
    if (sm_reads_unlocked && sm_thread_key_create(&sm_reader_key, sm_give_reader_back) != 0)
        sm_reads_unlocked = 0;
    sm_asymmetric = sm_reads_unlocked && !(wanted != NULL && strcmp(wanted, "fenced") == 0) &&
                    sm_membarrier(SM_MEMBARRIER_REGISTER_EXPEDITED) == 0;
#endif
}

#endif
