/* Tokens, which are never used twice: core/token.h. */
#include "core/sched_point.h"
#include "core/token.h"
#include "harness.h"
#include "threads.h"

#define THREADS 8
#define EACH 2000

static uint64_t tokens[THREADS][EACH + 1];

static void take_tokens(int number)
{
    int i;
    uint64_t own = sm_thread_token();
    tokens[number][EACH] = own;
    for (i = 0; i < EACH; i++) {
        tokens[number][i] = sm_new_token();
        sm_sched_point();
        CHECK_EQUAL(sm_thread_token(), own);
    }
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static void no_token_is_given_twice(void)
{
    uint64_t *all = &tokens[0][0];
    size_t i;
    run_threads(THREADS, take_tokens);
    qsort(all, (size_t)THREADS * (EACH + 1), sizeof all[0], compare);
    CHECK(all[0] != 0); /* nobody's */
    for (i = 1; i < (size_t)THREADS * (EACH + 1); i++)
        CHECK(all[i] > all[i - 1]);
}

static void keep_own(void *token) { *(uint64_t *)token = sm_thread_token(); }

static void a_thread_does_not_get_the_token_of_one_that_has_ended(void)
{
    uint64_t token, newest = sm_thread_token();
    thread one;
    int i;
    for (i = 0; i < 50; i++) {
        start_thread(&one, keep_own, &token);
        join_thread(&one);
        CHECK(token > newest || (i == 0 && token != newest));
        newest = token;
    }
}

#ifdef HAS_FORK
static uint64_t of_the_parent;

static void check_own(void)
{
    CHECK_EQUAL(sm_thread_token(), of_the_parent);
    CHECK(sm_new_token() != of_the_parent);
}

static void a_thread_keeps_its_token_in_a_forked_child(void)
{
    of_the_parent = sm_thread_token();
    run_in_child(check_own);
    CHECK_EQUAL(sm_thread_token(), of_the_parent);
}
#endif

int main(int argc, char **argv)
{
    static const test TESTS[] = {
        {"no token is given twice, and a thread keeps its own", no_token_is_given_twice},
        {"a thread does not get the token of one that has ended",
         a_thread_does_not_get_the_token_of_one_that_has_ended},
#ifdef HAS_FORK
        {"a thread keeps its token in a forked child", a_thread_keeps_its_token_in_a_forked_child},
#endif
    };
    return RUN_TESTS("tokens", TESTS, argc, argv);
}
