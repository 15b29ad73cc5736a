// Replaces the allocation functions of the program that links this, counting each call that may bring new memory. The
// C library's own names for them, exported for this purpose, do the work; freeing is left alone.

#include "callocations.h"

#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static uint64_t calls;

static void count_call(void) {
    __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
}

uint64_t callocations_count(void) {
    return __atomic_load_n(&calls, __ATOMIC_RELAXED);
}

void *malloc(size_t size) {
    count_call();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    count_call();
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size) {
    count_call();
    return __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count_call();
    return __libc_memalign(alignment, size);
}

void *memalign(size_t alignment, size_t size) {
    count_call();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) {
        return EINVAL;
    }
    count_call();
    *block = __libc_memalign(alignment, size);
    return *block == NULL ? ENOMEM : 0;
}
