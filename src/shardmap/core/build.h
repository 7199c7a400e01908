/* What follows from the CPython that this is built for. A C test defines the two macros itself. */
#ifndef SHARDMAP_BUILD_H
#define SHARDMAP_BUILD_H

#ifndef SM_READS_UNLOCKED

#include <Python.h>

/* Whether single keys are read without the mutex: with a GIL, and free-threaded from 3.14 on. */
#if !defined(Py_GIL_DISABLED) || PY_VERSION_HEX >= 0x030E0000
#define SM_READS_UNLOCKED 1
#else
#define SM_READS_UNLOCKED 0
#endif

/* Whether unlocked reads can meet writers, so that what is taken out must wait for them. */
#if SM_READS_UNLOCKED && defined(Py_GIL_DISABLED)
#define SM_READERS_MEET_WRITERS 1
#else
#define SM_READERS_MEET_WRITERS 0
#endif

#endif

#endif
