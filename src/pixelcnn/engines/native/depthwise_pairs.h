// Sums of features' own neighbours, which are whole numbers of 16 bits: two taps at a time.
#pragma once

#include "depthwise.h"
#include "weights.h"

#if defined(PIXELCNN_WHOLE_PAIRS)
namespace {

constexpr int PAIRS = 4;  // of taps, which are read together

// The sums of NARROW features, as interleaving leaves them: the lower and the upper half of each 8.
struct Interleaved {
    __m512i low, high;
};

inline __m512i load_narrow(const void* p) { return _mm512_loadu_si512(p); }

inline void accumulate(Interleaved& sum, const Interleaved& a, const Interleaved& b) {
    sum.low = _mm512_dpwssd_epi32(sum.low, a.low, b.low);
    sum.high = _mm512_dpwssd_epi32(sum.high, a.high, b.high);
}

// In their own order.
inline Integers half_of(const Interleaved& sum, int half) {
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), order = first | _mm512_set1_epi64(half * 4);
    return Integers(_mm512_permutex2var_epi64(sum.low, order, sum.high));
}

// Some pairs of taps of neighbouring columns: each input is loaded once. The last pair may begin a column early.
template <int COLUMNS_, int PAIRS_, bool ODD>
inline __attribute__((always_inline)) void slide_pairs(Interleaved (&sum)[COLUMNS_], const float* x, int64_t apart,
                                                       int64_t ahead, const int32_t* w) {
    constexpr auto begin = [](int q) { return 2 * q - (ODD && q == PAIRS_ - 1); };
    constexpr int count = COLUMNS_ + begin(PAIRS_ - 1);
    Interleaved weight[PAIRS_];
    for (int q = 0; q < PAIRS_; ++q) weight[q] = {load_narrow(w + q * NARROW), load_narrow(w + q * NARROW + LANES)};
    __m512i here = load_narrow(x);
#pragma GCC unroll 16
    for (int k = 0; k < count; ++k) {
        const __m512i next = load_narrow(x + (k + 1) * apart);
        __builtin_prefetch(x + k * apart + ahead);
        const Interleaved both{_mm512_unpacklo_epi16(here, next), _mm512_unpackhi_epi16(here, next)};
#pragma GCC unroll 4
        for (int q = 0; q < PAIRS_; ++q)
            if (k >= begin(q) && k - begin(q) < COLUMNS_) accumulate(sum[k - begin(q)], weight[q], both);
        here = next;
    }
}

// Neighbouring columns of one image and a block of NARROW outputs.
template <int COLUMNS_>
void span_pairs(const Product<int32_t>& p, const Instruction& i, int64_t row, int64_t rows, int32_t block) {
    const int64_t apart = rows * p.x_stride;
    Interleaved sum[COLUMNS_];
#pragma GCC unroll 8
    for (int c = 0; c < COLUMNS_; ++c) sum[c] = Interleaved{};
    const int32_t* w = p.weight + int64_t(block) * i.paired_depth * NARROW;
    for (const Run& run : i.runs) {
        const float* x = p.x[run.first] + row * p.x_stride + block * LANES;
        const int32_t all = pairs(run.taps);
        for (int32_t q = 0; q < all; q += PAIRS) {
            const int32_t some = std::min(PAIRS, all - q);
            const bool odd = some > 1 && q + some == all && run.taps % 2;
            const float* from = x + begin_of(run, q) * apart;
            switch (2 * some + odd) {
                case 9: slide_pairs<COLUMNS_, 4, true>(sum, from, apart, p.x_stride, w); break;
                case 8: slide_pairs<COLUMNS_, 4, false>(sum, from, apart, p.x_stride, w); break;
                case 7: slide_pairs<COLUMNS_, 3, true>(sum, from, apart, p.x_stride, w); break;
                case 6: slide_pairs<COLUMNS_, 3, false>(sum, from, apart, p.x_stride, w); break;
                case 5: slide_pairs<COLUMNS_, 2, true>(sum, from, apart, p.x_stride, w); break;
                case 4: slide_pairs<COLUMNS_, 2, false>(sum, from, apart, p.x_stride, w); break;
                default: slide_pairs<COLUMNS_, 1, false>(sum, from, apart, p.x_stride, w);
            }
            w += some * NARROW;
        }
    }
    Integers found[2][COLUMNS_];
#pragma GCC unroll 8
    for (int c = 0; c < COLUMNS_; ++c) {
        found[0][c] = half_of(sum[c], 0);
        found[1][c] = half_of(sum[c], 1);
    }
    for (int half = 0; half < 2; ++half) {
        const int32_t first = block * NARROW + half * LANES, count = std::min(LANES, p.count - first);
        if (count <= 0) return;
        finish(p, row, rows, COLUMNS_, first, count,
               [&](int c) { return p.begin(row + c * rows, first, count) + found[half][c]; });
        if (p.ends_at_once()) continue;
        for (int c = 0; c < COLUMNS_; ++c) end(p, row + c * rows, 1, first, count);
    }
}

void weigh_pairs(const Product<int32_t>& p, const Instruction& i, int64_t images, int64_t columns) {
    for (int64_t image = 0; image < images; ++image) {
        int64_t column = 0;
        const auto each = [&](auto span, int64_t some) {
            for (; column + some <= columns; column += some)
                for (int32_t block = 0; block * NARROW < p.count; ++block) span(column * images + image, block);
        };
        each([&](int64_t row, int32_t block) { span_pairs<8>(p, i, row, images, block); }, 8);
        each([&](int64_t row, int32_t block) { span_pairs<4>(p, i, row, images, block); }, 4);
        each([&](int64_t row, int32_t block) { span_pairs<1>(p, i, row, images, block); }, 1);
    }
}

}  // namespace
#endif
