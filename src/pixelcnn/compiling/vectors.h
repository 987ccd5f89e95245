// Vectors of floats and doubles, and memory for them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"  // vectors wider than registers are passed within one file alone
#endif

namespace {

// Floats in a vector: what a register holds, since compilers keep wider vectors in memory.
#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX2__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif
typedef float Vector __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t Integers __attribute__((vector_size(LANES * sizeof(int32_t))));

struct Refused : std::runtime_error {
    using std::runtime_error::runtime_error;
};

void require(bool holds, const char* what) {
    if (!holds) throw Refused(what);
}

// Numbers in a plan are signed, and checked before they become indices.
template <typename T>
struct List : std::vector<T> {
    using std::vector<T>::vector;
    template <typename Index>
    decltype(auto) operator[](Index i) {
        return std::vector<T>::operator[](size_t(i));
    }
    template <typename Index>
    decltype(auto) operator[](Index i) const {
        return std::vector<T>::operator[](size_t(i));
    }
};

inline size_t bytes(int64_t floats) { return sizeof(float) * size_t(floats); }

inline Vector load(const float* p) {
    Vector v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

inline void store(float* p, Vector v) { std::memcpy(p, &v, sizeof v); }

inline Vector splat(float x) { return x - Vector{}; }

// Casts between vectors of one size keep all bits.
inline Integers bits(Vector v) { return Integers(v); }

inline Vector floats(Integers i) { return Vector(i); }

inline Vector choose(Integers mask, Vector yes, Vector no) {
    return floats((mask & bits(yes)) | (~mask & bits(no)));
}

// The first lanes alone, none of which lies outside what may be read or written; the others are zero.
#if defined(__AVX512F__)
inline __mmask16 first(int32_t count) { return __mmask16((1u << std::clamp(count, 0, LANES)) - 1); }

inline Vector load_some(const float* p, int32_t count) { return Vector(_mm512_maskz_loadu_ps(first(count), p)); }

inline void store_some(float* p, Vector v, int32_t count) { _mm512_mask_storeu_ps(p, first(count), __m512(v)); }
#elif defined(__AVX2__)
inline __m256i first(int32_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

inline Vector load_some(const float* p, int32_t count) { return Vector(_mm256_maskload_ps(p, first(count))); }

// In halves: a masked store takes some processors as long as a short product.
inline void store_some(float* p, Vector v, int32_t count) {
    if (count >= LANES) return store(p, v);
    const __m256 all = __m256(v);
    __m128 rest = _mm256_castps256_ps128(all);
    if (count & 4) {
        _mm_storeu_ps(p, rest);
        rest = _mm256_extractf128_ps(all, 1);
        p += 4;
    }
    if (count & 2) {
        _mm_storel_pi(reinterpret_cast<__m64*>(p), rest);
        rest = _mm_movehl_ps(rest, rest);
        p += 2;
    }
    if (count & 1) _mm_store_ss(p, rest);
}
#else
inline Vector load_some(const float* p, int32_t count) {
    float padded[LANES] = {};
    std::memcpy(padded, p, sizeof(float) * size_t(std::clamp(count, 0, LANES)));
    return load(padded);
}

inline void store_some(float* p, Vector v, int32_t count) {
    std::memcpy(p, &v, sizeof(float) * size_t(std::clamp(count, 0, LANES)));
}
#endif

// Numbers of a table, each from its own place: one by one, in half the time of the instruction that gathers them.
inline Vector gathered(const int16_t* table, Integers at) {
    typedef int16_t Halves16 __attribute__((vector_size(LANES * sizeof(int16_t))));
    int32_t places[LANES];
    std::memcpy(places, &at, sizeof places);
    Halves16 found{};
#pragma GCC unroll 16
    for (int lane = 0; lane < LANES; ++lane) found[lane] = table[places[lane]];
    return __builtin_convertvector(found, Vector);
}

// The sum of all lanes, in an order that depends on nothing.
inline float total(Vector v) {
    float parts[LANES];
    store(parts, v);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int k = 0; k < half; ++k) parts[k] += parts[k + half];
    return parts[0];
}

inline float highest(Vector v) {
    float parts[LANES];
    store(parts, v);
    return *std::max_element(parts, parts + LANES);
}

inline int64_t whole(int64_t floats) { return (floats + LANES - 1) / LANES * LANES; }  // vectors of them

constexpr int DOUBLES = LANES / 2;  // in a vector
typedef double Doubles __attribute__((vector_size(DOUBLES * sizeof(double))));
typedef int64_t Longs __attribute__((vector_size(DOUBLES * sizeof(int64_t))));

inline Longs longs(Doubles v) { return Longs(v); }

inline Doubles doubles(Longs i) { return Doubles(i); }

// A vector of floats as doubles: as many as two registers hold.
struct Halves {
    Doubles low, high;
};

#if defined(__AVX512F__)
// With masks of all lanes: what leaves lanes undefined makes compilers warn.
inline Halves widen(Vector v) {
    const __m512d all = __m512d(v);
    const __m512d low = _mm512_maskz_cvtps_pd(0xff, _mm256_castpd_ps(_mm512_maskz_extractf64x4_pd(0xf, all, 0)));
    const __m512d high = _mm512_maskz_cvtps_pd(0xff, _mm256_castpd_ps(_mm512_maskz_extractf64x4_pd(0xf, all, 1)));
    return {Doubles(low), Doubles(high)};
}

inline Vector narrow(const Halves& halves) {
    const __m256d first = _mm256_castps_pd(_mm512_maskz_cvtpd_ps(0xff, __m512d(halves.low)));
    const __m256d rest = _mm256_castps_pd(_mm512_maskz_cvtpd_ps(0xff, __m512d(halves.high)));
    const __m512d all = _mm512_maskz_insertf64x4(0xff, _mm512_setzero_pd(), first, 0);
    return Vector(_mm512_maskz_insertf64x4(0xff, all, rest, 1));
}
#elif defined(__AVX2__)
inline Halves widen(Vector v) {
    const __m256 all = __m256(v);
    const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(all));
    const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(all, 1));
    return {Doubles(low), Doubles(high)};
}

