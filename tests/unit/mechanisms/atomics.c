/* Loads, stores and fences: core/atomics.h. What a fence forbids is tried in short races, many times: a processor that
 * would do it does so now and then. */
#include "core/sched_point.h"
#include "harness.h"
#include "threads.h"

#define ROUNDS 5000

/* What two threads share, each variable on a line of its own. */
static struct {
    uint64_t value __attribute__((aligned(128)));
} first, second;
static gate both;
static uint64_t seen[2];
static sm_mutex mutexes[2];

/* --- What one thread sees --- */

static void a_store_changes_nothing_beside_it(void)
{
    uint8_t bytes[3] = {1, 2, 3};
    uint32_t words[3] = {1, 2, 3};
    uint64_t longs[3] = {1, 2, 3};
    void *pointers[3] = {bytes, words, longs};
    sm_store_u8(&bytes[1], 0xFF);
    sm_store_u32(&words[1], UINT32_MAX);
    sm_store_u64(&longs[1], UINT64_MAX);
    sm_store_ptr(&pointers[1], bytes + 1);
    CHECK(bytes[0] == 1 && sm_load_u8(&bytes[1]) == 0xFF && bytes[2] == 3);
    CHECK(words[0] == 1 && sm_load_u32(&words[1]) == UINT32_MAX && words[2] == 3);
    CHECK(longs[0] == 1 && sm_load_u64(&longs[1]) == UINT64_MAX && longs[2] == 3);
    CHECK(pointers[0] == bytes && sm_load_ptr(&pointers[1]) == (void *)(bytes + 1) && pointers[2] == longs);
    sm_store_u32_relaxed(&words[1], 5);
    CHECK(words[0] == 1 && sm_load_u32_relaxed(&words[1]) == 5 && words[2] == 3);
}

static void additions_and_subtractions_return_what_came_out(void)
{
    uint64_t sum = UINT64_MAX;
    int64_t left = 1;
    CHECK_EQUAL(sm_add_u64(&sum, 3), 2);
    CHECK(sm_sub_i64_relaxed(&left, 3) == -2);
    CHECK(sm_load_i64_relaxed(&left) == -2);
    sm_store_i64_relaxed(&left, INT64_MIN);
    CHECK(sm_load_i64_relaxed(&left) == INT64_MIN);
}

/* --- Two threads and more --- */

static uint64_t total;
static int64_t rest;

static void add_and_subtract(int number)
{
    int i;
    (void)number;
    for (i = 0; i < ROUNDS; i++) {
        sm_add_u64(&total, 3);
        sm_sub_i64_relaxed(&rest, 1);
    }
}

static void no_addition_is_lost(void)
{
    rest = 4 * ROUNDS;
    run_threads(4, add_and_subtract);
    CHECK_EQUAL(total, 3 * 4 * ROUNDS);
    CHECK(rest == 0);
}

static uint64_t written; /* not atomic: what is stored before a release is there for who acquires */
static uint64_t released;
static uint64_t *published;

static void write_then_release(int number)
{
    uint64_t i;
    unsigned turn;
    if (number == 0) {
        for (i = 1; i <= ROUNDS; i += 2) {
            written = i;
            sm_sched_point();
            sm_store_u64(&released, i);
            for (turn = 0; sm_load_u64(&released) == i; turn++)
                wait_a_turn(turn);
            CHECK_EQUAL(written, i + 1);
        }
    } else {
        for (i = 1; i <= ROUNDS; i += 2) {
            for (turn = 0; sm_load_u64(&released) != i; turn++)
                wait_a_turn(turn);
            CHECK_EQUAL(written, i);
            written = i + 1;
            sm_sched_point();
            sm_store_u64(&released, i + 1);
        }
    }
}

static void who_acquires_sees_what_was_stored_before_the_release(void) { run_threads(2, write_then_release); }

