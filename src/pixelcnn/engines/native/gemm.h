// Matrix products: rows of inputs, which lie where values are stored, times packed weights.
#pragma once

#include "half.h"
#include "instruction.h"

namespace {

// Vectors that a tile sums in, as many as the registers hold; the most blocks of them side by side.
#if defined(__AVX512F__)
constexpr int SUMS = 24, BLOCKS = 4, WIDE = 8;
#else
constexpr int SUMS = 12, BLOCKS = 3, WIDE = 8;
#endif

struct Product {
    const float* const* x;  // of each segment
    int64_t x_stride, base_stride, out_stride, residual_stride;
    const float *base, *weight, *residual;  // residual: added after the function, or null
    float* out;
    const Segment* segments;
    int32_t segment_count, count, depth;
    bool half;  // x and weight hold pairs of bfloat16 instead of floats
    const Function* function;

    // Whether sums end in registers; others are read again.
    bool ends_at_once() const {
        return function->op == COPY || function->op == RELU || function->op == REQUANTISE;
    }
};

// sum + a * b, of floats or of pairs of bfloat16.
template <bool HALF>
inline Vector accumulate(Vector sum, Vector a, Vector b) {
    if constexpr (!HALF) return sum + a * b;
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

// Some sums, which are in the cache: the function of them, and what is added.
void end(const Product& p, int64_t row, int64_t rows, int32_t first, int32_t count) {
    float* out = p.out + row * p.out_stride + first;
    const float* taken = p.function->per_feature ? p.function->per_feature + first : nullptr;
    compute(p.function->op, {out, out, taken, p.out_stride, p.out_stride, 0, rows, count, p.function->constants});
    if (p.residual) {
        const float* residual = p.residual + row * p.residual_stride + first;
        each<ADD>({out, residual, out, p.out_stride, p.residual_stride, p.out_stride, rows, count});
    }
}

// The same of a block of outputs while they are in registers: of each row, the first count of them.
template <int ROWS_, typename Sum>
inline void end_at_once(const Product& p, int64_t row, int32_t first, int32_t count, const Sum& sum) {
    const auto read = [count](const float* at) { return count < LANES ? load_some(at, count) : load(at); };
    if (p.function->op == RELU)
        for (int r = 0; r < ROWS_; ++r) sum(r) = apply<RELU>(sum(r), sum(r), Constants{});
    if (p.function->op == REQUANTISE) {
        const Halves factor = widen(read(p.function->per_feature + first));
        for (int r = 0; r < ROWS_; ++r) sum(r) = rounded(widen(sum(r)), factor, p.function->constants.first);
    }
    if (p.residual)
        for (int r = 0; r < ROWS_; ++r) sum(r) = sum(r) + read(p.residual + (row + r) * p.residual_stride + first);
}

// ROWS_ rows by BLOCKS_ blocks of outputs, summed over the segments in order. The last block may be cut.
template <int ROWS_, int BLOCKS_, bool CUT, bool HALF>
void tile(const Product& p, int64_t row, int32_t block) {
    Vector sum[ROWS_][BLOCKS_] = {};
    const int32_t last = p.count - (block + BLOCKS_ - 1) * LANES;
    if (p.base)
        for (int r = 0; r < ROWS_; ++r)
            for (int b = 0; b < BLOCKS_; ++b) {
                const float* base = p.base + (row + r) * p.base_stride + (block + b) * LANES;
                sum[r][b] = CUT && b + 1 == BLOCKS_ ? load_some(base, last) : load(base);
            }
    const float* w[BLOCKS_];
    for (int b = 0; b < BLOCKS_; ++b) w[b] = p.weight + int64_t(block + b) * p.depth * LANES;
    for (int32_t s = 0; s < p.segment_count; ++s) {
        const float* x = p.x[s] + row * p.x_stride;
        const int64_t count = p.segments[s].count;
        for (int64_t k = 0; k < count; ++k) {
            Vector weights[BLOCKS_];
            for (int b = 0; b < BLOCKS_; ++b) weights[b] = load(w[b] + k * LANES);
            for (int r = 0; r < ROWS_; ++r) {
                const Vector value = HALF ? splat_bits(x + r * p.x_stride + k) : splat(x[r * p.x_stride + k]);
                for (int b = 0; b < BLOCKS_; ++b) sum[r][b] = accumulate<HALF>(sum[r][b], weights[b], value);
            }
        }
        for (int b = 0; b < BLOCKS_; ++b) w[b] += count * LANES;
    }
    const bool at_once = p.ends_at_once();
    if (at_once)
        for (int b = 0; b < BLOCKS_; ++b)
            end_at_once<ROWS_>(p, row, (block + b) * LANES, CUT && b + 1 == BLOCKS_ ? last : LANES,
                               [&](int r) -> Vector& { return sum[r][b]; });
    for (int r = 0; r < ROWS_; ++r)
        for (int b = 0; b < BLOCKS_; ++b) {
            float* out = p.out + (row + r) * p.out_stride + (block + b) * LANES;
            if (CUT && b + 1 == BLOCKS_)
                store_some(out, sum[r][b], last);
            else
                store(out, sum[r][b]);
        }
    if (!at_once) end(p, row, ROWS_, block * LANES, std::min(BLOCKS_ * LANES, p.count - block * LANES));
}

// Rows of the tallest tile of so many blocks.
constexpr int tallest(int blocks) { return blocks > BLOCKS ? 1 : std::min(SUMS / blocks, 12); }

// The tile of so many rows, or of fewer if there is none: below eight all numbers, from there on the even ones.
template <int ROWS_, int BLOCKS_>
int64_t tile_of(const Product& p, int64_t row, int64_t rows, int32_t block) {
    if constexpr (ROWS_ > 1) {
        constexpr int next = ROWS_ > 8 ? ROWS_ - 2 + ROWS_ % 2 : ROWS_ - 1;
        if (rows < ROWS_) return tile_of<next, BLOCKS_>(p, row, rows, block);
    }
    const bool cut = (block + BLOCKS_) * LANES > p.count;
    if (p.half)
        cut ? tile<ROWS_, BLOCKS_, true, true>(p, row, block) : tile<ROWS_, BLOCKS_, false, true>(p, row, block);
    else
        cut ? tile<ROWS_, BLOCKS_, true, false>(p, row, block) : tile<ROWS_, BLOCKS_, false, false>(p, row, block);
    return ROWS_;
}

// All rows of some blocks, divided evenly: tiles of one or two rows leave the multipliers waiting.
template <int BLOCKS_>
void panel(const Product& p, int64_t rows, int32_t block, int32_t blocks) {
    if constexpr (BLOCKS_ > 1)
        if (blocks < BLOCKS_) return panel<BLOCKS_ - 1>(p, rows, block, blocks);
    int64_t tiles = (rows + tallest(BLOCKS_) - 1) / tallest(BLOCKS_);
    for (int64_t row = 0; row < rows; tiles = std::max<int64_t>(tiles - 1, 1)) {
        const int64_t share = (rows - row + tiles - 1) / tiles;
        row += tile_of<tallest(BLOCKS_), BLOCKS_>(p, row, share, block);
    }
}

void multiply(const Product& p, int64_t rows) {
    const auto blocks = int32_t(whole(p.count) / LANES);
    int32_t block = 0;
    if (rows == 1)  // one image: many blocks at once hide the latency of the sums
        for (; block + WIDE <= blocks; block += WIDE) panel<WIDE>(p, rows, block, WIDE);
    for (int32_t panels = (blocks - block + BLOCKS - 1) / BLOCKS; panels > 0; --panels) {
        const int32_t share = (blocks - block + panels - 1) / panels;
        panel<BLOCKS>(p, rows, block, share);
        block += share;
    }
}

}  // namespace
