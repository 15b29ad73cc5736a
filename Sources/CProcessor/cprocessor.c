#include "cprocessor.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

static int detect_sha1(void)
{
    unsigned int a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_SSSE3))
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

// The 80 rounds come in 20 groups of four. A group's four words of the message schedule lie in one register; those of
// later groups are made of the four groups before.
#define GROUP(number, constant)                                                                                        \
    do {                                                                                                               \
        __m128i before = abcd;                                                                                         \
        e = number == 0 ? _mm_add_epi32(e, schedule[0]) : _mm_sha1nexte_epu32(e, schedule[(number) % 4]);              \
        abcd = _mm_sha1rnds4_epu32(abcd, e, constant);                                                                 \
        e = before;                                                                                                    \
        if ((number) < 16)                                                                                             \
            schedule[(number) % 4] = _mm_sha1msg2_epu32(                                                               \
                _mm_xor_si128(                                                                                         \
                    _mm_sha1msg1_epu32(schedule[(number) % 4], schedule[((number) + 1) % 4]),                          \
                    schedule[((number) + 2) % 4]),                                                                     \
                schedule[((number) + 3) % 4]);                                                                         \
    } while (0)

#define FIVE_GROUPS(first, constant)                                                                                   \
    GROUP(first, constant);                                                                                            \
    GROUP(first + 1, constant);                                                                                        \
    GROUP(first + 2, constant);                                                                                        \
    GROUP(first + 3, constant);                                                                                        \
    GROUP(first + 4, constant)

__attribute__((target("sha,sse4.1,ssse3"))) static void absorb(unsigned int state[5], const void *block)
{
    const __m128i to_words = _mm_set_epi64x(0x0001020304050607ULL, 0x08090a0b0c0d0e0fULL);
    const __m128i first_abcd = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0x1B);
    const __m128i first_e = _mm_set_epi32((int)state[4], 0, 0, 0);
    __m128i abcd = first_abcd, e = first_e, schedule[4];
    for (int i = 0; i < 4; i++)
        schedule[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)block + i), to_words);
    FIVE_GROUPS(0, 0);
    FIVE_GROUPS(5, 1);
    FIVE_GROUPS(10, 2);
    FIVE_GROUPS(15, 3);
    e = _mm_sha1nexte_epu32(e, first_e);
    abcd = _mm_add_epi32(abcd, first_abcd);
    _mm_storeu_si128((__m128i *)state, _mm_shuffle_epi32(abcd, 0x1B));
    state[4] = (unsigned int)_mm_extract_epi32(e, 3);
}

int cprocessor_sha1_absorb(unsigned int state[5], const void *block)
{
    // Found out again by whoever comes at the same time, with the same result.
    static int known = -1;
    int has = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (has < 0) {
        has = detect_sha1();
        __atomic_store_n(&known, has, __ATOMIC_RELAXED);
    }
    if (has)
        absorb(state, block);
    return has;
}

#else

int cprocessor_sha1_absorb(unsigned int state[5], const void *block)
{
    (void)state;
    (void)block;
    return 0;
}

#endif
