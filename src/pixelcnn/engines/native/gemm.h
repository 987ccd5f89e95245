// Matrix products: rows of inputs, which lie where values are stored, times packed weights.
#pragma once

#include "instruction.h"
#include "sums.h"

namespace {

// Vectors that a tile sums in, as many as the registers hold; the most blocks of them side by side.
#if defined(__AVX512F__)
constexpr int SUMS = 24, BLOCKS = 4, WIDE = 8;
#else
constexpr int SUMS = 12, BLOCKS = 3, WIDE = 8;
#endif

template <typename Number>
struct Product {
    const float* const* x;  // of each segment
    int64_t x_stride, partial_stride, out_stride, residual_stride;
    const float *bias, *residual;  // or null; residual: added after the function
    const Number *begun, *weight;  // begun: what the sums begin with instead of a bias, or null
    Number* partial;               // takes the sums as they are, or null
    bool narrow;                   // out: whole numbers of 16 bits
    float* out;
    const Segment* segments;
    int32_t segment_count, count, depth;
    Arithmetic arithmetic;  // in pairs: x and weight of a product hold them instead of floats
    const Function* function;

    // Whether sums end in registers; others are read again.
    bool ends_at_once() const {
        return function->op == COPY || function->op == RELU || function->op == REQUANTISE;
    }

