// Counts the memory that a program asks for: linking this target replaces malloc and its kin by ones that count and
// pass on to the C library. For benchmarks only.

#ifndef CALLOCATIONS_H
#define CALLOCATIONS_H

#include <stdint.h>

// Calls of malloc, calloc, realloc and the aligned forms by all threads so far.
uint64_t callocations_count(void);

#endif
