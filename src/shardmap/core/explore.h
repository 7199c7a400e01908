/* Exploring schedules. In a build with -DSHARDMAP_EXPLORE, only one of the participating threads runs at a time. At
 * every point it is decided which thread runs next: at each atomic access (explored_calls.h), at each mutex and each
 * wait. A schedule is the list of these decisions. tests/harness/schedules.py tries all schedules up to a bound of
 * preemptions (Musuvathi and others, Finding and reproducing heisenbugs in concurrent programs, OSDI 2008), or samples
 * them by priorities (Burckhardt and others, A randomized scheduler with probabilistic guarantees of finding bugs,
 * ASPLOS 2010).
 *
 * Only the thread whose turn it is uses the data of this file. It passes its turn to the next thread with a
 * semaphore. Threads that do not participate never stop at a point. A thread that waits for others (a mutex, a
 * pause in a spin loop, a nap) can continue when another thread has made progress. A wait with a time-out may also
 * time out, at any point. That is a decision, too. The clock (sm_now) then jumps to the time-out. Schedules are
 * sequentially consistent; tests/model covers weaker orders. */
#ifndef SHARDMAP_EXPLORE_H
#define SHARDMAP_EXPLORE_H

#if defined(__APPLE__) || defined(_WIN32)
#error "schedules are explored where there are unnamed semaphores of POSIX"
#endif

#include <semaphore.h>
#include <stdint.h>
#include <string.h>

#define SM_MOST_EXPLORED 8
#define SM_MOST_STEPS 4096
#define SM_TIME_OUT 64 /* in a decision: the thread's wait times out; without it, the thread runs next */

enum { SM_EX_ABSENT, SM_EX_RUNS, SM_EX_WAITS, SM_EX_PAUSES };
enum { SM_EX_GOES_ON, SM_EX_ENDED, SM_EX_DEADLOCK, SM_EX_NO_END, SM_EX_DIVERGED };

typedef struct {
    sem_t turn;
    int state;
    int has_run;       /* since it last had to wait */
    uint64_t progress; /* the progress of all threads when it began to wait */
    double until;      /* the time-out; -1: none */
    int timed_out;
} sm_explored;

typedef struct {
    uint8_t chosen, before;  /* before: whose turn it was; SM_MOST_EXPLORED at the start */
    uint8_t enabled, timers; /* bit n: thread n could run; its wait could time out */
    const char *place;
} sm_step;

static sm_explored sm_explored_threads[SM_MOST_EXPLORED];
static int sm_explored_count = 0;
static int sm_explored_verdict = SM_EX_ENDED;
static int sm_explored_diverged = 0; /* a given decision was not possible */
static sem_t sm_explored_arrived, sm_explored_done;
static sm_step sm_steps[SM_MOST_STEPS];
static int sm_step_count = 0;
static uint8_t sm_decisions[SM_MOST_STEPS]; /* the given decisions at the beginning */
static int sm_decision_count = 0;
static int sm_has_priorities = 0;
static uint8_t sm_priorities[2 * SM_MOST_EXPLORED]; /* of threads, then of their time-outs; 0 is the lowest */
static int sm_change_points[SM_MOST_EXPLORED], sm_change_count = 0;
static uint64_t sm_explored_progress = 0, sm_explored_signals = 0;
static double sm_explored_now = 0;
static __thread int sm_explored_me = -1;

static inline int sm_number_of_decision(int decision)
{
    return decision >= SM_TIME_OUT ? decision - SM_TIME_OUT + SM_MOST_EXPLORED : decision;
}

/* The allowed decision with the highest priority. */
static int sm_decide_by_priority(unsigned enabled, unsigned timers)
{
    int best = -1, n;
    for (n = 0; n < SM_MOST_EXPLORED; n++) {
        if (enabled >> n & 1 && (best < 0 || sm_priorities[n] > sm_priorities[sm_number_of_decision(best)]))
            best = n;
        if (timers >> n & 1 &&
            (best < 0 || sm_priorities[n + SM_MOST_EXPLORED] > sm_priorities[sm_number_of_decision(best)]))
            best = n + SM_TIME_OUT;
    }
    return best;
}

/* The decision without a preemption: the same thread, else the next one that can run, else a time-out. */
static int sm_decide_by_default(int before, unsigned enabled, unsigned timers)
{
    unsigned later = before < SM_MOST_EXPLORED ? enabled >> before << before : enabled;
    if (enabled == 0)
        return __builtin_ctz(timers) + SM_TIME_OUT;
    return __builtin_ctz(later != 0 ? later : enabled);
}

