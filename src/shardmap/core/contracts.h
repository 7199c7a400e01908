/* Requirements of functions for the calling thread. A debug build asserts them (-DSHARDMAP_DEBUG, make check). Any
 * other build contains none of this.
 *
 * - Functions named ..._locked and ..._and_unlock require that this thread holds the shard's mutex.
 * - Calls that may run Python code, wait, detach or stop require that this thread holds no mutex and is not reading.
 * - A reader takes no mutex for which it might have to wait.
 *
 * Each mutex notes which thread holds it (core/mutex.h). Each thread notes how many mutexes it holds, and whether
 * it is reading. */
#ifndef SHARDMAP_CONTRACTS_H
#define SHARDMAP_CONTRACTS_H

#include "compiler.h"

#undef SM_DEBUG /* Windows' own, if its headers were here before */

#ifdef SHARDMAP_DEBUG

#include <stdio.h>
#include <stdlib.h>

#define SM_DEBUG 1

static SM_THREAD_LOCAL int sm_mutexes_held = 0;
static SM_THREAD_LOCAL int sm_is_reading = 0;

static void sm_broken_contract(const char *what, const char *function, int line)
{
    fprintf(stderr, "shardmap: broken contract: %s (%s, line %d)\n", what, function, line);
    fflush(stderr);
    abort();
}

static inline void sm_note_reading(int reads)
{
    if (sm_is_reading == reads)
        sm_broken_contract("a reader begins to read again, or ends what it has not begun", "sm_note_reading", 0);
    sm_is_reading = reads;
}

#define SM_REQUIRE(condition, what) ((condition) ? (void)0 : sm_broken_contract(what, __func__, __LINE__))

#else

#define SM_DEBUG 0
static inline void sm_note_reading(int reads) { (void)reads; }
#define SM_REQUIRE(condition, what) ((void)0)

#endif

#endif
