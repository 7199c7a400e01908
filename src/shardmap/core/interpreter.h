/* What differs between CPython versions and builds. */
#ifndef SHARDMAP_INTERPRETER_H
#define SHARDMAP_INTERPRETER_H

#include <Python.h>

#include "atomics.h"
#include "contracts.h"

/* Calls that may run Python code, wait or detach. A debug build asserts that this is allowed. */
#define SM_MAY_RUN_PYTHON(call) \
    (SM_REQUIRE(sm_mutexes_held == 0, "what may run Python code is called under a mutex"), \
     SM_REQUIRE(!sm_is_reading, "what may run Python code is called by a reader"), call)
#define SM_DECREF(op) SM_MAY_RUN_PYTHON(Py_DECREF(op))
#define SM_HASH(op) SM_MAY_RUN_PYTHON(PyObject_Hash(op))
#define SM_RICH_COMPARE_BOOL(a, b, how) SM_MAY_RUN_PYTHON(PyObject_RichCompareBool(a, b, how))
#define SM_SAVE_THREAD() SM_MAY_RUN_PYTHON(PyEval_SaveThread())
#define SM_RESTORE_THREAD(state) SM_MAY_RUN_PYTHON(PyEval_RestoreThread(state))
#define SM_VECTORCALL(f, args, count, names) SM_MAY_RUN_PYTHON(PyObject_Vectorcall(f, args, count, names))
#define SM_CHECK_SIGNALS() SM_MAY_RUN_PYTHON(PyErr_CheckSignals())

/* Declared to Cython as returning an object. Passes an owned reference on, without changing the count. */
#define SM_STEAL(p) (p)

/* Each use of an object by a thread that does not own it is an atomic operation on its reference count. For a map
 * that many threads use, that is one contended cache line. Deferred reference counting (3.14 and later) avoids
 * this, but only the garbage collector frees such an object. So it is off at first, and the first use by a second
 * thread switches it on. `seen` prevents repetition; if two threads race here, both switch it on, which is
 * harmless. */
/* Whether the object was made by another thread, and is not marked yet. */
#ifdef Py_GIL_DISABLED
/* Acquire: a thread that finds it set by another thread reads the map after that. If a writer did not find it set,
 * it had made things unreachable before, for all threads at once (x86-64 and arm64 are multi-copy atomic). */
static inline int sm_is_foreign(PyObject *op, uint8_t *seen)
{
    return SM_UNLIKELY(!sm_load_u8(seen)) && !_Py_IsOwnedByCurrentThread(op);
}
#else
static inline int sm_is_foreign(PyObject *op, uint8_t *seen)
{
    (void)op;
    (void)seen;
    return 0;
}
#endif

#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX >= 0x030E0000
#define SM_GC_BITS_UNREACHABLE 4 /* _PyGC_BITS_UNREACHABLE of pycore_gc.h */

/* Does nothing for garbage of the collector, which finalizers may still use and no thread owns. If counting were
 * deferred then, the object would never be freed (3.15 takes its count for an overflow, and makes it immortal). */
static inline void sm_defer(PyObject *op)
{
    if (!(_Py_atomic_load_uint8_relaxed(&op->ob_gc_bits) & SM_GC_BITS_UNREACHABLE))
        PyUnstable_Object_EnableDeferredRefcount(op);
}

#define SM_DEFER(op) sm_defer(op)
#else
#define SM_DEFER(op) ((void)0)
#endif

static inline void sm_mark_shared(PyObject *op, uint8_t *seen)
{
    if (sm_is_foreign(op, seen)) {
        sm_store_u8_seq_cst(seen, 1);
        sm_fence_full(); /* before this thread's first read: see sm_wait_for_readers() */
        SM_DEFER(op);
    }
}

/* Takes a reference to an object whose last reference another thread may be releasing. CPython promises that its memory
 * is used only for objects while this thread is attached (mimalloc's pages get no other use before every thread has
 * passed a quiescent state). CPython's own dict reads in this way. */
