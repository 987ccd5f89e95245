// What products sum in: floats, or doubles or whole numbers of 32 bits where whole numbers outgrow floats.
#pragma once

#include <type_traits>

#include "pairs.h"

namespace {

// Sums of as many outputs as a vector of floats has.
template <typename Number>
using Block = std::conditional_t<std::is_same_v<Number, double>, Halves,
                                 std::conditional_t<std::is_same_v<Number, float>, Vector, Integers>>;

// What pairs of whole numbers are summed in.
using Whole = std::conditional_t<WHOLE_PAIRS, int32_t, float>;

inline Vector load_block(const float* p) { return load(p); }
inline Integers load_block(const int32_t* p) { return bits(load(reinterpret_cast<const float*>(p))); }
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
inline Integers load_block(const int32_t* p, int32_t count) {
    return bits(load_block(reinterpret_cast<const float*>(p), count));
}
inline void store_block(float* p, Vector v, int32_t count) { count < LANES ? store_some(p, v, count) : store(p, v); }
inline void store_block(int32_t* p, Integers v, int32_t count) {
    store_block(reinterpret_cast<float*>(p), floats(v), count);
}
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
    else if constexpr (std::is_same_v<Number, float>)
        return v;
    else
        return __builtin_convertvector(v, Integers);
}
inline Vector as_floats(Vector v) { return v; }
inline Vector as_floats(Integers v) { return __builtin_convertvector(v, Vector); }
inline Vector as_floats(const Halves& v) { return narrow(v); }

// Sums times a factor each, as whole numbers; long ones may be more than a float holds.
inline Vector requantised(Vector sum, Vector factor, Vector limit, bool) { return requantised(sum, factor, limit); }
inline Vector requantised(const Halves& sum, Vector factor, Vector limit, bool) {
    return rounded(sum, widen(factor), limit);
}
#if defined(PIXELCNN_WHOLE_PAIRS)
inline Vector requantised(Integers sum, Vector factor, Vector limit, bool is_long) {
    return is_long ? rounded(widen(sum), widen(factor), limit) : requantised(as_floats(sum), factor, limit);
}
#endif

// An input for all outputs, or a pair of them.
template <bool PAIR, typename Number>
inline Block<Number> splat_block(const float* p) {
    if constexpr (std::is_same_v<Number, double>) {
        const Doubles all = double(*p) - Doubles{};
        return {all, all};
    } else if constexpr (std::is_same_v<Number, float>) {
        return PAIR ? splat_bits(p) : splat(*p);
    } else {
        return bits(splat_bits(p));
    }
}

// sum + a * b.
inline Halves accumulate(const Halves& sum, const Halves& a, const Halves& b) {
    return {sum.low + a.low * b.low, sum.high + a.high * b.high};
}
inline Vector accumulate(Vector sum, Vector a, Vector b) { return sum + a * b; }

}  // namespace
