/* A lock of one byte, and reading an object pointer that other threads replace.
 *
 * The lock is for a few instructions of an attached thread in which nothing can stop: so no thread owns it
 * while the world is stopped or around fork, and nothing is to be repaired in a child. With a GIL the GIL is
 * that lock. */
#ifndef SHARDMAP_ATOMICREF_H
#define SHARDMAP_ATOMICREF_H

#include <Python.h>

#include "core/atomics.h"
#include "core/interpreter.h"
#include "core/system.h"

#ifdef Py_GIL_DISABLED

#define SM_BYTE_SPINS 64
#define SM_LONGEST_NAP 1000 /* microseconds */

static inline int sm_byte_try(uint8_t *lock)
{
    return !sm_load_u8_relaxed(lock) && !sm_exchange_u8_acquire(lock, 1);
}

/* The owner was taken off its processor: sleeps, detached, a little longer each time. */
static void sm_byte_wait(uint8_t *lock)
{
    int turn, i, pauses = 1;
    long nap = 1;
    for (;;) {
        for (turn = 0; turn < SM_BYTE_SPINS; turn++) {
            if (sm_byte_try(lock))
                return;
            for (i = 0; i < pauses; i++)
                sm_pause();
            if (pauses < 16)
                pauses *= 2;
        }
        PyThreadState *state = PyEval_SaveThread();
        sm_nap(nap);
        PyEval_RestoreThread(state);
        if (nap < SM_LONGEST_NAP)
            nap *= 2;
    }
}

static inline void sm_byte_lock(uint8_t *lock)
{
    if (!sm_byte_try(lock))
        sm_byte_wait(lock);
}

static inline void sm_byte_unlock(uint8_t *lock) { sm_store_u8(lock, 0); }

#else

static inline int sm_byte_try(uint8_t *lock) { (void)lock; return 1; }
static inline void sm_byte_lock(uint8_t *lock) { (void)lock; }
static inline void sm_byte_unlock(uint8_t *lock) { (void)lock; }

#endif

/* A new reference to what the slot holds, without a lock; or NULL where that does not succeed.
 *
 * As CPython's dict reads its values (_Py_TryXGetRef): the object may die between the load and the increment,
 * but its memory is not put to another use than an object while this thread is attached, an object without
 * references is not revived, and another object in the same place is not in the slot. The first reader that
 * does not own the object fails, and prepares it for the next under the lock. */
#ifdef Py_GIL_DISABLED
static inline PyObject *sm_try_get_ref(PyObject **slot)
{
    PyObject *op = sm_load_ptr((void **)slot);
    if (sm_try_incref(op)) {
        if (SM_LIKELY(sm_load_ptr((void **)slot) == op))
            return op;
        Py_DECREF(op);
    }
    return NULL;
}
#else
static inline PyObject *sm_try_get_ref(PyObject **slot) { (void)slot; return NULL; }
#endif

#endif
