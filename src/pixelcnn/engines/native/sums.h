// What products sum in: floats, or doubles where whole numbers outgrow floats.
#pragma once

#include <type_traits>

#include "half.h"

namespace {

// Sums of as many outputs as a vector of floats has.
template <typename Number>
using Block = std::conditional_t<std::is_same_v<Number, double>, Halves, Vector>;

inline Vector load_block(const float* p) { return load(p); }
inline Halves load_block(const double* p) { return {load(p), load(p + DOUBLES)}; }
inline void store_block(float* p, Vector v) { store(p, v); }
inline void store_block(double* p, const Halves& v) {
    store(p, v.low);
    store(p + DOUBLES, v.high);
}

// The first of them alone, unless that is all.
inline Vector load_block(const float* p, int32_t count) { return count < LANES ? load_some(p, count) : load(p); }
inline Halves load_block(const double* p, int32_t count) {
    if (count >= LANES) return load_block(p);
    double padded[LANES] = {};
    std::memcpy(padded, p, sizeof(double) * size_t(std::max(count, 0)));
    return load_block(padded);
}
inline void store_block(float* p, Vector v, int32_t count) { count < LANES ? store_some(p, v, count) : store(p, v); }
inline void store_block(double* p, const Halves& v, int32_t count) {
    if (count >= LANES) return store_block(p, v);
    double all[LANES];
    store_block(all, v);
    std::memcpy(p, all, sizeof(double) * size_t(std::max(count, 0)));
}

// From floats to sums, and back.
template <typename Number>
inline Block<Number> as_block(Vector v) {
    if constexpr (std::is_same_v<Number, double>)
        return widen(v);
    else
        return v;
}
inline Vector as_floats(Vector v) { return v; }
inline Vector as_floats(const Halves& v) { return narrow(v); }
inline Halves as_halves(Vector v) { return widen(v); }
inline const Halves& as_halves(const Halves& v) { return v; }

// An input for all outputs; with HALF a pair of bfloat16.
template <bool HALF, typename Number>
inline Block<Number> splat_block(const float* p) {
    if constexpr (std::is_same_v<Number, double>) {
        const Doubles all = double(*p) - Doubles{};
        return {all, all};
    } else {
        return HALF ? splat_bits(p) : splat(*p);
    }
}

// sum + a * b.
inline Halves accumulate(const Halves& sum, const Halves& a, const Halves& b) {
    return {sum.low + a.low * b.low, sum.high + a.high * b.high};
}
inline Vector accumulate(Vector sum, Vector a, Vector b) { return sum + a * b; }

// The same of pairs of bfloat16.
inline Vector accumulate_pairs(Vector sum, Vector a, Vector b) {
#if defined(__AVX512BF16__)
    __m512 total;
    __m512bh x, y;
    std::memcpy(&total, &sum, sizeof total);
    std::memcpy(&x, &a, sizeof x);
    std::memcpy(&y, &b, sizeof y);
    total = _mm512_dpbf16_ps(total, x, y);
    std::memcpy(&sum, &total, sizeof sum);
    return sum;
#else
    const Integers high = Integers{} - 65536;  // 0xffff0000
    sum = sum + floats(bits(a) << 16) * floats(bits(b) << 16);
    return sum + floats(bits(a) & high) * floats(bits(b) & high);
#endif
}

}  // namespace
