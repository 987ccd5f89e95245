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
    finish<ROWS_>(p, row, first, count, [&](int r) -> const Block<Number>& { return sum[r]; });
    if (!p.ends_at_once()) end(p, row, ROWS_, first, count);
}

template <int ROWS_, typename Number>
void strips(const Product<Number>& p, int64_t row) {
    int32_t first = 0;
    for (; first + LANES <= p.count; first += LANES) strip<ROWS_, false>(p, row, first);
    if (first < p.count) strip<ROWS_, true>(p, row, first);
}

// Some images of all columns, then the next ones: what one column reads is in the cache for the next. Returns
// the first image that is left.
template <int ROWS_, typename Number>
int64_t band(const Product<Number>& p, int64_t image, int64_t images, int64_t columns) {
    for (; image + ROWS_ <= images; image += ROWS_)
        for (int64_t column = 0; column < columns; ++column) strips<ROWS_>(p, column * images + image);
    return image;
}

template <typename Number>
void weigh(const Product<Number>& p, int64_t images, int64_t columns) {
    const int64_t few = sizeof(Number) == sizeof(float) ? band<8>(p, 0, images, columns) : 0;
    band<1>(p, band<4>(p, few, images, columns), images, columns);
}

}  // namespace
