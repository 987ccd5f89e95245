// Pairs of bfloat16, two in the word of a float.
#pragma once

#include "vectors.h"

namespace {

inline Vector splat_bits(const float* p) {
    int32_t word;
    std::memcpy(&word, p, sizeof word);
    const Integers all = word - Integers{};
    Vector v;
    std::memcpy(&v, &all, sizeof v);
    return v;
}

// Rounds floats to bfloat16, to nearest and ties to even, two in a word; an odd last one is paired with 0.
inline void halve(const float* from, int32_t count, float* to) {
    int32_t k = 0;
#if defined(__AVX512BF16__)
    for (; k + 2 * LANES <= count; k += 2 * LANES) {
        const __m512bh pairs = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + k + LANES), _mm512_loadu_ps(from + k));
        std::memcpy(to + k / 2, &pairs, sizeof pairs);
    }
#endif
    const auto round = [](float x) {
        uint32_t word;
        std::memcpy(&word, &x, sizeof word);
        return (word + 0x7fff + (word >> 16 & 1)) >> 16;
    };
    for (; k < count; k += 2) {
        const uint32_t word = round(from[k]) | (k + 1 < count ? round(from[k + 1]) << 16 : 0);
        std::memcpy(to + k / 2, &word, sizeof word);
    }
}

inline int32_t pairs(int32_t count) { return (count + 1) / 2; }

}  // namespace
