/* Condition variables with a monotonic clock where the system has one for them. */
#ifndef SHARDMAP_WAITING_H
#define SHARDMAP_WAITING_H

#include <pthread.h>
#include <time.h>

#if defined(__APPLE__)
#define SM_WAIT_CLOCK CLOCK_REALTIME /* no pthread_condattr_setclock */
#else
#define SM_WAIT_CLOCK CLOCK_MONOTONIC
#endif

static void sm_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
#if !defined(__APPLE__)
    pthread_condattr_setclock(&attributes, SM_WAIT_CLOCK);
#endif
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

static double sm_now(void)
{
    struct timespec now;
    clock_gettime(SM_WAIT_CLOCK, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Waits until woken, or until the clock says `until`. */
static void sm_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, double until)
{
    struct timespec end;
    end.tv_sec = (time_t)until;
    end.tv_nsec = (long)((until - (double)end.tv_sec) * 1e9);
    pthread_cond_timedwait(cond, mutex, &end);
}

#endif
