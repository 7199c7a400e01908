/* Reads without a mutex, and waiting for who reads: core/readers.h, on a system where readers meet writers.
 * SHARDMAP_READS chooses the barriers, as in the extension. The tests of records and of the system's refusals are in
 * records.c. */
#define SM_READERS_MEET_WRITERS 1
#include "core/readers.h"

#include "core/sched_point.h"
#include "harness.h"
#include "threads.h"

/* What the tests must notice: who frees does not wait, or who reads does not say so. */
static void wait_for_readers(void)
{
#ifndef MUTANT_NO_WAIT
    sm_wait_for_readers();
#endif
}

static sm_reader *start_reading(void)
{
#ifdef MUTANT_SAYS_NOTHING
    static sm_reader nobody;
    return &nobody;
#else
    sm_reader *me = sm_read_lock();
    CHECK(me != NULL);
    return me;
#endif
}

static void stop_reading(sm_reader *me)
{
#ifdef MUTANT_SAYS_NOTHING
    (void)me;
#else
    sm_read_unlock(me);
#endif
}

/* --- A block that is replaced while others read it --- */

#define WORDS 32
#define POISON UINT64_C(0xDEADDEADDEADDEAD)
#define READERS 3
#define WRITERS 2
#define REPLACED 1500 /* times by each writer */

typedef struct block {
    uint64_t words[WORDS]; /* all the same */
} block;

static block *published;
static sm_mutex shard; /* of the writers */
static uint32_t writers_left;

static block *new_block(uint64_t word)
{
    block *b = sm_allocate(sizeof *b, 64);
    int i;
    CHECK(b != NULL);
    for (i = 0; i < WORDS; i++)
        b->words[i] = word;
    return b;
}

static void poison_and_free(block *b)
{
    int i;
    for (i = 0; i < WORDS; i++) {
        b->words[i] = POISON;
        if (i == WORDS / 2)
            sm_sched_point();
    }
    __asm__ __volatile__("" ::: "memory"); /* stores before a free are stores */
    sm_release(b);
}

static void replace(uint64_t word)
{
    block *fresh = new_block(word), *old;
    sm_mutex_lock(&shard);
    old = published;
    sm_store_ptr((void **)&published, fresh);
    sm_mutex_unlock(&shard);
    sm_sched_point();
    wait_for_readers();
    poison_and_free(old);
}

static void look(unsigned turn)
{
    sm_reader *me = start_reading();
    const volatile uint64_t *words;
    uint64_t first;
    int i;
    sm_sched_point();
    words = ((block *)sm_load_ptr((void *const *)&published))->words;
    sm_sched_point();
    first = words[0];
    if (turn % 16 == 0)
        sm_yield(); /* as if the system had interrupted it */
    for (i = 0; i < WORDS; i++)
        CHECK(words[i] == first && first != POISON);
    stop_reading(me);
}

static void read_or_replace(int number)
{
    unsigned i;
    if (number < READERS) {
        for (i = 0; sm_load_u32(&writers_left) != 0; i++)
            look(i);
        return;
    }
    for (i = 1; i <= REPLACED; i++) {
        replace((uint64_t)i * WRITERS + (uint64_t)number);
        if (i % 8 == 0)
            sm_yield();
    }
    __atomic_sub_fetch(&writers_left, 1, __ATOMIC_RELEASE);
}

static void a_block_is_not_freed_while_a_reader_looks_at_it(void)
{
    sm_mutex_init(&shard);
    published = new_block(0);
    writers_left = WRITERS;
    run_threads(READERS + WRITERS, read_or_replace);
    sm_release(published);
    sm_mutex_destroy(&shard);
}

/* --- Who waits, and until when --- */

static uint32_t inside, may_leave, left;

static void stay_inside(void *unused)
{
    sm_reader *me = start_reading();
    int i;
    (void)unused;
    __atomic_add_fetch(&inside, 1, __ATOMIC_ACQ_REL);
    wait_until_is(&may_leave, 1);
    for (i = 0; i < 20; i++)
        sm_nap(50); /* for who does not wait to get through; who does cannot, however long or short this is */
    __atomic_add_fetch(&left, 1, __ATOMIC_ACQ_REL);
    stop_reading(me);
}

static void wait_while_inside(uint32_t readers)
{
    thread threads[MOST_THREADS];
    uint32_t i;
    sm_store_u32(&inside, 0);
    sm_store_u32(&may_leave, 0);
    sm_store_u32(&left, 0);
    for (i = 0; i < readers; i++)
        start_thread(&threads[i], stay_inside, NULL);
    wait_until_is(&inside, readers);
    sm_store_u32(&may_leave, 1);
    wait_for_readers();
    CHECK_EQUAL(sm_load_u32(&left), readers);
    for (i = 0; i < readers; i++)
        join_thread(&threads[i]);
}

static void a_reader_that_stays_inside_keeps_who_waits_waiting(void)
{
    int i;
    for (i = 0; i < 20; i++)
        wait_while_inside(1);
}

static void many_readers_inside_are_all_waited_for(void)
{
    wait_while_inside(2);
    wait_while_inside(24);
}

static void nobody_is_waited_for_who_does_not_read(void)
{
    int i;
    stop_reading(start_reading()); /* so there is one to look at */
    for (i = 0; i < 100; i++)
        wait_for_readers();
}

static uint32_t waits_left;

static void read_on_or_wait(int number)
{
    int i;
    if (number > 0) {
        for (i = 1; sm_load_u32(&waits_left) != 0; i++) {
            stop_reading(start_reading());
            if (i % 64 == 0)
                sm_yield(); /* else, with few cores, each wait is for a reader that the system has interrupted inside */
        }
        return;
    }
    for (i = 0; i < 100; i++)
        wait_for_readers();
    sm_store_u32(&waits_left, 0);
}

static void readers_that_come_again_and_again_keep_nobody_waiting_for_ever(void)
{
    sm_store_u32(&waits_left, 1);
    run_threads(4, read_on_or_wait);
}

static void read_and_wait_in_turn(int number)
{
    int i;
    (void)number;
    for (i = 0; i < 200; i++) {
        stop_reading(start_reading());
        wait_for_readers();
    }
}

static void threads_that_read_and_wait_in_turn_do_not_wait_for_each_other(void)
{
    run_threads(4, read_and_wait_in_turn);
}

int main(int argc, char **argv)
{
    static const test TESTS[] = {
        {"nobody is waited for who does not read", nobody_is_waited_for_who_does_not_read},
        {"a reader that stays inside keeps who waits waiting", a_reader_that_stays_inside_keeps_who_waits_waiting},
        {"many readers inside are all waited for", many_readers_inside_are_all_waited_for},
        {"readers that come again and again keep nobody waiting for ever",
         readers_that_come_again_and_again_keep_nobody_waiting_for_ever},
        {"threads that read and wait in turn do not wait for each other",
         threads_that_read_and_wait_in_turn_do_not_wait_for_each_other},
        {"a block is not freed while a reader looks at it", a_block_is_not_freed_while_a_reader_looks_at_it},
    };
    sm_readers_init();
    CHECK(sm_reads_unlocked);
    printf("readers: %s\n", sm_asymmetric ? "membarrier() is their barrier" : "with a barrier of their own");
    return RUN_TESTS("readers", TESTS, argc, argv);
}
