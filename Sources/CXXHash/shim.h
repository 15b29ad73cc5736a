// libxxhash without XXH_INLINE_ALL: with it the functions are renamed by macro and cannot be imported.
//
// The library's plain XXH3 is compiled for the least processor of its kind. Where it also brings the variants that
// choose by the processor they run on, these are taken: an entry of 256 bytes is hashed in a fourth of the time, a
// batch in a tenth. The values are the same.
#include <xxhash.h>

#if defined(__x86_64__)
extern __attribute__((weak)) XXH64_hash_t XXH3_64bits_withSeed_dispatch(const void *, size_t, XXH64_hash_t);
extern __attribute__((weak)) XXH128_hash_t XXH3_128bits_withSeed_dispatch(const void *, size_t, XXH64_hash_t);
#endif

static inline XXH64_hash_t cxxhash_xxh3(const void *bytes, size_t count, XXH64_hash_t seed)
{
#if defined(__x86_64__)
    if (XXH3_64bits_withSeed_dispatch)
        return XXH3_64bits_withSeed_dispatch(bytes, count, seed);
#endif
    return XXH3_64bits_withSeed(bytes, count, seed);
}

static inline XXH128_hash_t cxxhash_xxh3_wide(const void *bytes, size_t count, XXH64_hash_t seed)
{
#if defined(__x86_64__)
    if (XXH3_128bits_withSeed_dispatch)
        return XXH3_128bits_withSeed_dispatch(bytes, count, seed);
#endif
    return XXH3_128bits_withSeed(bytes, count, seed);
}
