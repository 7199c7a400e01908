/* The functions of the operating system that the core uses: mutexes, conditions, naps, thread ends, forks, aligned
 * memory. Both files have the same functions. To support another system, add such a file. */
#ifndef SHARDMAP_SYSTEM_H
#define SHARDMAP_SYSTEM_H

#if defined(_WIN32)
#include "system_win32.h"
#else
#include "system_posix.h"
#endif

#ifdef SHARDMAP_EXPLORE
#include "explored_system.h"
#endif

#endif
