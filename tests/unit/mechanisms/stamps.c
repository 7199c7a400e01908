/* Stamps, which order entries of different shards: core/stamp.h. SHARDMAP_STAMP chooses their source, as in the
 * extension. */
#include "core/sched_point.h"
#include "core/stamp.h"
#include "harness.h"
#include "threads.h"

#define THREADS 4
#define EACH 10000

static uint64_t stamps[THREADS][EACH];
static uint64_t newest;     /* the stamp of what happened last */
static uint32_t whose_turn; /* hands `newest` over */
static sm_mutex mutex;      /* or this does */

static uint64_t stamp_now(void)
{
#if defined(MUTANT_OWN_STAMPS) /* each thread counts for itself */
    static __thread uint64_t mine = 0;
    return ++mine;
#elif defined(MUTANT_NO_TICK) /* the clock may not have gone on */
    return sm_read_clock();
#else
    return sm_stamp_now();
#endif
}

static void take_stamps(int number)
{
    int i;
    for (i = 0; i < EACH; i++)
        stamps[number][i] = stamp_now();
}

static void stamps_grow_strictly_within_a_thread(void)
{
    int number, i;
    run_threads(THREADS, take_stamps);
    for (number = 0; number < THREADS; number++)
        for (i = 1; i < EACH; i++)
            CHECK(stamps[number][i] > stamps[number][i - 1]);
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static void a_counter_gives_each_number_once(void)
{
    uint64_t *all = &stamps[0][0];
    uint64_t before = sm_stamp_now();
    size_t i;
    if (sm_stamp_uses_clock())
        return; /* there, two threads may have the same at the same moment: neither was before the other */
    run_threads(THREADS, take_stamps);
    qsort(all, (size_t)THREADS * EACH, sizeof all[0], compare);
    for (i = 0; i < (size_t)THREADS * EACH; i++)
        CHECK_EQUAL(all[i], before + 1 + i);
}

/* What a shard's mutex does between two insertions, and what two threads do that tell each other of theirs. */
static void insert_one(void)
{
    uint64_t stamp = stamp_now();
    CHECK(stamp > newest);
    sm_sched_point();
    newest = stamp;
}

static void insert_in_turn(int number)
{
    int i;
    for (i = 0; i < EACH; i++) {
        wait_until_is(&whose_turn, (uint32_t)number);
        insert_one();
        sm_store_u32(&whose_turn, (uint32_t)number ^ 1);
    }
}

static void a_later_insertion_has_the_greater_stamp_after_a_flag(void)
{
    newest = 0;
    run_threads(2, insert_in_turn);
}

static void insert_under_the_mutex(int number)
{
    int i;
    (void)number;
    for (i = 0; i < EACH; i++) {
        sm_mutex_lock(&mutex);
        insert_one();
        sm_mutex_unlock(&mutex);
    }
}

static void a_later_insertion_has_the_greater_stamp_after_a_mutex(void)
{
    newest = 0;
    sm_mutex_init(&mutex);
    run_threads(THREADS, insert_under_the_mutex);
    sm_mutex_destroy(&mutex);
}

/* A thread that learns of nothing but the stamp itself: what it takes then is later. */
static uint64_t latest;

static void insert_after_a_load(int number)
{
    uint64_t seen, stamp;
    int i;
    (void)number;
    for (i = 0; i < EACH; i++) {
        seen = sm_load_u64(&latest);
        stamp = stamp_now();
        CHECK(stamp > seen);
        sm_store_u64(&latest, stamp);
        sm_sched_point();
    }
}

static void a_stamp_is_greater_than_any_that_was_seen_before(void) { run_threads(THREADS, insert_after_a_load); }

int main(int argc, char **argv)
{
    static const test TESTS[] = {
        {"stamps grow strictly within a thread", stamps_grow_strictly_within_a_thread},
        {"a counter gives each number once", a_counter_gives_each_number_once},
        {"a later insertion has the greater stamp, after a flag", a_later_insertion_has_the_greater_stamp_after_a_flag},
        {"a later insertion has the greater stamp, after a mutex",
         a_later_insertion_has_the_greater_stamp_after_a_mutex},
        {"a stamp is greater than any that was seen before", a_stamp_is_greater_than_any_that_was_seen_before},
    };
    sm_stamp_init();
    printf("stamps: from %s\n", sm_stamp_name());
    return RUN_TESTS("stamps", TESTS, argc, argv);
}
