/* Reads without a mutex: who is looking, and how to wait until all who were have gone.
 *
 * On a free-threaded build a thread that reads a block without its shard's mutex sets a flag of its own
 * first: it makes its `seq` odd, and even again when it has done. The line is the thread's own, so
 * reading writes nothing that other cores share. Who has taken something out of reach and wants to free
 * it calls sm_wait_for_readers(): it looks at every thread's `seq`, and where it finds an odd one waits
 * until it has changed. Between the two a reader neither detaches nor stops nor waits for anything, so
 * this takes a moment, at worst until the system lets a reader run on that it had interrupted.
 *
 * Why nobody is overlooked. A reader stores its flag, then loads the pointer to the block. Who waits has
 * stored the new pointer, then loads the flags. One of the two must see the other's store, which takes a
 * full barrier on both sides between store and load. The reader's would cost more than all the rest of
 * the read; Linux's membarrier() runs one on all cores that run this process, from the side that waits,
 * which is rare (asymmetric barriers, as in liburcu's urcu-memb; Desnoyers et al., User-level
 * implementations of read-copy update, 2012), as does Windows' FlushProcessWriteBuffers(). So either the
 * reader's flag was stored before that barrier,
 * and who waits sees it; or it is stored after, and then the reader loads the new pointer. Where there is
 * no membarrier(), both sides have a barrier of their own.
 *
 * With a GIL nobody else runs while a thread reads, and none of this is needed. */
#ifndef SHARDMAP_READERS_H
#define SHARDMAP_READERS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "atomics.h"
#include "build.h"
#include "compiler.h"
#include "system.h"

static int sm_reads_unlocked = 0;   /* fixed at import */
static uint32_t sm_asymmetric = 0;  /* membarrier() does the readers' barrier for them */

#if SM_READERS_MEET_WRITERS

#if defined(__linux__) && !SM_AS_ON_MACOS
#include <sys/syscall.h>
#include <unistd.h>
#define SM_MEMBARRIER_EXPEDITED 8            /* linux/membarrier.h, which old systems lack */
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
static int sm_membarrier(int command) { (void)command; return -1; }
#endif

typedef struct SM_ALIGNED(128) sm_reader {
    uint64_t seq;                 /* odd: reading */
    uint32_t in_use;                /* by a thread that lives */
    uint32_t counted;               /* numbers that there are counts for (counts.h) */
    uint64_t *counts;
    struct sm_reader *next;         /* all there ever were; they are used again, never freed */
} sm_reader;

static sm_reader *sm_readers = NULL;
static uint32_t sm_turning_off = 0;      /* some reader may not know yet that it needs a barrier of its own */
static SM_THREAD_LOCAL sm_reader *sm_this_reader SM_TLS_MODEL = NULL;
static sm_thread_key sm_reader_key;

static void sm_give_reader_back(void *reader)
{
#if defined(SM_FIBRES_END)
    if (sm_this_reader != reader)
        return; /* another thread deletes a fibre in which it was taken: who has it lives on */
#endif
    sm_this_reader = NULL;
    /* Release: the next thread goes on from this one's `seq` and counts. */
    sm_store_u32(&((sm_reader *)reader)->in_use, 0);
}

/* A thread's first read. NULL when there is no memory. */
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
        /* Release: with its fields. The barrier of its first read puts it before that. */
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

/* From here on, until sm_read_unlock(), no block is freed that is in reach now. NULL: not to be had, lock. */
static inline sm_reader *sm_read_lock(void)
{
    sm_reader *me = sm_this_reader;
    if (SM_UNLIKELY(me == NULL)) {
        me = sm_new_reader();
        if (me == NULL)
            return NULL;
    }
    /* Relaxed: the barrier keeps it before what is read. Who finds it instead of the even value before it knows as
     * much: of one variable a thread's stores stay in order. */
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
    /* Release: all that was read is before it. */
    sm_store_u64(&me->seq, me->seq + 1);
}

/* Returns when every thread that may have seen what the caller has put out of reach has stopped reading. Not to
 * be called while reading, nor under a mutex. */
static SM_NOINLINE void sm_wait_for_readers(void)
{
    sm_reader *r;
    uint64_t seq;
    int round;
    SM_REQUIRE(sm_mutexes_held == 0 && !sm_is_reading, "a grace period is waited for under a mutex, or by a reader");
    sm_fence_full();
    /* Acquire: else `sm_turning_off` could be read before it, and found not to be set yet. */
    if (sm_load_u32(&sm_asymmetric) && sm_membarrier(SM_MEMBARRIER_EXPEDITED) != 0
        && (sm_membarrier(SM_MEMBARRIER_REGISTER_EXPEDITED) != 0 || sm_membarrier(SM_MEMBARRIER_EXPEDITED) != 0)) {
        /* Somebody has forbidden it since (seccomp). From now on every reader has its own barrier; those who
         * did not know yet have theirs from the scheduler by then. */
        sm_store_u32_seq_cst(&sm_turning_off, 1);
        sm_store_u32_seq_cst(&sm_asymmetric, 0);
        sm_nap(50000);
        sm_store_u32_seq_cst(&sm_turning_off, 0);
    }
    else {
        while (sm_load_u32_seq_cst(&sm_turning_off))
            sm_nap(1000); /* another thread has just found that out */
    }
    for (r = sm_load_ptr_seq_cst((void *const *)&sm_readers); r != NULL; r = r->next) {
        seq = sm_load_u64(&r->seq);     /* acquire: what was read is read before it is freed */
        if ((seq & 1) == 0)
            continue;
        /* A later odd value says as much: it was stored after the even one, by the same thread. */
        for (round = 0; sm_load_u64(&r->seq) == seq; round++) {
            if (round < 100)
                sm_pause();
            else if (round < 1000)
                sm_yield();
            else
                sm_nap(50);   /* a thread of higher priority must not keep the reader waiting */
        }
    }
}

/* In a forked child: the other threads are gone, whatever they were doing. */
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

static inline void sm_wait_for_readers(void) { }
static inline void sm_reset_readers(void)
{
#if SM_DEBUG
    sm_mutexes_held = 0;
#endif
}

#endif

/* Once, at import. SHARDMAP_READS=locked in the environment makes reads take the mutex; SHARDMAP_READS=fenced makes
 * them have a barrier of their own, as where there is no membarrier(). */
static void sm_readers_init(void)
{
    const char *wanted = getenv("SHARDMAP_READS");
    sm_reads_unlocked = !(wanted != NULL && strcmp(wanted, "locked") == 0);
#if SM_READERS_MEET_WRITERS
    if (sm_reads_unlocked && sm_thread_key_create(&sm_reader_key, sm_give_reader_back) != 0)
        sm_reads_unlocked = 0;
    sm_asymmetric = sm_reads_unlocked && !(wanted != NULL && strcmp(wanted, "fenced") == 0)
        && sm_membarrier(SM_MEMBARRIER_REGISTER_EXPEDITED) == 0;
#endif
}

#endif