static void sm_lower_priority(int number)
{
    int n;
    for (n = 0; n < 2 * SM_MOST_EXPLORED; n++)
        if (sm_priorities[n] < sm_priorities[number])
            sm_priorities[n]++;
    sm_priorities[number] = 0;
}

/* Ends the exploration of this schedule. The threads stay where they are. */
static void sm_explored_stop(int verdict)
{
    sm_explored_verdict = verdict;
    sem_post(&sm_explored_done);
}

/* The decision at a point; -1 if no thread is left, or none can ever continue. `before`: whose turn it was. */
static int sm_decide(int before, const char *place)
{
    unsigned enabled = 0, pausing = 0, timers = 0, left = 0;
    int n, decision;
    double until = -1;
    sm_step *step = &sm_steps[sm_step_count];
    for (n = 0; n < sm_explored_count; n++) {
        sm_explored *each = &sm_explored_threads[n];
        if (each->state == SM_EX_ABSENT)
            continue;
        left++;
        if (each->state == SM_EX_RUNS || sm_explored_progress > each->progress)
            enabled |= 1u << n;
        else if (each->state == SM_EX_PAUSES)
            pausing |= 1u << n;
        if (each->state == SM_EX_WAITS && each->until >= 0 && (timers == 0 || each->until <= until)) {
            timers = each->until == until ? timers | 1u << n : 1u << n; /* only the earliest time-outs */
            until = each->until;
        }
    }
    if (left == 0) {
        sm_explored_stop(sm_explored_diverged ? SM_EX_DIVERGED : SM_EX_ENDED);
        return -1;
    }
    if (enabled == 0 && timers == 0)
        enabled = pausing; /* they may wait for a clock */
    if (enabled == 0 && timers == 0) {
        sm_explored_stop(SM_EX_DEADLOCK);
        return -1;
    }
    if (sm_step_count == SM_MOST_STEPS) {
        sm_explored_stop(SM_EX_NO_END);
        return -1;
    }
    if (sm_has_priorities) {
        for (n = 0; n < sm_change_count; n++)
            if (sm_change_points[n] == sm_step_count && before < SM_MOST_EXPLORED)
                sm_lower_priority(before);
        decision = sm_decide_by_priority(enabled, timers);
    } else if (sm_step_count < sm_decision_count) {
        decision = sm_decisions[sm_step_count];
        if (!((decision < SM_TIME_OUT ? enabled : timers) >> decision % SM_TIME_OUT & 1)) {
            sm_explored_diverged = 1;
            decision = sm_decide_by_default(before, enabled, timers);
        }
    } else
        decision = sm_decide_by_default(before, enabled, timers);
    step->chosen = (uint8_t)decision;
    step->before = (uint8_t)before;
    step->enabled = (uint8_t)enabled;
    step->timers = (uint8_t)timers;
    step->place = place;
    sm_step_count++;
    return decision;
}

static void sm_give_turn(int decision)
{
    sm_explored *next = &sm_explored_threads[decision % SM_TIME_OUT];
    if (decision >= SM_TIME_OUT) {
        next->timed_out = 1;
        if (next->until > sm_explored_now)
            sm_explored_now = next->until;
        if (sm_has_priorities)
            sm_lower_priority(sm_number_of_decision(decision)); /* else it could be the only thread that ever runs */
    }
    next->state = SM_EX_RUNS;
    sem_post(&next->turn);
}

static void sm_wait_for_turn(void)
{
    while (sem_wait(&sm_explored_threads[sm_explored_me].turn) != 0)
        ;
}

static __attribute__((noinline)) void sm_switch(int state, double until, const char *place)
{
    sm_explored *me = &sm_explored_threads[sm_explored_me];
    int decision;
    if (state == SM_EX_RUNS || me->has_run)
        sm_explored_progress++;
    me->has_run = state == SM_EX_RUNS;
    me->state = state;
    me->progress = sm_explored_progress;
    me->until = until;
    me->timed_out = 0;
    if (state != SM_EX_RUNS && sm_has_priorities)
        sm_lower_priority(sm_explored_me); /* else two waiting threads could alternate for ever */
    decision = sm_decide(sm_explored_me, place);
    if (decision == sm_explored_me) {
        me->state = SM_EX_RUNS;
        return;
    }
    if (decision >= 0)
        sm_give_turn(decision);
    sm_wait_for_turn();
}

