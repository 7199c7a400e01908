/* Properties of extension types for which Cython has no syntax: slots, calling conventions of methods, names. */
#ifndef SHARDMAP_TYPES_H
#define SHARDMAP_TYPES_H

#include <Python.h>

static void sm_set_gc(PyTypeObject *t, traverseproc traverse, inquiry clear)
{
    t->tp_traverse = traverse;
    t->tp_clear = clear;
}
static void sm_set_traverse(PyTypeObject *t, traverseproc traverse) { t->tp_traverse = traverse; }
static void sm_set_clear(PyTypeObject *t, inquiry clear) { t->tp_clear = clear; }
/* Also changes the wrapper descriptor, from which subclasses inherit the slot. */
static void sm_set_init(PyTypeObject *t, initproc init)
{
    PyObject *wrapper = PyDict_GetItemString(t->tp_dict, "__init__");
    if (wrapper != NULL && Py_TYPE(wrapper) == &PyWrapperDescr_Type)
        ((PyWrapperDescrObject *)wrapper)->d_wrapped = (void *)init;
    t->tp_init = init;
    PyType_Modified(t);
}
/* Whether the __hash__ of the object's type is None. */
static inline int sm_is_unhashable(PyObject *o) { return Py_TYPE(o)->tp_hash == PyObject_HashNotImplemented; }
/* Whether iteration over the object uses the slot of `type`, that is, no subclass overrides __iter__. */
static inline int sm_iterates_as(PyObject *o, PyTypeObject *type) { return Py_TYPE(o)->tp_iter == type->tp_iter; }
/* Whether the object is of `type`, and no subclass overrides iteration or the buffer. */
static inline int sm_iterates_like(PyObject *o, PyTypeObject *type)
{
    PyTypeObject *t = Py_TYPE(o);
    return PyObject_TypeCheck(o, type) && t->tp_iter == type->tp_iter && t->tp_as_buffer != NULL &&
           type->tp_as_buffer != NULL && t->tp_as_buffer->bf_getbuffer == type->tp_as_buffer->bf_getbuffer;
}
static inline int sm_is_immutable_type(PyTypeObject *t) { return (t->tp_flags & Py_TPFLAGS_IMMUTABLETYPE) != 0; }
static void sm_no_sequence(PyTypeObject *t)
{
    t->tp_as_sequence->sq_item = NULL;
    PyType_Modified(t);
}
/* Calls of the type's objects use a function pointer in the object. Calls as methods need no bound-method object. */
static void sm_set_vectorcall(PyTypeObject *t, size_t offset)
{
    t->tp_vectorcall_offset = (Py_ssize_t)offset;
    t->tp_call = PyVectorcall_Call;
    t->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR;
    PyType_Modified(t);
}
/* The public name, from which __module__ comes. */
static void sm_set_name(PyTypeObject *t, const char *name)
{
    t->tp_name = name;
    PyType_Modified(t);
}

static int sm_take_place(PyTypeObject *type, PyMethodDef *own, const char *name, void *function)
{
    PyObject *before = PyDict_GetItemString(type->tp_dict, name), *descriptor;
    int failed;
    *own = *((PyMethodDescrObject *)before)->d_method; /* name and doc */
    own->ml_meth = (PyCFunction)function;
    own->ml_flags = METH_FASTCALL;
    descriptor = PyDescr_NewMethod(type, own);
    if (descriptor == NULL)
        return -1;
    failed = PyDict_SetItemString(type->tp_dict, name, descriptor);
    Py_DECREF(descriptor);
    PyType_Modified(type);
    return failed;
}
static int sm_own_method(PyObject *type, PyMethodDef *own)
{
    PyObject *descriptor = PyDescr_NewMethod((PyTypeObject *)type, own);
    int failed;
    if (descriptor == NULL)
        return -1;
    failed = PyObject_SetAttrString(type, own->ml_name, descriptor);
    Py_DECREF(descriptor);
    return failed;
}
/* What a subclass inherits from `base` as a descriptor of its own, or what stands for it; NULL without an exception:
 * nothing that it should have as its own. */
static PyObject *sm_own_descriptor(PyTypeObject *type, PyObject *inherited)
{
    PyTypeObject *kind = Py_TYPE(inherited);
    if (kind == &PyMethodDescr_Type)
        return PyDescr_NewMethod(type, ((PyMethodDescrObject *)inherited)->d_method);
    if (kind == &PyWrapperDescr_Type)
        return PyDescr_NewWrapper(type, ((PyWrapperDescrObject *)inherited)->d_base,
                                  ((PyWrapperDescrObject *)inherited)->d_wrapped);
    if (kind == &PyGetSetDescr_Type)
        return PyDescr_NewGetSet(type, ((PyGetSetDescrObject *)inherited)->d_getset);
    if (kind == &PyClassMethod_Type || kind == &PyCFunction_Type) /* __class_getitem__, __new__ */
        return Py_NewRef(inherited);
    return NULL;
}
/* Past type.__setattr__: the slots are the base's already, and stay what they are. */
static int sm_own_methods(PyObject *cls)
{
    PyTypeObject *type = (PyTypeObject *)cls;
    PyObject *name, *inherited, *own;
    Py_ssize_t position = 0;
    int failed = 0;
    while (!failed && PyDict_Next(type->tp_base->tp_dict, &position, &name, &inherited)) {
        if (PyDict_Contains(type->tp_dict, name))
            continue;
        own = sm_own_descriptor(type, inherited);
        if (own == NULL) {
            failed = PyErr_Occurred() ? -1 : 0;
            continue;
        }
        failed = PyDict_SetItem(type->tp_dict, name, own);
        Py_DECREF(own);
    }
    PyType_Modified(type);
    return failed;
}

#endif
