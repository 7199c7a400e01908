/* What follows from the CPython that this is built for. A C test defines the two macros itself. */
#ifndef SHARDMAP_BUILD_H
#define SHARDMAP_BUILD_H

#ifndef SM_READERS_MEET_WRITERS

#include <Python.h>

/* Whether reads, which take no mutex, can meet writers, so that what is taken out must wait for them. */
#ifdef Py_GIL_DISABLED
#define SM_READERS_MEET_WRITERS 1
#else
#define SM_READERS_MEET_WRITERS 0
#endif

#endif

#endif
