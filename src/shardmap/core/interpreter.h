/* What differs between CPython versions and builds. */
#ifndef SHARDMAP_INTERPRETER_H
#define SHARDMAP_INTERPRETER_H

#include <Python.h>

/* Declared to Cython as returning an object: hands over a reference that we own, without touching it. */
#define SM_STEAL(p) (p)

/* Every use of an object by a thread that does not own it is an atomic on its reference count, one hot
 * line for a map that many threads use. Deferred reference counting (3.14 and later) ends that, but an
 * object in that mode is freed by the garbage collector only. So: off at birth, on at the first use by
 * a second thread. `seen` makes it once; losing a race here only asks twice. */
#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX >= 0x030E0000
static inline void sm_note_use(PyObject *op, uint8_t *seen)
{
    if (__builtin_expect(!__atomic_load_n(seen, __ATOMIC_RELAXED), 0) && !_Py_IsOwnedByCurrentThread(op)) {
        __atomic_store_n(seen, 1, __ATOMIC_RELAXED);
        PyUnstable_Object_EnableDeferredRefcount(op);
    }
}
#else
static inline void sm_note_use(PyObject *op, uint8_t *seen) { (void)op; (void)seen; }
#endif

/* The hash that a str keeps, or -1. */
static inline Py_hash_t sm_str_hash(PyObject *s)
{
#ifdef Py_GIL_DISABLED
    return __atomic_load_n(&((PyASCIIObject *)s)->hash, __ATOMIC_RELAXED);
#else
    return ((PyASCIIObject *)s)->hash;
#endif
}

/* Types whose comparison and hash run no Python code, allocate nothing and cannot fail. */
static inline int sm_is_plain(PyTypeObject *t)
{
    return t == &PyUnicode_Type || t == &PyLong_Type || t == &PyBytes_Type;
}

/* Equality of two objects of one plain type. */
static inline int sm_plain_equal(PyObject *a, PyObject *b)
{
    PyObject *r = Py_TYPE(a)->tp_richcompare(a, b, Py_EQ);
    int equal = r == Py_True;
    Py_DECREF(r); /* a bool: never the last reference */
    return equal;
}

#endif
