/* Integers of 1 to 8 bytes in memory as keys: reads them, hashes them, and compares them with keys of a map, without a
 * Python object for each of them.
 *
 * A number is 64 bits, and whether the highest bit is a sign. */
#ifndef SHARDMAP_INTEGERS_H
#define SHARDMAP_INTEGERS_H

#include <Python.h>
#include <string.h>

#include "compiler.h"

/* How an element is stored. */
typedef struct {
    uint8_t size; /* bytes: 1, 2, 4 or 8 */
    uint8_t is_signed;
    uint8_t is_bool;    /* any byte but 0 is True */
    uint8_t is_swapped; /* of the other byte order than the machine's */
} sm_element;

static inline int sm_has_format(const Py_buffer *view, const char *format)
{
    return view->format != NULL && strcmp(view->format, format) == 0;
}

/* Whether the buffer's format (of the module struct) is that of one integer or bool. */
static int sm_element_of(const Py_buffer *view, sm_element *how)
{
    static const char letters[] = "bhilqBHILQ?";
    static const uint8_t native[] = {1, sizeof(short), sizeof(int), sizeof(long), sizeof(long long)};
    static const uint8_t standard[] = {1, 2, 4, 4, 8};
    const char *format = view->format, *letter;
    char order = '@';
    size_t number;
    if (format == NULL)
        return 0;
    if (*format != '\0' && strchr("@^=<>!", *format) != NULL) /* numpy writes ^ if elements are not aligned */
        order = *format++;
    if (*format == '\0' || format[1] != '\0' || (letter = strchr(letters, *format)) == NULL)
        return 0;
    number = (size_t)(letter - letters);
    how->is_bool = *letter == '?';
    how->is_signed = number < 5;
    how->size = how->is_bool ? 1 : (order == '@' || order == '^' ? native : standard)[number % 5];
    how->is_swapped = how->size > 1 && (PY_BIG_ENDIAN ? order == '<' : order == '>' || order == '!');
    return view->itemsize == how->size;
}

/* The other byte order. Compilers make one instruction of each. */
static inline uint8_t sm_swapped_8(uint8_t n) { return n; }
static inline uint16_t sm_swapped_16(uint16_t n) { return (uint16_t)(n >> 8 | n << 8); }
static inline uint32_t sm_swapped_32(uint32_t n)
{
    return n >> 24 | (n >> 8 & UINT32_C(0xFF00)) | (n << 8 & UINT32_C(0xFF0000)) | n << 24;
}
static inline uint64_t sm_swapped_64(uint64_t n)
{
    return (uint64_t)sm_swapped_32((uint32_t)n) << 32 | sm_swapped_32((uint32_t)(n >> 32));
}

