/* A lock of one byte, and reading an object pointer that other threads replace.
 *
 * An attached thread holds the lock for a few instructions, in which it cannot stop. So no thread holds it while the
 * world is stopped or during a fork, and a child does not have to repair it. With a GIL, the GIL is that lock. */
#ifndef SHARDMAP_ATOMICREF_H
#define SHARDMAP_ATOMICREF_H

#include <Python.h>

#include "core/atomics.h"
#include "core/interpreter.h"
#include "core/system.h"

#ifdef Py_GIL_DISABLED

#define SM_BYTE_SPINS 64
#define SM_LONGEST_NAP 1000 /* microseconds */

static inline int sm_byte_try(uint8_t *lock) { return !sm_load_u8_relaxed(lock) && !sm_exchange_u8_acquire(lock, 1); }

/* The holder was preempted. Sleeps, detached, a little longer each time. */
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

static inline int sm_byte_try(uint8_t *lock)
{
    (void)lock;
    return 1;
}
static inline void sm_byte_lock(uint8_t *lock) { (void)lock; }
static inline void sm_byte_unlock(uint8_t *lock) { (void)lock; }

#endif

/* A new reference to the object in the slot, without a lock; NULL if that fails.
 *
 * CPython's dict reads its values in the same way (_Py_TryXGetRef). The object may be freed between the load and the
 * increment. But while this thread is attached, its memory is used only for objects. The increment fails for an object
 * without references. If another object is at the same address now, the slot does not contain it any more. The first
 * reader that does not own the object fails, and under the lock it prepares the object for the next readers. */
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
static inline PyObject *sm_try_get_ref(PyObject **slot)
{
    (void)slot;
    return NULL;
}
#endif

#endif
