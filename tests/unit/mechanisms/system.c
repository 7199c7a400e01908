/* What is asked of the operating system: core/system.h. */
#include "core/system.h"
#include "core/sched_point.h"
#include "harness.h"
#include "threads.h"

#define THREADS 4
#define EACH 5000
#define FOR_EVER 1000 /* seconds: longer than a test may take */

static sm_mutex mutex;
static sm_cond cond;
static uint64_t counted; /* under the mutex */
static uint32_t in_it;

/* --- Mutexes --- */

static void lock_mutex(int by_trying)
{
    unsigned turn;
#ifdef MUTANT_NO_MUTEX
    return;
#endif
    if (by_trying)
        for (turn = 0; !sm_mutex_try(&mutex); turn++)
            wait_a_turn(turn);
    else
        sm_mutex_lock(&mutex);
}

static void unlock_mutex(void)
{
#ifndef MUTANT_NO_MUTEX
    sm_mutex_unlock(&mutex);
#endif
}

static void count_under_the_mutex(int number)
{
    int i;
    for (i = 0; i < EACH; i++) {
        lock_mutex(number % 2);
        CHECK_EQUAL(__atomic_fetch_add(&in_it, 1, __ATOMIC_RELAXED), 0);
        counted++;
        sm_sched_point();
        if (i % 256 == 0)
            sm_yield();
        CHECK_EQUAL(__atomic_fetch_sub(&in_it, 1, __ATOMIC_RELAXED), 1);
        unlock_mutex();
    }
}

static void a_mutex_lets_in_one_thread_at_a_time(void)
{
    sm_mutex_init(&mutex);
    counted = 0;
    run_threads(THREADS, count_under_the_mutex);
    CHECK_EQUAL(counted, THREADS * EACH);
    sm_mutex_destroy(&mutex);
}

static void try_once(void *got)
{
    *(int *)got = sm_mutex_try(&mutex);
    if (*(int *)got)
        sm_mutex_unlock(&mutex);
}

static int another_gets_it(void)
{
    thread one;
    int got;
    start_thread(&one, try_once, &got);
    join_thread(&one);
    return got;
}

static void who_tries_gets_a_mutex_only_if_nobody_has_it(void)
{
    sm_mutex_init(&mutex);
    CHECK(another_gets_it());
    sm_mutex_lock(&mutex);
    CHECK(!another_gets_it());
    sm_mutex_unlock(&mutex);
    CHECK(sm_mutex_try(&mutex));
    CHECK(!another_gets_it());
    sm_mutex_unlock(&mutex);
    CHECK(another_gets_it());
    sm_mutex_destroy(&mutex);
}

/* --- Conditions --- */

static void change_sides(int number)
{
    uint64_t i;
    for (i = (uint64_t)number; i < 1000; i += 2) {
        sm_mutex_lock(&mutex);
        while (counted != i) {
            if (i % 4 < 2)
                sm_cond_wait(&cond, &mutex);
            else
                sm_cond_wait_until(&cond, &mutex, sm_now() + FOR_EVER);
        }
        counted++;
        sm_cond_signal(&cond); /* there is but one who may wait */
        sm_mutex_unlock(&mutex);
    }
}

static void no_signal_is_lost(void)
{
    double before = sm_now();
    sm_mutex_init(&mutex);
    sm_cond_init(&cond);
    counted = 0;
    run_threads(2, change_sides);
    CHECK_EQUAL(counted, 1000);
    CHECK(sm_now() < before + FOR_EVER);
    sm_cond_destroy(&cond);
    sm_mutex_destroy(&mutex);
}

static void a_wait_ends_when_the_clock_says_so_with_the_mutex_held(void)
{
    static const double WAITS[] = {-1.5, 0, 0.0001, 0.011};
    size_t i;
    double until;
    int early;
    sm_mutex_init(&mutex);
    sm_cond_init(&cond);
    sm_mutex_lock(&mutex);
    for (i = 0; i < sizeof WAITS / sizeof WAITS[0]; i++) {
        until = sm_now() + WAITS[i];
        early = -1;
        do {
            sm_cond_wait_until(&cond, &mutex, until);
            CHECK(++early < 100); /* it may wake for no reason, and be early by what a number cannot tell */
        } while (sm_now() < until);
        CHECK(!another_gets_it());
    }
    sm_cond_wait_until(&cond, &mutex, 0.25); /* long ago */
    sm_mutex_unlock(&mutex);
    CHECK(another_gets_it());
    sm_cond_destroy(&cond);
    sm_mutex_destroy(&mutex);
}

/* --- Clock and naps --- */

static void the_clock_goes_on_and_a_nap_is_as_long_as_it_should_be(void)
{
    double last = sm_now(), now;
    int i;
    for (i = 0; i < 1000; i++, last = now) {
        now = sm_now();
        CHECK(now >= last);
        if (i % 100 == 0)
            sm_yield();
    }
    sm_nap(0);
    sm_nap(2000);
    CHECK(sm_now() >= last + 0.0015);
}

/* --- Thread ends and forks --- */

static sm_thread_key key;
static uint32_t ended[THREADS];

static void thread_ends(void *number) { __atomic_add_fetch((uint32_t *)number, 1, __ATOMIC_RELAXED); }

static void set_key(int number)
{
    if (number % 2 == 1)
        return;
    CHECK_EQUAL(sm_thread_key_set(key, &ended[0]), 0);
    CHECK_EQUAL(sm_thread_key_set(key, &ended[number]), 0); /* the last one counts */
    sm_yield();
    CHECK_EQUAL(__atomic_load_n(&ended[number], __ATOMIC_RELAXED), 0);
}

static void the_end_of_each_thread_that_set_a_value_is_told_with_it(void)
{
    int number;
    CHECK_EQUAL(sm_thread_key_create(&key, thread_ends), 0);
    run_threads(THREADS, set_key);
    for (number = 0; number < THREADS; number++)
        CHECK_EQUAL(ended[number], number % 2 == 0);
}

#ifdef HAS_FORK
static int before_fork, after_in_parent, after_in_child;

static void before(void) { before_fork++; }
static void in_parent(void) { after_in_parent += before_fork; }
static void in_child(void) { after_in_child += before_fork; }

static void check_in_child(void) { CHECK(before_fork == 1 && after_in_child == 1 && after_in_parent == 0); }

static void a_fork_is_told_before_and_after_on_both_sides(void)
{
    CHECK_EQUAL(sm_at_fork(before, in_parent, in_child), 0);
    run_in_child(check_in_child);
    CHECK(before_fork == 1 && after_in_parent == 1 && after_in_child == 0);
}
#endif

int main(int argc, char **argv)
{
    static const test TESTS[] = {
        {"a mutex lets in one thread at a time", a_mutex_lets_in_one_thread_at_a_time},
        {"who tries gets a mutex only if nobody has it", who_tries_gets_a_mutex_only_if_nobody_has_it},
        {"no signal is lost", no_signal_is_lost},
        {"a wait ends when the clock says so, with the mutex held",
         a_wait_ends_when_the_clock_says_so_with_the_mutex_held},
        {"the clock goes on, and a nap is as long as it should be",
         the_clock_goes_on_and_a_nap_is_as_long_as_it_should_be},
        {"the end of each thread that set a value is told with it",
         the_end_of_each_thread_that_set_a_value_is_told_with_it},
#ifdef HAS_FORK
        {"a fork is told before and after, on both sides", a_fork_is_told_before_and_after_on_both_sides},
#endif
    };
    return RUN_TESTS("system", TESTS, argc, argv);
}
