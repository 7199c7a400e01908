/* Reading keys of plain types without a thread state. This counts no reference, allocates nothing and cannot fail. So
 * it is allowed under a mutex, in a critical section and without the GIL.
 *
 * Plain keys are exact str, int, bytes, float, bool and None, and exact tuples of such keys, which may be nested a
 * little and have few items in all. They never change, and comparing them is fast and runs no other code. For str,
 * int and bytes this file also has the hash. */
#ifndef SHARDMAP_PLAIN_H
#define SHARDMAP_PLAIN_H

#include <Python.h>
#include <string.h>

#include "atomics.h"
#include "interpreter.h"

/* memcmp() == 0. For few bytes it makes no call, but two loads that overlap. */
SM_INLINE int sm_same_chars(const char *a, const char *b, size_t size)
{
    uint64_t a8, b8, a8_last, b8_last;
    uint32_t a4, b4, a4_last, b4_last;
    if (size > 16)
        return memcmp(a, b, size) == 0;
    if (size >= 8) {
        memcpy(&a8, a, 8);
        memcpy(&b8, b, 8);
        memcpy(&a8_last, a + size - 8, 8);
        memcpy(&b8_last, b + size - 8, 8);
        return ((a8 ^ b8) | (a8_last ^ b8_last)) == 0;
    }
    if (size >= 4) {
        memcpy(&a4, a, 4);
        memcpy(&b4, b, 4);
        memcpy(&a4_last, a + size - 4, 4);
        memcpy(&b4_last, b + size - 4, 4);
        return ((a4 ^ b4) | (a4_last ^ b4_last)) == 0;
    }
    return size == 0 || (a[0] == b[0] && a[size / 2] == b[size / 2] && a[size - 1] == b[size - 1]);
}

/* For strings of equal length, of which at least one may have other than ASCII characters. */
static SM_NOINLINE int sm_same_wide_str(PyObject *a, PyObject *b)
{
    int kind = PyUnicode_KIND(a);
    return kind == (int)PyUnicode_KIND(b) &&
           memcmp(PyUnicode_DATA(a), PyUnicode_DATA(b), (size_t)PyUnicode_GET_LENGTH(a) * (size_t)kind) == 0;
}

/* The last word of `state`. Microsoft's compilers put the flags after a word for `interned` if that is a byte. */
#define SM_FLAGS(str) ((const sm_word *)(&(str)->state + 1) - 1)

/* PyUnicode_IS_COMPACT_ASCII() of both, with one load of each. (That function has 13 instructions, and the compiler
 * does not always inline it.) */
SM_INLINE int sm_both_are_ascii(PyObject *a, PyObject *b)
{
    PyASCIIObject ascii = {0};
    uint32_t wanted, of_a, of_b;
    _Static_assert(sizeof ascii.state == 4 || sizeof ascii.state == 8, "str's flags are a word, perhaps the second");
    ascii.state.compact = 1;
    ascii.state.ascii = 1;
    memcpy(&wanted, SM_FLAGS(&ascii), sizeof wanted);
    of_a = sm_load_word_relaxed(SM_FLAGS((PyASCIIObject *)a));
    of_b = sm_load_word_relaxed(SM_FLAGS((PyASCIIObject *)b));
    return (of_a & of_b & wanted) == wanted;
}

/* For strings that were hashed. Hashing makes the old kind of str, which CPython 3.11 still has, "ready". */
SM_INLINE int sm_same_str(PyObject *a, PyObject *b)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(a);
    if (length != PyUnicode_GET_LENGTH(b))
        return 0;
    if (sm_both_are_ascii(a, b))
        return sm_same_chars((const char *)((PyASCIIObject *)a + 1), (const char *)((PyASCIIObject *)b + 1),
                             (size_t)length);
    return sm_same_wide_str(a, b);
}

static inline int sm_same_int(PyObject *a, PyObject *b)
{
    const PyLongObject *x = (const PyLongObject *)a, *y = (const PyLongObject *)b;
#if PY_VERSION_HEX >= 0x030C0000
    /* The lowest two bits are the sign, the third says that CPython made the object for good. */
    uintptr_t tag = x->long_value.lv_tag;
    return ((tag ^ y->long_value.lv_tag) & ~(uintptr_t)4) == 0 &&
           memcmp(x->long_value.ob_digit, y->long_value.ob_digit, (tag >> 3) * sizeof(digit)) == 0;
#else
    Py_ssize_t size = Py_SIZE(a);
    return size == Py_SIZE(b) &&
           memcmp(x->ob_digit, y->ob_digit, (size_t)(size < 0 ? -size : size) * sizeof(digit)) == 0;
#endif
}

static inline int sm_same_bytes(PyObject *a, PyObject *b)
{
    return PyBytes_GET_SIZE(a) == PyBytes_GET_SIZE(b) &&
           memcmp(PyBytes_AS_STRING(a), PyBytes_AS_STRING(b), (size_t)PyBytes_GET_SIZE(a)) == 0;
}

#define SM_PLAIN_DEPTH 4  /* of tuples in tuples */
#define SM_PLAIN_ITEMS 64 /* of all of these tuples together; an item that several of them share counts each time */

