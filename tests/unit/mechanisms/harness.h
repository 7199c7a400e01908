/* What the programs here share: tests whose names are sentences, and checks that say where they failed.
 *
 * A program runs its tests one after the other, or those whose names contain its first argument. The first check that
 * fails ends it with status 1, from whatever thread. */
#ifndef MECHANISMS_HARNESS_H
#define MECHANISMS_HARNESS_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of several threads that fail at once the first one says so. */
static void say_failed(void)
{
    static int failing = 0;
    while (__atomic_exchange_n(&failing, 1, __ATOMIC_ACQ_REL))
        ;
    printf("FAILED\n");
}

static void end_failed(void)
{
    fflush(stdout);
    _Exit(1);
}

static void check_failed(const char *file, int line, const char *what)
{
    say_failed();
    printf("%s:%d: %s\n", file, line, what);
    end_failed();
}

static void check_equal(uint64_t left, uint64_t right, const char *file, int line, const char *what)
{
    if (left == right)
        return;
    say_failed();
    printf("%s:%d: %s: %" PRIu64 " and %" PRIu64 "\n", file, line, what, left, right);
    end_failed();
}

#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))
#define CHECK_EQUAL(left, right) \
    check_equal((uint64_t)(left), (uint64_t)(right), __FILE__, __LINE__, #left " == " #right)

typedef struct test {
    const char *sentence;
    void (*run)(void);
} test;

#define RUN_TESTS(program, tests, argc, argv) \
    run_tests(program, tests, sizeof(tests) / sizeof(tests)[0], (argc) > 1 ? (argv)[1] : "")

static int run_tests(const char *program, const test *tests, size_t count, const char *wanted)
{
    size_t i, ran = 0;
    for (i = 0; i < count; i++) {
        if (strstr(tests[i].sentence, wanted) == NULL)
            continue;
        printf("%s: %s ... ", program, tests[i].sentence);
        fflush(stdout);
        tests[i].run();
        printf("ok\n");
        ran++;
    }
    if (ran == 0)
        printf("%s: no test is called that: %s\n", program, wanted);
    return ran == 0;
}

/* Numbers that look random and are the same in every run (Steele and others, SplitMix, 2014). */
static inline uint64_t next_number(uint64_t *state)
{
    uint64_t mixed = *state += UINT64_C(0x9E3779B97F4A7C15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ mixed >> 31;
}

#endif
