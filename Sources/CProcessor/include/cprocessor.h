// What processors offer and Swift has no words for. Everything here has the same result on every processor.

#ifndef CPROCESSOR_H
#define CPROCESSOR_H

// Asks for the cache line at an address, which may be any: what is read there soon is then on its way.
static inline void cprocessor_prefetch(const void *address) { __builtin_prefetch(address); }

// Takes one block of 64 bytes into the five words of a SHA-1 state by the processor's own instructions. 0, with nothing
// done, where there are none.
int cprocessor_sha1_absorb(unsigned int state[5], const void *block);

#endif
