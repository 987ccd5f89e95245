// Elementary functions of vectors. What is not a number stays so.
#pragma once

#include <cmath>

#include "vectors.h"

namespace {

// exp by range reduction to |r| <= ln(2)/2 and a polynomial of degree 6; relative error below 2e-7.
inline Vector exponential(Vector x) {
    const Vector low = splat(-87.0f), high = splat(88.0f);
    x = choose(x < low, low, x);
    x = choose(x > high, high, x);
    const Vector magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    const Vector shifted = x * splat(1.44269504f) + magic;
    const Vector n = shifted - magic;
    Vector r = x - n * splat(0.693359375f);
    r = r + n * splat(2.12194440e-4f);
    Vector p = splat(1.3981999507e-3f) * r + splat(8.3334519073e-3f);
    p = p * r + splat(4.1665795894e-2f);
    p = p * r + splat(1.6666665459e-1f);
    p = p * r + splat(5.0000001201e-1f);
    p = p * r * r + r + splat(1.0f);
    const Integers power = (bits(shifted) - bits(magic) + 127) << 23;
    return p * floats(power);
}

inline Vector sigmoid(Vector x) { return splat(1.0f) / (splat(1.0f) + exponential(-x)); }

inline Vector hyperbolic(Vector x) {
    // 1 - 2 / (exp(2x) + 1) loses digits near zero, where x - x^3/3 + 2x^5/15 has them.
    const Vector far = splat(1.0f) - splat(2.0f) / (exponential(x + x) + splat(1.0f));
    const Vector s = x * x;
    const Vector near = x + x * s * (splat(-1.0f / 3) + s * splat(2.0f / 15));
    return choose((x < splat(0.1f)) & (x > splat(-0.1f)), near, far);
}

inline Vector within(Vector x, Vector low, Vector high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

inline Vector magnitude(Vector x) { return floats(bits(x) & INT32_MAX); }

// log(1 + x) for x in [0, 1], as 2 artanh(x / (2 + x)); relative error below 2e-7.
inline Vector log_of_one_and(Vector x) {
    const Vector s = x / (splat(2.0f) + x), q = s * s;
    Vector p = splat(2.0f / 15);
    for (const float c : {2.0f / 13, 2.0f / 11, 2.0f / 9, 2.0f / 7, 2.0f / 5, 2.0f / 3, 2.0f}) p = p * q + splat(c);
    return p * s;
}

// A quotient of polynomials on [-4, 4], beyond which a float is 1 or -1; absolute error below 2e-7.
inline Vector error_function(Vector x) {
    x = within(x, splat(-4.0f), splat(4.0f));
    const Vector q = x * x;
    Vector p = splat(-2.72614225801306e-10f);
    for (const float c : {2.77068142495902e-08f, -2.10102402082508e-06f, -5.69250639462346e-05f,
                          -7.34990630326855e-04f, -2.95459980854025e-03f, -1.60960333262415e-02f})
        p = p * q + splat(c);
    Vector r = splat(-1.45660718464996e-05f);
    for (const float c : {-2.13374055278905e-04f, -1.68282697438203e-03f, -7.37332916720468e-03f,
                          -1.42647390514189e-02f})
        r = r * q + splat(c);
    return x * p / r;
}

// The same in double precision for x in [-inf, 0], by a Taylor polynomial of degree 13; relative error below 1e-15.
inline Doubles exponential(Doubles x) {
    const Doubles low = -708.0 - Doubles{};
    const Longs tiny = x < low;  // nothing, instead of a number that is not normal
    x = x < low ? low : x;
    const Doubles magic = 6755399441055744.0 - Doubles{};  // 1.5 * 2^52: adding it rounds to an integer
    const Doubles shifted = x * 1.4426950408889634 + magic;
    const Doubles n = shifted - magic;
    const Doubles r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
    Doubles p = 1.0 / 6227020800 - Doubles{};
    for (const double c : {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
                           1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0})
        p = p * r + c;
    const Longs power = (longs(shifted) - longs(magic) + 1023) << 52;
    return doubles(longs(p * doubles(power)) & ~tiny);
}

struct Sigmoids {
    Doubles below, above;  // sigmoid(x) and sigmoid(-x), each as accurate as the other
};

inline Sigmoids sigmoids(Doubles x) {
    const Doubles e = exponential(doubles(longs(x) | INT64_MIN));  // exp(-|x|)
    const Doubles large = 1.0 / (1.0 + e), small = e * large;
    const Longs positive = x > Doubles{};
    const Longs swap = (longs(large) ^ longs(small)) & positive;
    return {doubles(longs(small) ^ swap), doubles(longs(large) ^ swap)};
}

// To the nearest whole number, of two the even one: exact where the product has no more than 52 bits. No more than
// the limit either side of zero.
inline Vector rounded(const Halves& a, const Halves& factor, Vector limit) {
    const Doubles magic = 6755399441055744.0 - Doubles{};  // 1.5 * 2^52: adding it rounds to an integer
    const Halves product{(a.low * factor.low + magic) - magic, (a.high * factor.high + magic) - magic};
    return within(narrow(product), -limit, limit);
}

// The same of a product of floats.
inline Vector requantised(Vector a, Vector factor, Vector limit) {
#if defined(__AVX512F__)
    // Cut off after 24 bits, the last of which is set if any that was cut off is: so what is nearest stays so.
    constexpr int cut = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
    const __m512 x = __m512(a), y = __m512(factor);
    __m512 product = _mm512_maskz_mul_round_ps(0xffff, x, y, cut);
    const __mmask16 rest = _mm512_cmp_ps_mask(_mm512_fmsub_ps(x, y, product), _mm512_setzero_ps(), _CMP_NEQ_UQ);
    const __m512i odd = _mm512_castps_si512(product);
    product = _mm512_castsi512_ps(_mm512_mask_or_epi32(odd, rest, odd, _mm512_set1_epi32(1)));
    product = _mm512_maskz_roundscale_ps(0xffff, product, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    return within(Vector(product), -limit, limit);
#else
    return rounded(widen(a), widen(factor), limit);
#endif
}

inline Halves multiplied(Vector a, Vector b) {
    const Halves x = widen(a), y = widen(b);
    return {x.low * y.low, x.high * y.high};
}

}  // namespace