#if defined(Py_GIL_DISABLED)
#if PY_VERSION_HEX >= 0x030E0000
#define SM_TRY_INCREF_SHARED(op) PyUnstable_TryIncRef(op)
#define SM_ENABLE_TRY_INCREF(op) PyUnstable_EnableTryIncRef(op)
#else
/* 3.13 does the same for its own dict, but has no public function for it. These functions use its public headers
 * (they copy _Py_TryIncRefShared and _PyObject_SetMaybeWeakref of 3.13's pycore_object.h). If the shared count is 0
 * without flags, or 0 of a merged object, the object may be about to be freed. The flag says that a thread may read
 * the object without owning a reference, so that its counts are merged before it is freed. */
static inline int sm_try_incref_shared(PyObject *op)
{
    Py_ssize_t shared = _Py_atomic_load_ssize_relaxed(&op->ob_ref_shared);
    do {
        if (shared == 0 || shared == _Py_REF_MERGED)
            return 0;
    } while (!_Py_atomic_compare_exchange_ssize(&op->ob_ref_shared, &shared,
                                                shared + ((Py_ssize_t)1 << _Py_REF_SHARED_SHIFT)));
    return 1;
}

static inline void sm_enable_try_incref(PyObject *op)
{
    Py_ssize_t shared;
    if (_Py_IsImmortal(op))
        return;
    shared = _Py_atomic_load_ssize_relaxed(&op->ob_ref_shared);
    do {
        if ((shared & _Py_REF_SHARED_FLAG_MASK) != 0)
            return; /* this flag is set, or another one that implies it */
    } while (!_Py_atomic_compare_exchange_ssize(&op->ob_ref_shared, &shared, shared | _Py_REF_MAYBE_WEAKREF));
}
#define SM_TRY_INCREF_SHARED(op) sm_try_incref_shared(op)
#define SM_ENABLE_TRY_INCREF(op) sm_enable_try_incref(op)
#endif

SM_INLINE int sm_try_incref(PyObject *op)
{
    if (_Py_atomic_load_uint32_relaxed(&op->ob_ref_local) == _Py_IMMORTAL_REFCNT_LOCAL)
        return 1;
    if (_Py_IsOwnedByCurrentThread(op)) {
        Py_INCREF(op);
        return 1;
    }
    return SM_TRY_INCREF_SHARED(op);
}
/* Enables sm_try_incref() for an object to which there is a reference. */
static inline void sm_allow_try_incref(PyObject *op) { SM_ENABLE_TRY_INCREF(op); }
#else
static inline int sm_try_incref(PyObject *op)
{
    Py_INCREF(op);
    return 1;
}
static inline void sm_allow_try_incref(PyObject *op) { (void)op; }
#endif

/* Whether a weak reference refers to this object, to which there is a reference. */
static inline int sm_refers_to(PyObject *reference, PyObject *op)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *there = NULL;
    int same = PyWeakref_GetRef(reference, &there) == 1 && there == op;
    Py_XDECREF(there); /* not the last one, if it is `op`'s */
    return same;
#else
    return PyWeakref_GET_OBJECT(reference) == op;
#endif
}

/* Whether there is no other reference to the object. Free-threaded 3.13 has no public function for that. */
#if !defined(Py_GIL_DISABLED)
#define SM_TELLS_ONLY_REFERENCE 1
static inline int sm_only_reference(PyObject *op) { return op != NULL && Py_REFCNT(op) == 1; }
#elif PY_VERSION_HEX >= 0x030E0000
#define SM_TELLS_ONLY_REFERENCE 1
static inline int sm_only_reference(PyObject *op) { return op != NULL && PyUnstable_Object_IsUniquelyReferenced(op); }
#else
#define SM_TELLS_ONLY_REFERENCE 0
static inline int sm_only_reference(PyObject *op)
{
    (void)op;
    return 0;
}
#endif

/* For a tuple whose items were replaced: resets its cached hash (since 3.14), and tracks it again if the collector had
 * untracked it. _PyTuple_Recycle() does the same for dict's iterators. */
static inline void sm_recycle_tuple(PyObject *op)
{
#if PY_VERSION_HEX >= 0x030E0000
    ((PyTupleObject *)op)->ob_hash = -1;
#endif
    if (!PyObject_GC_IsTracked(op))
        PyObject_GC_Track(op);
}

