/* What it costs to move a cache line from one core to another. Compiled and run by cache_line.py.
 *
 * Two threads, each bound to a CPU. Prints nanoseconds of
 *
 *   handover  one thread writes a line, the other sees it and writes back; half of the round trip. The line's
 *             way from core to core and nothing else.
 *   shared    one atomic addition after another, while the other thread adds to the same line. A core keeps the
 *             line for a few additions in a row, so this is less than a way each.
 *   spaced    one atomic addition to the same line after some work of the thread's own (about as much as a look-up
 *             is), less that work. That is what a reference count or a lock word costs which both cores use.
 *   apart     as shared, with a line for each thread: what it costs where nothing is shared.
 *   read      one load of a line that both threads read and nobody writes.
 *
 * Each is measured in many short batches, of which the median is printed, so that a thread that is interrupted now and
 * then does no harm. Of additions to the same line only those batches count in which the other thread added about as
 * often. If these are fewer than a tenth, the measurement failed: something else used the cores. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BATCHES = 1000, TURNS = 500, WORK = 40, KINDS = 5 };

static struct {
    _Alignas(128) volatile uint64_t value;
} lines[8];
static pthread_barrier_t start;
static int cpus[2];
static double result[2][KINDS];
static int bound[2];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    if (count < BATCHES / 10)
        return -1;
    qsort(values, count, sizeof *values, ascending);
    return values[count / 2];
}

static double handover(int me)
{
    double took[BATCHES];
    uint64_t turn = 0;
    for (int batch = 0; batch < BATCHES; batch++) {
        double began = now();
        for (int i = 0; i < TURNS; i++, turn++) {
            while (__atomic_load_n(&lines[0].value, __ATOMIC_ACQUIRE) != 2 * turn + (uint64_t)me)
                ;
            __atomic_store_n(&lines[0].value, 2 * turn + (uint64_t)me + 1, __ATOMIC_RELEASE);
        }
        took[batch] = (now() - began) / (2 * TURNS);
    }
    return median(took, BATCHES);
}

/* A chain of multiplications, each of which waits for the one before. */
static inline uint64_t work(uint64_t x)
{
    for (int i = 0; i < WORK; i++) {
        x *= 0x9E3779B97F4A7C15u;
        __asm__ volatile("" : "+r"(x));
    }
    return x;
}

static double working(void)
{
    double took[BATCHES];
    uint64_t x = 1;
    for (int batch = 0; batch < BATCHES; batch++) {
        double began = now();
        for (int i = 0; i < TURNS; i++)
            x = work(x);
        took[batch] = (now() - began) / TURNS;
    }
    return median(took, BATCHES);
}

static double adding(volatile uint64_t *line, int with_work, int with_other)
{
    double took[BATCHES];
    int good = 0;
    uint64_t x = 1;
    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t before = *line;
        double began = now(), ended;
        for (int i = 0; i < TURNS; i++) {
            if (with_work)
                x = work(x);
            __atomic_fetch_add(line, 1, __ATOMIC_SEQ_CST);
        }
        ended = now();
        uint64_t others = *line - before - TURNS;
        if (!with_other || (others > TURNS / 2 && others < 2 * TURNS))
            took[good++] = (ended - began) / TURNS;
    }
    return median(took, good);
}

static double reading(volatile uint64_t *line)
{
    double took[BATCHES];
    for (int batch = 0; batch < BATCHES; batch++) {
        double began = now();
        for (int i = 0; i < TURNS; i++)
            (void)*line;
        took[batch] = (now() - began) / TURNS;
    }
    return median(took, BATCHES);
}

static void *run(void *argument)
{
    int me = (int)(intptr_t)argument;
    double spaced, alone;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpus[me], &set);
    bound[me] = pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0;
    pthread_barrier_wait(&start);
    result[me][0] = handover(me);
    pthread_barrier_wait(&start);
    result[me][1] = adding(&lines[1].value, 0, 1);
    pthread_barrier_wait(&start);
    spaced = adding(&lines[2].value, 1, 1);
    alone = working();
    result[me][2] = spaced < 0 || alone < 0 ? -1 : spaced - alone;
    pthread_barrier_wait(&start);
    result[me][3] = adding(&lines[3 + me].value, 0, 0);
    pthread_barrier_wait(&start);
    result[me][4] = reading(&lines[0].value);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];
    if (argc != 3)
        return 2;
    cpus[0] = atoi(argv[1]);
    cpus[1] = atoi(argv[2]);
    pthread_barrier_init(&start, NULL, 2);
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, run, (void *)(intptr_t)i) != 0)
            return 3;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    if (!bound[0] || !bound[1])
        return 4;
    for (int kind = 0; kind < KINDS; kind++) {
        if (result[0][kind] < 0 || result[1][kind] < 0)
            return 5;
        printf("%.3f ", (result[0][kind] + result[1][kind]) / 2);
    }
    printf("\n");
    return 0;
}
