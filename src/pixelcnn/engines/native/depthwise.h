// Sums of features' own neighbours.
#pragma once

#include "gemm.h"

namespace {

// Some rows of a block of outputs, each output summed over the segments from its own input alone.
template <int ROWS_, bool CUT, typename Number>
void strip(const Product<Number>& p, int64_t row, int32_t first) {
    const int32_t count = CUT ? p.count - first : LANES;
    Block<Number> sum[ROWS_];
    for (int r = 0; r < ROWS_; ++r) sum[r] = p.begin(row + r, first, count);
    const int64_t width = whole(p.count);
    for (int32_t s = 0; s < p.segment_count; ++s) {
        const Block<Number> weight = load_block(p.weight + s * width + first);
        const float* x = p.x[s] + row * p.x_stride + first;
        for (int r = 0; r < ROWS_; ++r)
            sum[r] = accumulate(sum[r], weight, as_block<Number>(load_block(x + r * p.x_stride, count)));
    }
    finish(p, row, 1, ROWS_, first, count, [&](int r) -> const Block<Number>& { return sum[r]; });
    if (!p.ends_at_once()) end(p, row, ROWS_, first, count);
}

template <int ROWS_, typename Number>
void strips(const Product<Number>& p, int64_t row) {
    int32_t first = 0;
    for (; first + LANES <= p.count; first += LANES) strip<ROWS_, false>(p, row, first);
    if (first < p.count) strip<ROWS_, true>(p, row, first);
}

// Returns the first image that is left.
template <int ROWS_, typename Number>
int64_t band(const Product<Number>& p, int64_t image, int64_t images) {
    for (; image + ROWS_ <= images; image += ROWS_) strips<ROWS_>(p, image);
    return image;
}

constexpr int TAPS = 4;  // neighbours from left to right that are read together

// Taps of a block of neighbouring columns. Each input is loaded once, for all columns and taps that read it: from one
// column to the next lie all images, so inputs of several columns crowd one set of the cache.
template <int COLUMNS_, int TAPS_, typename Number>
inline __attribute__((always_inline)) void slide(Block<Number> (&sum)[COLUMNS_], const float* x, int64_t apart, int64_t ahead,
                                                 const Number* w, int64_t width, int32_t count) {
    Block<Number> weight[TAPS_];
    for (int t = 0; t < TAPS_; ++t) weight[t] = load_block(w + t * width);
#pragma GCC unroll 16
    for (int k = 0; k < COLUMNS_ + TAPS_ - 1; ++k) {
        const Block<Number> input = as_block<Number>(load_block(x + k * apart, count));
        __builtin_prefetch(x + k * apart + ahead);  // the next image's, in another page
#pragma GCC unroll 8
        for (int t = 0; t < TAPS_; ++t)
            if (k >= t && k - t < COLUMNS_) sum[k - t] = accumulate(sum[k - t], weight[t], input);
    }
}

// Neighbouring columns of one image and a block of outputs, from a row on; from one column to the next are so many.
template <int COLUMNS_, bool CUT, typename Number>
void span(const Product<Number>& p, int64_t row, int64_t rows, int32_t first) {
    const int32_t count = CUT ? p.count - first : LANES;
    const int64_t width = whole(p.count), apart = rows * p.x_stride;
    Block<Number> sum[COLUMNS_];
    for (int c = 0; c < COLUMNS_; ++c) sum[c] = p.begin(row + c * rows, first, count);
    for (int32_t s = 0, taps; s < p.segment_count; s += taps) {
        for (taps = 1; taps < TAPS && s + taps < p.segment_count; ++taps)
            if (p.x[s + taps] - p.x[s] != taps * apart) break;
        const float* x = p.x[s] + row * p.x_stride + first;
        const Number* w = p.weight + s * width + first;
        switch (taps) {
            case 4: slide<COLUMNS_, 4>(sum, x, apart, p.x_stride, w, width, count); break;
            case 3: slide<COLUMNS_, 3>(sum, x, apart, p.x_stride, w, width, count); break;
            case 2: slide<COLUMNS_, 2>(sum, x, apart, p.x_stride, w, width, count); break;
            default: slide<COLUMNS_, 1>(sum, x, apart, p.x_stride, w, width, count);
        }
    }
    finish(p, row, rows, COLUMNS_, first, count, [&](int c) -> const Block<Number>& { return sum[c]; });
    if (p.ends_at_once()) return;
    for (int c = 0; c < COLUMNS_; ++c) end(p, row + c * rows, 1, first, count);
}

// All columns of one image and a block of outputs.
template <bool CUT, typename Number>
void line(const Product<Number>& p, int64_t image, int64_t images, int64_t columns, int32_t first) {
    constexpr int widest = sizeof(Number) == sizeof(float) ? 8 : 4;
    int64_t column = 0;
    for (; column + widest <= columns; column += widest)
        span<widest, CUT>(p, column * images + image, images, first);
    if (column + 4 <= columns) {
        span<4, CUT>(p, column * images + image, images, first);
        column += 4;
    }
    for (; column < columns; ++column) span<1, CUT>(p, column * images + image, images, first);
}

template <typename Number>
void weigh(const Product<Number>& p, int64_t images, int64_t columns) {
    if (columns == 1) {
        const int64_t few = sizeof(Number) == sizeof(float) ? band<8>(p, 0, images) : 0;
        band<1>(p, band<4>(p, few, images), images);
        return;
    }
    for (int32_t first = 0; first < p.count; first += LANES)
        for (int64_t image = 0; image < images; ++image)
            first + LANES <= p.count ? line<false>(p, image, images, columns, first)
                                     : line<true>(p, image, images, columns, first);
}

}  // namespace