inline Vector narrow(const Halves& halves) {
    return Vector(_mm256_set_m128(_mm256_cvtpd_ps(__m256d(halves.high)), _mm256_cvtpd_ps(__m256d(halves.low))));
}
#else
inline Halves widen(Vector v) {
    Halves halves{};
    for (int k = 0; k < DOUBLES; ++k) {
        halves.low[k] = double(v[k]);
        halves.high[k] = double(v[k + DOUBLES]);
    }
    return halves;
}

inline Vector narrow(const Halves& halves) {
    Vector v{};
    for (int k = 0; k < DOUBLES; ++k) {
        v[k] = float(halves.low[k]);
        v[k + DOUBLES] = float(halves.high[k]);
    }
    return v;
}
#endif

inline Doubles load(const double* p) {
    Doubles v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

inline void store(double* p, Doubles v) { std::memcpy(p, &v, sizeof v); }

inline double total(Doubles v) {
    double sum = 0;
    for (int i = 0; i < DOUBLES; ++i) sum += v[i];
    return sum;
}

inline int32_t whole_doubles(int32_t doubles) { return (doubles + DOUBLES - 1) / DOUBLES * DOUBLES; }

// Zeros that begin at a cache line, so that vectors do not straddle two.
template <typename Number>
class Aligned {
  public:
    Aligned() = default;
    explicit Aligned(int64_t count)
        : data_(static_cast<Number*>(std::calloc(size_t(count) + LANES, sizeof(Number)))), size_(count) {
        if (!data_) throw std::bad_alloc();
        const size_t past = reinterpret_cast<uintptr_t>(data_.get()) / sizeof(Number) % LANES;
        skip_ = (LANES - past) % LANES;
    }
    Number* data() { return data_.get() + skip_; }
    const Number* data() const { return data_.get() + skip_; }
    int64_t size() const { return size_; }
    Number& operator[](int64_t i) { return data()[i]; }
    const Number& operator[](int64_t i) const { return data()[i]; }

  private:
    struct Free {
        void operator()(Number* data) const { std::free(data); }
    };
    std::unique_ptr<Number[], Free> data_;
    int64_t size_ = 0;
    size_t skip_ = 0;
};
using Floats = Aligned<float>;

}  // namespace
