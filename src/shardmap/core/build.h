/* Constants that depend on the CPython for which this is built. A C test defines the two macros itself. */
#ifndef SHARDMAP_BUILD_H
#define SHARDMAP_BUILD_H

#ifndef SM_READERS_MEET_WRITERS

#include <Python.h>

/* Whether reads, which take no mutex, can run beside writers, so that freeing must wait for readers. */
#ifdef Py_GIL_DISABLED
#define SM_READERS_MEET_WRITERS 1
#else
#define SM_READERS_MEET_WRITERS 0
#endif

#endif

#endif