/* Elements may be anywhere: memcpy() makes no assumption about alignment. */
#define SM_READ(bits, convert) \
    for (i = 0; i < count; i++, at += stride) { \
        uint##bits##_t n; \
        memcpy(&n, at, sizeof n); \
        into[i] = (uint64_t)(convert(is_swapped ? sm_swapped_##bits(n) : n)); \
    } \
    return

/* In each call `is_swapped` is a constant, so that loops do not test it. */
SM_INLINE void sm_read_ordered(const char *at, Py_ssize_t stride, uint32_t count, sm_element how, int is_swapped,
                               uint64_t *into)
{
    uint32_t i;
    switch (how.size * 2 + how.is_signed) {
    case 2:
        SM_READ(8, );
    case 3:
        SM_READ(8, (int64_t)(int8_t));
    case 4:
        SM_READ(16, );
    case 5:
        SM_READ(16, (int64_t)(int16_t));
    case 8:
        SM_READ(32, );
    case 9:
        SM_READ(32, (int64_t)(int32_t));
    default:
        SM_READ(64, );
    }
}
#undef SM_READ

/* Reads each of `count` elements once: another thread may be changing them. */
static void sm_read_integers(const char *at, Py_ssize_t stride, uint32_t count, sm_element how, uint64_t *into)
{
    uint32_t i;
    if (how.is_swapped)
        sm_read_ordered(at, stride, count, how, 1, into);
    else
        sm_read_ordered(at, stride, count, how, 0, into);
    if (how.is_bool)
        for (i = 0; i < count; i++)
            into[i] = into[i] != 0;
}

static inline int sm_is_negative(uint64_t n, int is_signed) { return is_signed && (int64_t)n < 0; }
static inline uint64_t sm_magnitude(uint64_t n, int is_signed) { return sm_is_negative(n, is_signed) ? 0 - n : n; }

/* What hash() returns for the int. */
static inline Py_hash_t sm_integer_hash(uint64_t n, int is_signed)
{
    uint64_t rest = sm_magnitude(n, is_signed);
#if SIZEOF_VOID_P >= 8
    const uint64_t modulus = (UINT64_C(1) << 61) - 1; /* _PyHASH_MODULUS */
    if (rest >= modulus) {                            /* hardly ever */
        rest = (rest & modulus) + (rest >> 61);
        rest -= rest >= modulus ? modulus : 0;
    }
#else
    rest %= (UINT64_C(1) << 31) - 1;
#endif
    if (!sm_is_negative(n, is_signed))
        return (Py_hash_t)rest;
    return rest == 1 ? -2 : -(Py_hash_t)rest;
}

/* A new int, or bool. NULL with an exception if there is no memory. */
static inline PyObject *sm_new_integer(uint64_t n, sm_element how)
{
    if (how.is_bool)
        return PyBool_FromLong(n != 0);
    return how.is_signed ? PyLong_FromLongLong((int64_t)n) : PyLong_FromUnsignedLongLong(n);
}

/* --- Comparing --- */

#define SM_INTEGER_DIGITS ((64 + PyLong_SHIFT - 1) / PyLong_SHIFT)

/* The fields of an int: how many digits it has with which sign, and the digits. */
#if PY_VERSION_HEX >= 0x030C0000
#define SM_DIGITS(integer) ((integer)->long_value.ob_digit)
/* The third bit says that CPython made the object for good. */
#define SM_INT_TAG(integer) ((integer)->long_value.lv_tag & ~(uintptr_t)4)
#define SM_SET_INT_TAG(integer, tag) ((integer)->long_value.lv_tag = (tag))
typedef uintptr_t sm_int_tag;
static inline sm_int_tag sm_tag_of(unsigned digits, int is_negative)
{
    return (sm_int_tag)digits << 3 | (is_negative ? 2 : digits == 0);
}
#else
#define SM_DIGITS(integer) ((integer)->ob_digit)
#define SM_INT_TAG(integer) Py_SIZE(integer)
#define SM_SET_INT_TAG(integer, tag) Py_SET_SIZE(integer, tag)
typedef Py_ssize_t sm_int_tag;
static inline sm_int_tag sm_tag_of(unsigned digits, int is_negative)
{
    return is_negative ? -(sm_int_tag)digits : (sm_int_tag)digits;
}
#endif

static inline unsigned sm_digits_of(uint64_t magnitude)
{
    unsigned digits = 0;
    for (; magnitude != 0; magnitude >>= PyLong_SHIFT)
        digits++;
    return digits;
}

/* Whether a key is an exact int of this value. If not, they may still be equal, unless the key is an exact int. */
SM_INLINE int sm_is_integer(PyObject *key, uint64_t n, int is_signed)
{
    PyLongObject *integer = (PyLongObject *)key;
    uint64_t magnitude = sm_magnitude(n, is_signed);
    const digit *digits = SM_DIGITS(integer);
    unsigned count, i;
    if (Py_TYPE(key) != &PyLong_Type)
        return 0;
    if (magnitude <= PyLong_MASK) /* one or two digits, nearly always: without a loop */
        return SM_INT_TAG(integer) == sm_tag_of(magnitude != 0, sm_is_negative(n, is_signed)) &&
               digits[0] == (digit)magnitude;
    if (magnitude >> PyLong_SHIFT <= PyLong_MASK)
        return SM_INT_TAG(integer) == sm_tag_of(2, sm_is_negative(n, is_signed)) &&
               ((uint64_t)digits[1] << PyLong_SHIFT | digits[0]) == magnitude;
    count = sm_digits_of(magnitude);
    if (SM_INT_TAG(integer) != sm_tag_of(count, sm_is_negative(n, is_signed)))
        return 0;
    for (i = 0; i < count; i++, magnitude >>= PyLong_SHIFT)
        if (digits[i] != (digit)(magnitude & PyLong_MASK))
            return 0;
    return 1;
}

/* Room for what looks like an int to code that compares plain keys (core/plain.h) and counts no reference. Nothing that
 * may run Python code, or keep a key, may get a pointer to it. */
typedef union {
    PyLongObject object;
    char room[sizeof(PyLongObject) + SM_INTEGER_DIGITS * sizeof(digit)];
} sm_integer_key;

static inline void sm_init_integer_key(sm_integer_key *self)
{
    const struct {
        PyObject object;
    } head = {PyObject_HEAD_INIT(&PyLong_Type)};
    memset(self, 0, sizeof *self);
    memcpy(self, &head, sizeof head);
}

static inline PyObject *sm_integer_as_key(sm_integer_key *self, uint64_t n, int is_signed)
{
    uint64_t magnitude = sm_magnitude(n, is_signed);
    digit *digits = SM_DIGITS(&self->object);
    unsigned count = 0;
    for (; magnitude != 0; magnitude >>= PyLong_SHIFT)
        digits[count++] = (digit)(magnitude & PyLong_MASK);
    SM_SET_INT_TAG(&self->object, sm_tag_of(count, sm_is_negative(n, is_signed)));
    return (PyObject *)&self->object;
}

#endif
