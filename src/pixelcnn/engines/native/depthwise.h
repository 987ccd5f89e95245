// Sums of features' own neighbours.
#pragma once

#include "gemm.h"

namespace {

// Some rows of a block of outputs, each output summed over the segments from its own input alone.
template <int ROWS_, bool CUT>
void strip(const Product& p, int64_t row, int32_t first) {
    const int32_t rest = p.count - first;
    const auto read = [rest](const float* at) { return CUT ? load_some(at, rest) : load(at); };
    Vector sum[ROWS_] = {};
    if (p.base)
        for (int r = 0; r < ROWS_; ++r) sum[r] = read(p.base + (row + r) * p.base_stride + first);
    const int64_t width = whole(p.count);
    for (int32_t s = 0; s < p.segment_count; ++s) {
        const Vector weight = load(p.weight + s * width + first);
        const float* x = p.x[s] + row * p.x_stride + first;
        for (int r = 0; r < ROWS_; ++r) sum[r] = accumulate<false>(sum[r], weight, read(x + r * p.x_stride));
    }
    const bool at_once = p.ends_at_once();
    if (at_once)
        end_at_once<ROWS_>(p, row, first, std::min(LANES, rest), [&](int r) -> Vector& { return sum[r]; });
    for (int r = 0; r < ROWS_; ++r) {
        float* out = p.out + (row + r) * p.out_stride + first;
        CUT ? store_some(out, sum[r], rest) : store(out, sum[r]);
    }
    if (!at_once) end(p, row, ROWS_, first, std::min(LANES, rest));
}

template <int ROWS_>
void strips(const Product& p, int64_t row) {
    int32_t first = 0;
    for (; first + LANES <= p.count; first += LANES) strip<ROWS_, false>(p, row, first);
    if (first < p.count) strip<ROWS_, true>(p, row, first);
}

// Some images of all columns, then the next ones: what one column reads is in the cache for the next. Returns
// the first image that is left.
template <int ROWS_>
int64_t band(const Product& p, int64_t image, int64_t images, int64_t columns) {
    for (; image + ROWS_ <= images; image += ROWS_)
        for (int64_t column = 0; column < columns; ++column) strips<ROWS_>(p, column * images + image);
    return image;
}

void weigh(const Product& p, int64_t images, int64_t columns) {
    const int64_t few = band<8>(p, 0, images, columns);
    band<1>(p, band<4>(p, few, images, columns), images, columns);
}

}  // namespace
