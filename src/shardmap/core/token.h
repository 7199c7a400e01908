/* Tokens: numbers that are never used twice. Each thread has one, because the system may give the ident of a thread
 * that has ended to another thread. A thread keeps its token in a forked child. */
#ifndef SHARDMAP_TOKEN_H
#define SHARDMAP_TOKEN_H

#include <stdint.h>

#include "atomics.h"
#include "compiler.h"

static uint64_t sm_newest_token = 0;
static SM_THREAD_LOCAL uint64_t sm_token_of_this_thread SM_TLS_MODEL = 0;

static inline uint64_t sm_new_token(void) { return sm_add_u64_relaxed(&sm_newest_token, 1); }

static inline uint64_t sm_thread_token(void)
{
    if (SM_UNLIKELY(sm_token_of_this_thread == 0))
        sm_token_of_this_thread = sm_new_token();
    return sm_token_of_this_thread;
}

#endif
