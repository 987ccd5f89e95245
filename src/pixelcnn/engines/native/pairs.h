// Pairs of 16-bit numbers, two in the word of a float: bfloat16, or whole numbers.
#pragma once

#include "codes.h"
#include "vectors.h"

namespace {

// Whether the processor multiplies pairs of whole numbers faster than as many floats.
#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
#define PIXELCNN_WHOLE_PAIRS
constexpr bool WHOLE_PAIRS = true;
#else
constexpr bool WHOLE_PAIRS = false;
#endif

constexpr bool in_whole_pairs(Arithmetic kind) { return WHOLE_PAIRS && (kind == INTEGER || kind == LONG); }
constexpr bool in_pairs(Arithmetic kind) { return kind == HALF || in_whole_pairs(kind); }

// What stands for an arithmetic on this processor.
constexpr Arithmetic here(Arithmetic kind) { return kind == LONG && !WHOLE_PAIRS ? DOUBLE : kind; }

inline int32_t pairs(int32_t count) { return (count + 1) / 2; }

inline Vector splat_bits(const float* p) {
    int32_t word;
    std::memcpy(&word, p, sizeof word);
    return floats(word - Integers{});
}

// Floats in 16 bits: rounded to bfloat16, to nearest and ties to even; or whole numbers as they are.
inline uint32_t as_half(float x) {
    uint32_t word;
    std::memcpy(&word, &x, sizeof word);
    return (word + 0x7fff + (word >> 16 & 1)) >> 16;
}
inline uint32_t as_whole(float x) { return x >= -32768.0f && x <= 32767.0f ? uint16_t(int16_t(x)) : 0; }
inline bool is_whole(float x) { return float(int16_t(as_whole(x))) == x; }

// As pairs, two in a word; an odd last one is paired with 0.
template <Arithmetic kind>
inline void pair(const float* from, int32_t count, float* to) {
    int32_t k = 0;
#if defined(__AVX512BF16__)
    for (; kind == HALF && k + 2 * LANES <= count; k += 2 * LANES) {
        const __m512bh all = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + k + LANES), _mm512_loadu_ps(from + k));
        std::memcpy(to + k / 2, &all, sizeof all);
    }
#endif
#if defined(__AVX512F__)
    for (; kind == INTEGER && k + LANES <= count; k += LANES) {
        const __m512i numbers = _mm512_maskz_cvttps_epi32(0xffff, _mm512_loadu_ps(from + k));
        const __m256i all = _mm512_maskz_cvtepi32_epi16(0xffff, numbers);
        std::memcpy(to + k / 2, &all, sizeof all);
    }
#endif
    constexpr auto number = kind == HALF ? as_half : as_whole;
    for (; k < count; k += 2) {
        const uint32_t word = number(from[k]) | (k + 1 < count ? number(from[k + 1]) << 16 : 0);
        std::memcpy(to + k / 2, &word, sizeof word);
    }
}

// The first of some whole numbers, in 16 bits each: none is larger than that.
inline void store_narrow(float* p, Vector v, int32_t count) {
#if defined(__AVX512F__)
    _mm512_mask_cvtepi32_storeu_epi16(p, first(count), _mm512_maskz_cvttps_epi32(0xffff, __m512(v)));
#else
    pair<INTEGER>(reinterpret_cast<const float*>(&v), count, p);
#endif
}

#if defined(PIXELCNN_WHOLE_PAIRS)
// sum + a * b of pairs, both products of them.
inline Integers accumulate(Integers sum, Integers a, Integers b) {
    return Integers(_mm512_dpwssd_epi32(__m512i(sum), __m512i(a), __m512i(b)));
}

// Each as a double.
inline Halves widen(Integers v) {
    const __m512i all = __m512i(v);
    const __m512d low = _mm512_maskz_cvtepi32_pd(0xff, _mm512_maskz_extracti64x4_epi64(0xf, all, 0));
    const __m512d high = _mm512_maskz_cvtepi32_pd(0xff, _mm512_maskz_extracti64x4_epi64(0xf, all, 1));
    return {Doubles(low), Doubles(high)};
}
#endif

// sum + a * b of pairs of bfloat16, both products of them.
inline Vector accumulate_halves(Vector sum, Vector a, Vector b) {
#if defined(__AVX512BF16__)
    return Vector(_mm512_dpbf16_ps(__m512(sum), __m512bh(a), __m512bh(b)));
#else
    const Integers high = Integers{} - 65536;  // 0xffff0000
    sum = sum + floats(bits(a) << 16) * floats(bits(b) << 16);
    return sum + floats(bits(a) & high) * floats(bits(b) & high);
#endif
}

}  // namespace