/* Looks up a special method as the interpreter does: on the type, without attributes of the object or of the metaclass,
 * and bound by its descriptor. Returns a new reference; NULL without an exception if there is none. */
static PyObject *sm_lookup_special(PyObject *self, PyObject *name)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject *found, *bound;
    descrgetfunc bind;
#if PY_VERSION_HEX >= 0x030D0000
    found = _PyType_LookupRef(type, name);
#else
    found = _PyType_Lookup(type, name);
    Py_XINCREF(found);
#endif
    if (found == NULL || (bind = Py_TYPE(found)->tp_descr_get) == NULL)
        return found;
    bound = bind(found, self, (PyObject *)type);
    Py_DECREF(found);
    return bound;
}

/* A dict's value for a key: a new reference and 1; 0: no entry; -1: an exception is set. */
static inline int sm_dict_get(PyObject *dict, PyObject *key, PyObject **value)
{
#if PY_VERSION_HEX >= 0x030D0000
    return SM_MAY_RUN_PYTHON(PyDict_GetItemRef(dict, key, value));
#else
    *value = SM_MAY_RUN_PYTHON(PyDict_GetItemWithError(dict, key));
    Py_XINCREF(*value);
    return *value != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
#endif
}

/* The hash of an int of one digit, which is the number itself: nearly all ints there are. False for other objects. */
static inline int sm_small_int_hash(PyObject *o, Py_hash_t *hash)
{
    Py_hash_t value;
    if (!PyLong_CheckExact(o))
        return 0;
#if PY_VERSION_HEX >= 0x030C0000
    if (!PyUnstable_Long_IsCompact((PyLongObject *)o))
        return 0;
    value = (Py_hash_t)PyUnstable_Long_CompactValue((PyLongObject *)o);
#else
    if (Py_SIZE(o) < -1 || Py_SIZE(o) > 1)
        return 0;
    value = Py_SIZE(o) == 0 ? 0 : (Py_hash_t)Py_SIZE(o) * (Py_hash_t)((PyLongObject *)o)->ob_digit[0];
#endif
    *hash = value == -1 ? -2 : value;
    return 1;
}

/* The hash that a str keeps, or -1. */
static inline Py_hash_t sm_str_hash(PyObject *s)
{
#ifdef Py_GIL_DISABLED
    return _Py_atomic_load_ssize_relaxed(&((PyASCIIObject *)s)->hash);
#else
    return ((PyASCIIObject *)s)->hash;
#endif
}

/* Like sm_mark_shared, but only after other threads have used the object often. If one thread takes a snapshot and
 * another one reads a little of it, it is better to free the snapshot and its tables at the last reference. Losing
 * a count is harmless. */
#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX >= 0x030E0000
#define SM_OFTEN 4096
static inline void sm_mark_used_often(PyObject *op, uint32_t *uses)
{
    uint32_t count = sm_load_u32_relaxed(uses);
    if (SM_UNLIKELY(count < SM_OFTEN) && !_Py_IsOwnedByCurrentThread(op)) {
        sm_store_u32_relaxed(uses, count + 1);
        if (count + 1 == SM_OFTEN)
            sm_defer(op);
    }
}
#else
static inline void sm_mark_used_often(PyObject *op, uint32_t *uses)
{
    (void)op;
    (void)uses;
}
#endif

/* The current contextvars.Context, borrowed; NULL if none was needed so far. */
#define SM_CURRENT_CONTEXT() (PyThreadState_Get()->context)

/* The context that was current when this one was entered with Context.run(); borrowed, or NULL. CPython has no function
 * for it. It is the first field, from 3.11 to 3.15 (struct _pycontextobject of pycore_context.h). */
static inline PyObject *sm_context_below(PyObject *context)
{
    struct first_field {
        PyObject_HEAD PyObject *ctx_prev;
    };
    return ((struct first_field *)context)->ctx_prev;
}

#define SM_SET_FLOAT(f, value) (((PyFloatObject *)(f))->ob_fval = (value))

#endif
