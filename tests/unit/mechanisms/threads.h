/* The tests' own threads and processes. What is asked of the system for them is in the first part, and nowhere else:
 * the file to write for another system, beside core/system.h. */
#ifndef MECHANISMS_THREADS_H
#define MECHANISMS_THREADS_H

#include <pthread.h>
#include <stdint.h>

#include "core/atomics.h"
#include "core/system.h"
#include "harness.h"

/* --- The system --- */

typedef struct thread {
    pthread_t system;
    void (*work)(void *);
    void *argument;
} thread;

static void *thread_main(void *started)
{
    ((thread *)started)->work(((thread *)started)->argument);
    return NULL;
}

static void start_thread(thread *started, void (*work)(void *), void *argument)
{
    started->work = work;
    started->argument = argument;
    CHECK_EQUAL(pthread_create(&started->system, NULL, thread_main, started), 0);
}

static void join_thread(thread *started) { CHECK_EQUAL(pthread_join(started->system, NULL), 0); }

#if !defined(_WIN32)
#define HAS_FORK 1
#include <sys/wait.h>
#include <unistd.h>

/* Checks that `work` returns in a forked child. */
static void run_in_child(void (*work)(void))
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        alarm(30); /* rather than to wait for ever */
        work();
        _exit(0);
    }
    CHECK(child > 0);
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
}
#endif

/* --- The same everywhere --- */

#define MOST_THREADS 32

/* Waits for another thread. `turn` is how often it was called before for the same wait. */
static inline void wait_a_turn(unsigned turn)
{
    if (turn < 200)
        sm_pause();
    else
        sm_yield();
}

static void wait_until_is(const uint32_t *where, uint32_t value)
{
    unsigned turn;
    for (turn = 0; sm_load_u32(where) != value; turn++)
        wait_a_turn(turn);
}

/* How many have come; the last lets all go on. For one set of threads, as often as they like. */
typedef struct gate {
    uint32_t threads, waiting, opened;
} gate;

static void pass_gate(gate *g)
{
    uint32_t opened = sm_load_u32(&g->opened);
    if (__atomic_add_fetch(&g->waiting, 1, __ATOMIC_ACQ_REL) == g->threads) {
        sm_store_u32(&g->waiting, 0);
        sm_store_u32(&g->opened, opened + 1);
    } else {
        wait_until_is(&g->opened, opened + 1);
    }
}

typedef struct worker {
    thread thread;
    gate *start;
    void (*work)(int number);
    int number;
} worker;

static void worker_main(void *argument)
{
    worker *me = argument;
    pass_gate(me->start);
    me->work(me->number);
}

/* Runs work(0), work(1), ... in threads that start together, and returns when all have ended. */
static void run_threads(int count, void (*work)(int number))
{
    worker workers[MOST_THREADS];
    gate start = {(uint32_t)count, 0, 0};
    int i;
    CHECK(count <= MOST_THREADS);
    for (i = 0; i < count; i++) {
        workers[i].start = &start;
        workers[i].work = work;
        workers[i].number = i;
        start_thread(&workers[i].thread, worker_main, &workers[i]);
    }
    for (i = 0; i < count; i++)
        join_thread(&workers[i].thread);
}

#endif
