/* The record that each thread has when it reads, and what the system may refuse: core/readers.h. */
#define SM_READERS_MEET_WRITERS 1
#include "core/system.h"
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* The system refuses when it is told to. */
static int no_memory = 0, asked_for_membarrier = 0;

static void *allocate_or_not(size_t size, size_t alignment) { return no_memory ? NULL : sm_allocate(size, alignment); }

static int posix_memalign_or_not(void **memory, size_t alignment, size_t size)
{
    *memory = allocate_or_not(size, alignment);
    return *memory == NULL;
}

#if !defined(_WIN32)
static int no_membarrier = 0;
#endif

#if defined(__linux__)
static long syscall_or_not(long number, int command, int flags, int cpu)
{
    asked_for_membarrier = 1;
    return no_membarrier ? -1 : syscall(number, command, flags, cpu);
}
#define syscall syscall_or_not
#endif
#define posix_memalign posix_memalign_or_not
#define sm_allocate allocate_or_not
#include "core/readers.h"
#undef posix_memalign
#undef sm_allocate
#undef syscall

#include "harness.h"
#include "threads.h"

static uint32_t records(int *taken)
{
    const sm_reader *r;
    uint32_t count = 0;
    *taken = 0;
    for (r = __atomic_load_n(&sm_readers, __ATOMIC_ACQUIRE); r != NULL; r = r->next) {
        *taken += __atomic_load_n(&r->in_use, __ATOMIC_ACQUIRE);
        CHECK((uintptr_t)r % 128 == 0); /* the line is the thread's own */
        count++;
    }
    return count;
}

static void read_once(void *seen)
{
    sm_reader *me = sm_read_lock();
    CHECK(me != NULL);
    CHECK_EQUAL(me->seq % 2, 1);
    sm_read_unlock(me);
    CHECK_EQUAL(me->seq % 2, 0);
    CHECK(sm_read_lock() == me);
    sm_read_unlock(me);
    *(sm_reader **)seen = me;
}

static void the_record_of_a_thread_that_has_ended_is_used_again(void)
{
    sm_reader *mine, *first, *next;
    int taken, i;
    uint32_t count;
    thread one;
    read_once(&mine);
    start_thread(&one, read_once, &first);
    join_thread(&one);
    CHECK(first != mine);
    count = records(&taken);
    CHECK_EQUAL(taken, 1);
    for (i = 0; i < 50; i++) {
        start_thread(&one, read_once, &next);
        join_thread(&one);
        CHECK(next != mine);
    }
    CHECK_EQUAL(records(&taken), count);
    CHECK_EQUAL(taken, 1);
}

#define MANY 24
static gate all_inside;
static sm_reader *of_each[MANY];

static void read_together(int number)
{
    sm_reader *me = sm_read_lock();
    CHECK(me != NULL);
    of_each[number] = me;
    pass_gate(&all_inside);
    CHECK_EQUAL(me->seq % 2, 1);
    sm_read_unlock(me);
}

static void threads_at_the_same_time_have_a_record_each(void)
{
    uint32_t count = 0;
    int taken, i, j, round;
    all_inside.threads = MANY;
    for (round = 0; round < 5; round++) {
        run_threads(MANY, read_together);
        for (i = 0; i < MANY; i++)
            for (j = 0; j < i; j++)
                CHECK(of_each[i] != of_each[j]);
        CHECK(records(&taken) >= MANY);
        CHECK(round == 0 || records(&taken) == count); /* as many as there ever were at once */
        count = records(&taken);
        CHECK(taken <= 1);
    }
}

static void find_no_memory(void *unused)
{
    int taken;
    uint32_t before = records(&taken);
    (void)unused;
    no_memory = 1;
    CHECK(sm_read_lock() == NULL);
    CHECK(sm_read_lock() == NULL);
    CHECK_EQUAL(records(&taken), before);
    sm_wait_for_readers();
    no_memory = 0;
    sm_read_unlock(sm_read_lock()); /* and then all is well */
    CHECK_EQUAL(records(&taken), before + 1);
}

static void without_memory_for_a_record_there_is_none(void)
{
    sm_reader *r;
    thread one;
    for (r = sm_readers; r != NULL; r = r->next) /* so that none is left to use again */
        r->in_use += 2;
    start_thread(&one, find_no_memory, NULL);
    join_thread(&one);
    for (r = sm_readers; r != NULL; r = r->next)
        r->in_use = r->in_use >= 2 ? r->in_use - 2 : r->in_use;
}

#ifdef HAS_FORK
static uint32_t inside, may_leave;

static void stay_inside(void *unused)
{
    sm_reader *me = sm_read_lock();
    (void)unused;
    sm_store_u32(&inside, 1);
    wait_until_is(&may_leave, 1);
    CHECK_EQUAL(me->seq % 2, 1); /* what a child does is not seen here */
    sm_read_unlock(me);
}

