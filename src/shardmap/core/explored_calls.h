/* For a build that explores schedules (explore.h): replaces atomics and system functions. Each of them gets a
 * point, and each wait becomes a decision. Exceptions without a point: hints and counters that are relaxed 32-bit
 * words, and the words of keys that are compared. A macro does not expand itself, so it calls the function of the
 * same name. */
#ifndef SHARDMAP_EXPLORED_CALLS_H
#define SHARDMAP_EXPLORED_CALLS_H

#include "explore.h"

#define sm_load_u64(p) SM_AT_POINT(sm_load_u64(p))
#define sm_store_u64(p, v) SM_AT_POINT(sm_store_u64(p, v))
#define sm_add_u64(p, v) SM_AT_POINT(sm_add_u64(p, v))
#define sm_load_u32(p) SM_AT_POINT(sm_load_u32(p))
#define sm_store_u32(p, v) SM_AT_POINT(sm_store_u32(p, v))
#define sm_load_ptr(p) SM_AT_POINT(sm_load_ptr(p))
#define sm_store_ptr(p, v) SM_AT_POINT(sm_store_ptr(p, v))
#define sm_store_u8(p, v) SM_AT_POINT(sm_store_u8(p, v))
#define sm_load_u8(p) SM_AT_POINT(sm_load_u8(p))
#define sm_load_i64(p) SM_AT_POINT(sm_load_i64(p))
#define sm_store_i64(p, v) SM_AT_POINT(sm_store_i64(p, v))
#define sm_add_up_to(p, v, most) SM_AT_POINT(sm_add_up_to(p, v, most))
#define sm_sub_i64_release(p, v) SM_AT_POINT(sm_sub_i64_release(p, v))
#define sm_change_u8(p, from, to) SM_AT_POINT(sm_change_u8(p, from, to))
#define sm_put_if_null(p, mine) SM_AT_POINT(sm_put_if_null(p, mine))
#define sm_claim(owner, me) SM_AT_POINT(sm_claim(owner, me))
#define sm_load_ptr_seq_cst(p) SM_AT_POINT(sm_load_ptr_seq_cst(p))
#define sm_store_u8_seq_cst(p, v) SM_AT_POINT(sm_store_u8_seq_cst(p, v))
#define sm_exchange_u8_acquire(p, v) SM_AT_POINT(sm_exchange_u8_acquire(p, v))
#define sm_or_u8_relaxed(p, bits) SM_AT_POINT(sm_or_u8_relaxed(p, bits))
#define sm_and_u8_relaxed(p, bits) SM_AT_POINT(sm_and_u8_relaxed(p, bits))
#define sm_change_ptr_seq_cst(p, from, to) SM_AT_POINT(sm_change_ptr_seq_cst(p, from, to))
#define sm_change_u32(p, from, to) SM_AT_POINT(sm_change_u32(p, from, to))
#define sm_load_u32_seq_cst(p) SM_AT_POINT(sm_load_u32_seq_cst(p))
#define sm_store_u32_seq_cst(p, v) SM_AT_POINT(sm_store_u32_seq_cst(p, v))
#define sm_load_u64_relaxed(p) SM_AT_POINT(sm_load_u64_relaxed(p))
#define sm_store_u64_relaxed(p, v) SM_AT_POINT(sm_store_u64_relaxed(p, v))
#define sm_load_i64_relaxed(p) SM_AT_POINT(sm_load_i64_relaxed(p))
#define sm_store_i64_relaxed(p, v) SM_AT_POINT(sm_store_i64_relaxed(p, v))
#define sm_load_u8_relaxed(p) SM_AT_POINT(sm_load_u8_relaxed(p))
#define sm_store_u8_relaxed(p, v) SM_AT_POINT(sm_store_u8_relaxed(p, v))
#define sm_load_ptr_relaxed(p) SM_AT_POINT(sm_load_ptr_relaxed(p))
#define sm_pause() (sm_explored_wait(1, -1, __func__) ? (void)0 : sm_pause())

#endif