static inline void sm_explored_point(const char *place)
{
    if (sm_explored_me >= 0)
        sm_switch(SM_EX_RUNS, -1, place);
}

#define SM_AT_POINT(call) (sm_explored_point(__func__), call)

/* If this thread participates, waits until another one has made progress, or until the time-out, and returns true.
 * `pauses`: the wait may also end without another thread's progress. */
static inline int sm_explored_wait(int pauses, double until, const char *place)
{
    if (sm_explored_me < 0)
        return 0;
    sm_switch(pauses ? SM_EX_PAUSES : SM_EX_WAITS, until, place);
    return 1;
}

static inline int sm_explored_timed_out(void) { return sm_explored_threads[sm_explored_me].timed_out; }

/* --- What tests call, by ctypes (tests/harness/schedules.py) --- */

#define SM_EXPORTED __attribute__((visibility("default")))

SM_EXPORTED void sm_explore_begin(int threads)
{
    int n;
    memset(sm_explored_threads, 0, sizeof sm_explored_threads);
    for (n = 0; n < SM_MOST_EXPLORED; n++)
        sem_init(&sm_explored_threads[n].turn, 0, 0);
    sem_init(&sm_explored_arrived, 0, 0);
    sem_init(&sm_explored_done, 0, 0);
    sm_explored_count = threads;
    sm_explored_verdict = SM_EX_GOES_ON;
    sm_explored_diverged = 0;
    sm_step_count = sm_decision_count = sm_change_count = sm_has_priorities = 0;
    sm_explored_progress = sm_explored_signals = 0;
    sm_explored_now = 1000;
}

/* Sets the decisions at the beginning. After them, no thread is preempted. */
SM_EXPORTED void sm_explore_decide(const uint8_t *decisions, int count)
{
    memcpy(sm_decisions, decisions, (size_t)count);
    sm_decision_count = count;
}

/* Sets the priorities of threads, then of their time-outs; and the steps at which the running thread gets the
 * lowest. */
SM_EXPORTED void sm_explore_by_priority(const uint8_t *priorities, const int *change_points, int count)
{
    memcpy(sm_priorities, priorities, sizeof sm_priorities);
    memcpy(sm_change_points, change_points, (size_t)count * sizeof *change_points);
    sm_change_count = count;
    sm_has_priorities = 1;
}

/* For Python's locks that the core takes. Waits; true if the wait timed out (-1: no time-out). */
SM_EXPORTED int sm_explore_wait(double until)
{
    return sm_explored_wait(0, until, "a lock of Python's") && sm_explored_timed_out();
}

SM_EXPORTED double sm_explore_now(void) { return sm_explored_now; }

/* Between two schedules, when no thread takes part. */
static void sm_empty_quarantine(void);
SM_EXPORTED void sm_explore_settle(void) { sm_empty_quarantine(); }

/* The bug that is planted in this process (tests/explore/planted.py), or 0. */
SM_EXPORTED int sm_planted = 0;
SM_EXPORTED const sm_step *sm_explore_steps(int *count)
{
    *count = sm_step_count;
    return sm_steps;
}

/* Detached: returns when it is this thread's turn for the first time. */
SM_EXPORTED void sm_explore_enter(int number)
{
    sm_explored_me = number;
    sm_explored_threads[number].state = SM_EX_RUNS;
    sm_explored_threads[number].until = -1;
    sem_post(&sm_explored_arrived);
    sm_wait_for_turn();
}

SM_EXPORTED void sm_explore_leave(void)
{
    int me = sm_explored_me, decision;
    sm_explored_me = -1;
    sm_explored_threads[me].state = SM_EX_ABSENT;
    sm_explored_progress++;
    decision = sm_decide(me, "end");
    if (decision >= 0)
        sm_give_turn(decision);
}

/* Detached: when all threads have arrived, lets them run until all have ended or none can continue. */
SM_EXPORTED int sm_explore_run(void)
{
    int n, decision;
    for (n = 0; n < sm_explored_count; n++)
        while (sem_wait(&sm_explored_arrived) != 0)
            ;
    decision = sm_decide(SM_MOST_EXPLORED, "start");
    if (decision >= 0)
        sm_give_turn(decision);
    while (sem_wait(&sm_explored_done) != 0)
        ;
    return sm_explored_verdict;
}

#endif