static inline int sm_is_str_int_or_bytes(PyObject *a)
{
    PyTypeObject *type = Py_TYPE(a);
    return type == &PyUnicode_Type || type == &PyLong_Type || type == &PyBytes_Type;
}

static int sm_is_plain_within(PyObject *a, int depth, Py_ssize_t *items)
{
    Py_ssize_t i;
    if (sm_is_str_int_or_bytes(a) || PyFloat_CheckExact(a) || PyBool_Check(a) || a == Py_None)
        return 1;
    if (!PyTuple_CheckExact(a) || depth == 0 || (*items -= PyTuple_GET_SIZE(a)) < 0)
        return 0;
    for (i = 0; i < PyTuple_GET_SIZE(a); i++)
        if (!sm_is_plain_within(PyTuple_GET_ITEM(a, i), depth - 1, items))
            return 0;
    return 1;
}

static inline int sm_is_plain_key(PyObject *a)
{
    Py_ssize_t items = SM_PLAIN_ITEMS;
    return sm_is_str_int_or_bytes(a) || sm_is_plain_within(a, SM_PLAIN_DEPTH, &items);
}

/* Whether it can be hashed here. In CPython 3.11, hashing makes some strings "ready" first, which may fail. */
static inline int sm_has_plain_hash(PyObject *a)
{
#if PY_VERSION_HEX < 0x030C0000
    if (PyUnicode_CheckExact(a))
        return PyUnicode_IS_READY(a);
#endif
    return sm_is_str_int_or_bytes(a);
}

/* The hash of such an object. The object may store it, in a word to which all threads write the same value. */
static inline Py_hash_t sm_plain_hash(PyObject *a)
{
    PyTypeObject *type = Py_TYPE(a);
    Py_hash_t kept;
    if (type == &PyUnicode_Type) {
        kept = sm_str_hash(a);
        if (kept != -1)
            return kept;
    } else if (sm_small_int_hash(a, &kept))
        return kept;
    return type->tp_hash(a);
}

#ifdef Py_GIL_DISABLED
#define SM_HAS_GIL 0
#else
#define SM_HAS_GIL 1
#endif

static int sm_compare_others(PyObject *a, PyObject *b);

/* 1: equal; 0: not equal; -1: only Python code can compare them. One of the two has a plain type. */
SM_INLINE int sm_compare(PyObject *a, PyObject *b)
{
    PyTypeObject *type = Py_TYPE(a);
    if (type != Py_TYPE(b))
        return -1;
    return type == &PyUnicode_Type ? sm_same_str(a, b) : sm_compare_others(a, b);
}

/* Compares as tuple does: items in their order, and each object is equal to itself. Stops at the first items that
 * differ, or that only Python code can compare. */
static inline int sm_compare_tuples(PyObject *a, PyObject *b)
{
    Py_ssize_t i, size = PyTuple_GET_SIZE(a);
    int answer;
    if (size != PyTuple_GET_SIZE(b))
        return 0;
    for (i = 0; i < size; i++) {
        if (PyTuple_GET_ITEM(a, i) == PyTuple_GET_ITEM(b, i))
            continue;
        answer = sm_compare(PyTuple_GET_ITEM(a, i), PyTuple_GET_ITEM(b, i));
        if (answer <= 0)
            return answer;
    }
    return 1;
}

/* For two different objects of the same type. */
static SM_NOINLINE int sm_compare_others(PyObject *a, PyObject *b)
{
    PyTypeObject *type = Py_TYPE(a);
    if (type == &PyLong_Type)
        return sm_same_int(a, b);
    if (type == &PyBytes_Type)
        return sm_same_bytes(a, b);
    if (type == &PyTuple_Type)
        return sm_compare_tuples(a, b);
    if (type == &PyFloat_Type)
        return PyFloat_AS_DOUBLE(a) == PyFloat_AS_DOUBLE(b);
    return type == &PyBool_Type ? 0 : -1;
}

/* About how many bytes an object of a plain type takes. */
static size_t sm_plain_size(PyObject *o)
{
    if (PyUnicode_CheckExact(o))
        return sizeof(PyASCIIObject) + (size_t)PyUnicode_GET_LENGTH(o) * (size_t)PyUnicode_KIND(o);
    if (PyBytes_CheckExact(o))
        return sizeof(PyBytesObject) + (size_t)Py_SIZE(o);
    if (PyTuple_CheckExact(o)) {
        size_t bytes = sizeof(PyTupleObject);
        Py_ssize_t i;
        for (i = 0; i < PyTuple_GET_SIZE(o); i++)
            bytes += sizeof(PyObject *) + sm_plain_size(PyTuple_GET_ITEM(o, i));
        return bytes;
    }
    if (!PyLong_CheckExact(o))
        return sizeof(PyFloatObject);
#if PY_VERSION_HEX >= 0x030C0000
    return sizeof(PyLongObject) + (((PyLongObject *)o)->long_value.lv_tag >> 3) * sizeof(digit);
#else
    return sizeof(PyLongObject) + (size_t)(Py_SIZE(o) < 0 ? -Py_SIZE(o) : Py_SIZE(o)) * sizeof(digit);
#endif
}

#endif
