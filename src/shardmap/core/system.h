/* What is asked of the operating system: mutexes, conditions, naps, thread ends, forks, aligned memory.
 * The two files have the same functions; another system is another such file. */
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