    // What the sums of the first outputs of a block begin with.
    Block<Number> begin(int64_t row, int32_t first, int32_t some) const {
        if (begun) return load_block(begun + row * partial_stride + first, some);
        return bias ? as_block<Number>(load_block(bias + first, some)) : Block<Number>{};
    }
};

// Some sums, which are in the cache: the function of them, and what is added.
template <typename Number>
void end(const Product<Number>& p, int64_t row, int64_t rows, int32_t first, int32_t count) {
    float* out = p.out + row * p.out_stride + first;
    const float* taken = p.function->per_feature ? p.function->per_feature + first : nullptr;
    compute(p.function->op, {out, out, taken, p.out_stride, p.out_stride, 0, rows, count, p.function->constants});
    if (p.residual) {
        const float* residual = p.residual + row * p.residual_stride + first;
        each<ADD>({out, residual, out, p.out_stride, p.residual_stride, p.out_stride, rows, count});
    }
}

// Ends sums of a block of outputs, of rows so far apart: the first count of them. A copy of the product, since
// compilers would look up again what a store could have changed.
template <typename Number, typename Sum>
inline void finish(Product<Number> p, int64_t first_row, int64_t apart, int32_t rows, int32_t first,
                   int32_t count, const Sum& sum) {
    const auto row = [=](int32_t r) { return first_row + r * apart; };
    if (p.partial) {
        for (int32_t r = 0; r < rows; ++r) store_block(p.partial + row(r) * p.partial_stride + first, sum(r), count);
        return;
    }
    const bool requantise = p.function->op == REQUANTISE, relu = p.function->op == RELU;
    const bool add = p.residual && p.ends_at_once();  // others add it later
    const Vector factor = requantise ? load_block(p.function->per_feature + first, count) : Vector{};
    const Vector limit = p.function->constants.first;
    for (int32_t r = 0; r < rows; ++r) {
        Vector found = requantise ? requantised(sum(r), factor, limit, p.arithmetic == LONG) : as_floats(sum(r));
        if (relu) found = apply<RELU>(found, found, Constants{});
        if (add)
            found = found + load_block(p.residual + row(r) * p.residual_stride + first, count);
        float* out = p.out + row(r) * p.out_stride;
        p.narrow ? store_narrow(out + first / 2, found, count) : store_block(out + first, found, count);
    }
}

// Some rows and blocks of outputs, whose sums are at [row][block].
struct Tile {
    int64_t row;
    int32_t rows, block, blocks;
};

template <typename Number>
void begin(const Product<Number>& p, const Tile& tile, Block<Number>* sums) {
    for (int32_t b = 0; b < tile.blocks; ++b) {
        const int32_t first = (tile.block + b) * LANES, count = std::min(LANES, p.count - first);
        Block<Number> sum{};
        for (int32_t r = 0; r < tile.rows; ++r) {
            if (r == 0 || p.begun) sum = p.begin(tile.row + r, first, count);
            sums[r * tile.blocks + b] = sum;
        }
    }
}

template <typename Number>
void finish(const Product<Number>& p, const Tile& tile, const Block<Number>* sums) {
    const int32_t first = tile.block * LANES, count = std::min(tile.blocks * LANES, p.count - first);
    for (int32_t b = 0; b < tile.blocks; ++b)
        finish(p, tile.row, 1, tile.rows, first + b * LANES, std::min(LANES, count - b * LANES),
               [&](int32_t r) -> const Block<Number>& { return sums[r * tile.blocks + b]; });
    if (!p.partial && !p.ends_at_once()) end(p, tile.row, tile.rows, first, count);
}

// Adds the inputs of all segments in order to the sums of ROWS_ rows by BLOCKS_ blocks.
template <int ROWS_, int BLOCKS_, Arithmetic KIND, typename Number>
void accumulate(const Product<Number>& p, int64_t row, int32_t block, Block<Number>* sums) {
    Block<Number> sum[ROWS_][BLOCKS_];
    std::memcpy(sum, sums, sizeof sum);
    const Number* w[BLOCKS_];
    for (int b = 0; b < BLOCKS_; ++b) w[b] = p.weight + int64_t(block + b) * p.depth * LANES;
    for (int32_t s = 0; s < p.segment_count; ++s) {
        const float* x = p.x[s] + row * p.x_stride;
        const int64_t depth = in_pairs(KIND) ? pairs(p.segments[s].count) : p.segments[s].count;
        for (int64_t k = 0; k < depth; ++k) {
            Block<Number> weights[BLOCKS_];
            for (int b = 0; b < BLOCKS_; ++b) weights[b] = load_block(w[b] + k * LANES);
            for (int r = 0; r < ROWS_; ++r) {
                const Block<Number> value = splat_block<in_pairs(KIND), Number>(x + r * p.x_stride + k);
                for (int b = 0; b < BLOCKS_; ++b)
                    if constexpr (KIND == HALF)
                        sum[r][b] = accumulate_halves(sum[r][b], weights[b], value);
                    else
                        sum[r][b] = accumulate(sum[r][b], weights[b], value);
            }
        }
        for (int b = 0; b < BLOCKS_; ++b) w[b] += depth * LANES;
    }
    std::memcpy(sums, sum, sizeof sum);
}

// The same in the arithmetic of the product.
template <int ROWS_, int BLOCKS_>
void add_inputs(const Product<float>& p, int64_t row, int32_t block, Vector* sums) {
    if (p.arithmetic == HALF) return accumulate<ROWS_, BLOCKS_, HALF>(p, row, block, sums);
    accumulate<ROWS_, BLOCKS_, SINGLE>(p, row, block, sums);
}
template <int ROWS_, int BLOCKS_>
void add_inputs(const Product<int32_t>& p, int64_t row, int32_t block, Integers* sums) {
    accumulate<ROWS_, BLOCKS_, INTEGER>(p, row, block, sums);
}
template <int ROWS_, int BLOCKS_>
void add_inputs(const Product<double>& p, int64_t row, int32_t block, Halves* sums) {
    accumulate<ROWS_, BLOCKS_, SINGLE>(p, row, block, sums);
}

// Of a tile that sums in such numbers: blocks at most, and rows of the tallest of so many blocks.
template <typename Number>
constexpr int WIDTH = sizeof(Number) == sizeof(float) ? BLOCKS : 2;
template <typename Number>
constexpr int WIDEST = int(WIDE * sizeof(float) / sizeof(Number));
template <typename Number>
constexpr int tallest(int blocks) {
    return blocks > WIDTH<Number> ? 1 : std::min(int(SUMS * sizeof(float) / sizeof(Number)) / blocks, 12);
}

// The tile of so many rows, or of fewer if there is none: below eight all numbers, from there on the even ones.
template <int ROWS_, int BLOCKS_, typename Number>
int64_t tile_of(const Product<Number>& p, int64_t row, int64_t rows, int32_t block) {
    if constexpr (ROWS_ > 1) {
        constexpr int next = ROWS_ > 8 ? ROWS_ - 2 + ROWS_ % 2 : ROWS_ - 1;
        if (rows < ROWS_) return tile_of<next, BLOCKS_>(p, row, rows, block);
    }
    const Tile tile{row, ROWS_, block, BLOCKS_};
    Block<Number> sums[ROWS_ * BLOCKS_];
    begin(p, tile, sums);
    add_inputs<ROWS_, BLOCKS_>(p, row, block, sums);
    finish(p, tile, sums);
    return ROWS_;
}

// All rows of some blocks, divided evenly: tiles of one or two rows leave the multipliers waiting.
template <int BLOCKS_, typename Number>
void panel(const Product<Number>& p, int64_t rows, int32_t block, int32_t blocks) {
    if constexpr (BLOCKS_ > 1)
        if (blocks < BLOCKS_) return panel<BLOCKS_ - 1>(p, rows, block, blocks);
    constexpr int most = tallest<Number>(BLOCKS_);
    int64_t tiles = (rows + most - 1) / most;
    for (int64_t row = 0; row < rows; tiles = std::max<int64_t>(tiles - 1, 1)) {
        const int64_t share = (rows - row + tiles - 1) / tiles;
        row += tile_of<most, BLOCKS_>(p, row, share, block);
    }
}

template <typename Number>
void multiply(const Product<Number>& p, int64_t rows) {
    constexpr int widest = WIDEST<Number>, width = WIDTH<Number>;
    const auto blocks = int32_t(whole(p.count) / LANES);
    int32_t block = 0;
    if (rows == 1)  // one image: many blocks at once hide the latency of the sums
        for (; block + widest <= blocks; block += widest) panel<widest>(p, rows, block, widest);
    for (int32_t panels = (blocks - block + width - 1) / width; panels > 0; --panels) {
        const int32_t share = (blocks - block + panels - 1) / panels;
        panel<width>(p, rows, block, share);
        block += share;
    }
}

}  // namespace
