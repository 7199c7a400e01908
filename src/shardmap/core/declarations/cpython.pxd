# What the core uses of CPython and of the C library. By pointer where Cython is to add no reference counting of its
# own.

from cpython.buffer cimport Py_buffer, PyBUF_RECORDS_RO
from cpython.dict cimport PyDict_Check, PyDict_Copy, PyDict_New, PyDict_Next, PyDict_Size
from cpython.list cimport PyList_CheckExact, PyList_New
from cpython.object cimport PyObject, PyTypeObject
from cpython.sequence cimport PySequence_Fast
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_New
from libc.math cimport sqrt
from libc.stdint cimport int64_t, intptr_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset, strlen

cdef extern from "Python.h":
    ctypedef int (*visitproc)(PyObject*, void*)
    ctypedef struct PyThreadState:
        pass
    int Py_EQ

    # References, types, comparing
    void incref "Py_INCREF"(PyObject*)
    PyObject* new_reference "Py_NewRef"(PyObject*)
    PyObject* box_bool "PyBool_FromLong"(long) except NULL
    void decref_not_last "Py_DECREF"(PyObject*)     # where it cannot run anything
    PyTypeObject* type_of "Py_TYPE"(PyObject*)
    int Py_ReprEnter(object) except -1
    void Py_ReprLeave(object)

    # Numbers and strings
    bint is_exact_str "PyUnicode_CheckExact"(PyObject*)
    bint is_exact_bytes "PyBytes_CheckExact"(PyObject*) noexcept
    bint is_ascii "PyUnicode_IS_ASCII"(object) noexcept
    const void* ascii_data "PyUnicode_DATA"(object) noexcept
    Py_ssize_t str_length "PyUnicode_GET_LENGTH"(object) noexcept
    str new_ascii "PyUnicode_DecodeASCII"(const char*, Py_ssize_t, const char* errors)
    bint is_exact_int "PyLong_CheckExact"(PyObject*) noexcept
    bint is_exact_float "PyFloat_CheckExact"(PyObject*) noexcept
    PyObject* box_long_long "PyLong_FromLongLong"(long long) except NULL
    # May return NULL with an exception set: for places where something is to be undone first.
    PyObject* try_box_long_long "PyLong_FromLongLong"(long long) noexcept
    long long long_long_of "PyLong_AsLongLongAndOverflow"(PyObject*, int*) noexcept
    PyObject* new_float "PyFloat_FromDouble"(double) except NULL
    double float_value "PyFloat_AS_DOUBLE"(PyObject*) noexcept

    # Containers
    Py_ssize_t list_size "PyList_GET_SIZE"(PyObject*) noexcept
    PyObject* list_item "PyList_GET_ITEM"(PyObject*, Py_ssize_t) noexcept
    PyObject** list_items "PySequence_Fast_ITEMS"(list) noexcept
    void set_list_item "PyList_SET_ITEM"(PyObject* list, Py_ssize_t, PyObject*) noexcept
    PyObject* new_tuple "PyTuple_New"(Py_ssize_t) except NULL
    Py_ssize_t tuple_size "PyTuple_GET_SIZE"(PyObject*) noexcept
    PyObject* tuple_item "PyTuple_GET_ITEM"(PyObject*, Py_ssize_t) noexcept
    void set_item "PyTuple_SET_ITEM"(PyObject* tuple, Py_ssize_t, PyObject*) noexcept
    PyObject* next_of "PyIter_Next"(PyObject*) except? NULL
    int dict_set_item "PyDict_SetItem"(PyObject* mapping, PyObject* key, PyObject* value) except -1

    # Buffers, modules
    bint has_buffer "PyObject_CheckBuffer"(object) noexcept
    int get_buffer "PyObject_GetBuffer"(object, Py_buffer*, int flags) except -1
    void release_buffer "PyBuffer_Release"(Py_buffer*) noexcept
    PyObject* get_imported_module "PyImport_GetModule"(object name) except? NULL

    # Threads, signals, errors
    unsigned long PyThread_get_thread_ident() noexcept nogil
    unsigned long PyThread_start_new_thread(void (*)(void*) noexcept, void*) noexcept
    unsigned long PYTHREAD_INVALID_THREAD_ID
    void PyErr_Clear() noexcept
    void PyErr_WriteUnraisable(object)
    void set_raised "PyErr_SetObject"(object, object) noexcept

    # Calls
    Py_ssize_t vectorcall_count "PyVectorcall_NARGS"(size_t) noexcept
    object generic_getattr "PyObject_GenericGetAttr"(object, object)

    # The collector, tracemalloc
    void track "PyObject_GC_Track"(PyObject*) noexcept
    void untrack "PyObject_GC_UnTrack"(PyObject*) noexcept
    int PyTraceMalloc_Track(unsigned int domain, uintptr_t, size_t) noexcept
    int PyTraceMalloc_Untrack(unsigned int domain, uintptr_t) noexcept

cdef extern from "core/interpreter.h":
    # These may run Python code, or wait. A debug build asserts that neither a mutex is held nor a block being read.
    void decref "SM_DECREF"(PyObject*)
    Py_hash_t hash_object "SM_HASH"(PyObject*) except? -1
    int rich_compare_bool "SM_RICH_COMPARE_BOOL"(PyObject*, PyObject*, int) except -1
    PyThreadState* PyEval_SaveThread "SM_SAVE_THREAD"() noexcept
    void PyEval_RestoreThread "SM_RESTORE_THREAD"(PyThreadState*) noexcept
    int sm_dict_get(PyObject* mapping, PyObject* key, PyObject** value) except -1
    int PyErr_CheckSignals "SM_CHECK_SIGNALS"() except -1
    PyObject* vectorcall "SM_VECTORCALL"(PyObject*, PyObject** arguments, size_t count, PyObject* names) except NULL