static void publish_or_look(int number)
{
    static uint64_t blocks[ROUNDS];
    uint64_t i, last = 0;
    if (number == 0) {
        for (i = 0; i < ROUNDS; i++) {
            blocks[i] = i + 1;
            sm_store_ptr((void **)&published, &blocks[i]);
            sm_sched_point();
        }
        return;
    }
    while (last < ROUNDS) {
        uint64_t *block = sm_load_ptr((void *const *)&published);
        if (block == NULL || *block == last) {
            sm_yield();
            continue;
        }
        CHECK(*block > last);
        last = *block;
    }
}

static void a_published_block_is_whole(void) { run_threads(3, publish_or_look); }

/* Data and then a flag, with relaxed stores and a fence between. */
static void store_in_order(int number)
{
    uint64_t i, flag;
    if (number == 0) {
        for (i = 1; i <= ROUNDS; i++) {
            __atomic_store_n(&first.value, i, __ATOMIC_RELAXED);
            sm_fence_release();
            __atomic_store_n(&second.value, i, __ATOMIC_RELAXED);
            sm_sched_point();
        }
        return;
    }
    do {
        flag = sm_load_u64(&second.value);
        CHECK(__atomic_load_n(&first.value, __ATOMIC_RELAXED) >= flag);
        if (flag == 0)
            sm_yield();
    } while (flag < ROUNDS);
}

static void a_release_fence_keeps_stores_in_order(void)
{
    first.value = second.value = 0;
    run_threads(2, store_in_order);
}

/* Each stores into its own and then loads the other's: at least one must see the other's store (Dekker's algorithm). */
static void store_then_load(int number, int after_unlock)
{
    uint64_t *mine = number == 0 ? &first.value : &second.value, *other = number == 0 ? &second.value : &first.value;
    uint64_t i, late, warm;
    for (i = 1; i <= ROUNDS; i++) {
        warm = __atomic_load_n(other, __ATOMIC_RELAXED); /* so that it is near, and a store takes longer than a load */
        CHECK(warm < i);
        pass_gate(&both);
        for (late = 0; late < (number == 0 ? i % 32 : i / 32 % 32); late++)
            __atomic_signal_fence(__ATOMIC_SEQ_CST); /* not always the same of the two is early */
        if (after_unlock) {
            sm_mutex_lock(&mutexes[number]);
            __atomic_store_n(mine, i, __ATOMIC_RELAXED);
            sm_mutex_unlock(&mutexes[number]);
            sm_fence_after_unlock();
        } else {
            __atomic_store_n(mine, i, __ATOMIC_RELAXED);
            sm_fence_full();
        }
        seen[number] = __atomic_load_n(other, __ATOMIC_RELAXED);
        pass_gate(&both);
        if (number == 0)
            CHECK(seen[0] == i || seen[1] == i);
    }
}

static void with_a_full_fence(int number) { store_then_load(number, 0); }
static void after_unlocking(int number) { store_then_load(number, 1); }

static void of_two_one_sees_the_other(void (*work)(int))
{
    first.value = second.value = 0;
    both.threads = 2;
    run_threads(2, work);
}

static void a_full_fence_keeps_a_store_before_a_load(void) { of_two_one_sees_the_other(with_a_full_fence); }

static void letting_a_mutex_go_and_its_fence_do_so_too(void)
{
    sm_mutex_init(&mutexes[0]);
    sm_mutex_init(&mutexes[1]);
    of_two_one_sees_the_other(after_unlocking);
    sm_mutex_destroy(&mutexes[0]);
    sm_mutex_destroy(&mutexes[1]);
}

int main(int argc, char **argv)
{
    static const test TESTS[] = {
        {"a store changes nothing beside it", a_store_changes_nothing_beside_it},
        {"additions and subtractions return what came out", additions_and_subtractions_return_what_came_out},
        {"no addition is lost", no_addition_is_lost},
        {"who acquires sees what was stored before the release", who_acquires_sees_what_was_stored_before_the_release},
        {"a published block is whole", a_published_block_is_whole},
        {"a release fence keeps stores in order", a_release_fence_keeps_stores_in_order},
        {"a full fence keeps a store before a load", a_full_fence_keeps_a_store_before_a_load},
        {"letting a mutex go, and its fence, do so too", letting_a_mutex_go_and_its_fence_do_so_too},
    };
    return RUN_TESTS("atomics", TESTS, argc, argv);
}