static void forget_readers(void)
{
    sm_reader *mine = sm_this_reader, *again;
    uint64_t turns = mine->seq;
    int taken;
    sm_reset_readers();
    sm_wait_for_readers(); /* not for who is not there */
    records(&taken);
    CHECK_EQUAL(taken, 1);
    CHECK(mine->in_use && mine->seq == turns);
    again = sm_read_lock();
    CHECK(again == mine);
    sm_read_unlock(again);
    sm_wait_for_readers();
}

static void a_child_forgets_the_readers_it_does_not_have(void)
{
    sm_reader *mine;
    thread one;
    int i;
    read_once(&mine);
    sm_store_u32(&inside, 0);
    sm_store_u32(&may_leave, 0);
    start_thread(&one, stay_inside, NULL);
    wait_until_is(&inside, 1);
    for (i = 0; i < 3; i++)
        run_in_child(forget_readers);
    sm_store_u32(&may_leave, 1);
    join_thread(&one);
}
#endif

#if defined(_WIN32)
static void *thread_of_fibres;

static void WINAPI read_in_fibre(void *seen)
{
    read_once(seen);
    SwitchToFiber(thread_of_fibres);
}

static void delete_fibre(void *fibre) { DeleteFiber(fibre); }

static void use_fibres(void *unused)
{
    sm_reader *seen, *mine;
    void *first = CreateFiber(0, read_in_fibre, &seen), *second = CreateFiber(0, read_in_fibre, &mine);
    thread another;
    (void)unused;
    CHECK(first != NULL && second != NULL);
    thread_of_fibres = ConvertThreadToFiber(NULL);
    CHECK(thread_of_fibres != NULL);
    SwitchToFiber(first);
    SwitchToFiber(second);
    CHECK(seen == mine);
    start_thread(&another, delete_fibre, first);
    join_thread(&another);
    CHECK(mine->in_use && sm_this_reader == mine);
    DeleteFiber(second);
    CHECK(mine->in_use && sm_this_reader == mine); /* the record was taken in the first one */
    CHECK(ConvertFiberToThread());
}

static void a_fibre_that_another_thread_deletes_does_not_take_the_record_away(void)
{
    thread one;
    start_thread(&one, use_fibres, NULL);
    join_thread(&one);
}
#endif

#if !defined(_WIN32) /* which refuses nobody */
static uint32_t waits_left;

static void read_on_or_refuse(int number)
{
    sm_reader *me;
    int i;
    if (number > 0) {
        while (sm_load_u32(&waits_left) != 0) {
            me = sm_read_lock();
            CHECK(me != NULL);
            sm_read_unlock(me);
        }
        return;
    }
    for (i = 0; i < 20; i++) {
        no_membarrier = i >= 10;
        sm_wait_for_readers();
    }
    sm_store_u32(&waits_left, 0);
}

/* The last: there is no way back. */
static void where_membarrier_is_forbidden_later_readers_get_a_barrier_of_their_own(void)
{
    int asymmetric = sm_asymmetric;
    sm_store_u32(&waits_left, 1);
    run_threads(3, read_on_or_refuse);
    CHECK_EQUAL(sm_asymmetric, 0);
    asked_for_membarrier = 0;
    sm_wait_for_readers();
    CHECK_EQUAL(asked_for_membarrier, 0);
    no_membarrier = 0;
    sm_readers_init();
    CHECK_EQUAL(sm_asymmetric, asymmetric);
}
#endif

int main(int argc, char **argv)
{
    static const test TESTS[] = {
        {"the record of a thread that has ended is used again", the_record_of_a_thread_that_has_ended_is_used_again},
        {"threads at the same time have a record each", threads_at_the_same_time_have_a_record_each},
        {"without memory for a record there is none, and the reader is told so",
         without_memory_for_a_record_there_is_none},
#ifdef HAS_FORK
        {"a child forgets the readers it does not have", a_child_forgets_the_readers_it_does_not_have},
#endif
#if defined(_WIN32)
        {"a fibre that another thread deletes does not take the record away",
         a_fibre_that_another_thread_deletes_does_not_take_the_record_away},
#else
        {"where membarrier() is forbidden later, readers get a barrier of their own",
         where_membarrier_is_forbidden_later_readers_get_a_barrier_of_their_own},
#endif
    };
    const char *wanted = getenv("SHARDMAP_READS");
    int locked = wanted != NULL && strcmp(wanted, "locked") == 0;
    sm_readers_init();
    printf("records: %s\n", !sm_reads_unlocked ? "reads lock"
                            : sm_asymmetric    ? "membarrier() is their barrier"
                                               : "with a barrier of their own");
    CHECK_EQUAL(sm_reads_unlocked, !locked);
    if (locked || (wanted != NULL && strcmp(wanted, "fenced") == 0))
        CHECK(!sm_asymmetric && !asked_for_membarrier);
    return locked ? 0 : RUN_TESTS("records", TESTS, argc, argv);
}
