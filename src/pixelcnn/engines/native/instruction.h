// What a plan is made of: values, and instructions that compute them.
#pragma once

#include <vector>

#include "pointwise.h"

namespace {

// A vector of features at every position of a grid: of every clock-th row and column of the image. Units have
// no grid, and so a clock of 0.
struct Value {
    int32_t width, clock;
    int32_t up, left, right;  // how far it is read from where others are
    int32_t storage;
    int32_t columns;
    bool narrow = false;  // whole numbers of 16 bits, two in the word of a float

    int64_t stride() const { return whole(narrow ? pairs(width) : width); }  // floats an image takes
    int32_t first_sum = INT32_MAX;  // of the features that have partial sums
    int64_t partial_stride() const { return whole(std::max(width - first_sum, 0)); }  // floats an image's take
    int64_t place(int64_t feature) const { return narrow ? feature / 2 : feature; }
    bool by_row() const { return storage == ROWS || storage == MAP; }
};

// The keys and values of all positions so far, which attention reads.
struct Memory {
    int32_t heads, key, value, clock;  // features a head
    const float* first;                // of the token that is there from the start: its keys, then its values
};

struct Segment {
    int32_t down, right, first, count;
};

// Segments of neighbouring columns, from one on: taps from left to right.
struct Run {
    int32_t first, taps;
};

// An elementwise function with what it takes besides values.
struct Function {
    Operation op = COPY;
    Constants constants{};
    const float* per_feature = nullptr;
};

// Features that are divided by one root mean square.
struct Group {
    std::vector<int32_t> read, write;
    bool run = false;  // both count up
};

struct Instruction {
    int32_t kind, to, to_start, count;
    int32_t scan = 0;                            // not 0: neighbours of the same number go from right to left
    int32_t every = 1, row_at = 0, column_at = 0;  // rows and columns of the image on which it is computed
    int32_t step = 1;                            // columns of its grid from one that it computes to the next
    // PRODUCT, DEPTHWISE: column c of the result reads from column c / step * stride on
    int32_t from = 0, into_partial = 0, start = 0, depth = 0, stride = 1, residual = -1, residual_start = 0;
    const float *bias = nullptr, *weight = nullptr, *paired_weight = nullptr;
    const double* wide_weight = nullptr;
    int32_t paired_depth = 0;  // pairs of inputs of a product, each segment rounded up, or of taps
    std::vector<Segment> segments;
    std::vector<Run> runs;  // of DEPTHWISE
    // POINTWISE, what a sum ends with, and what all others read
    Function function;
    int32_t a = -1, a_start = 0, b = -1, b_start = 0;
    // NORM: its bias is the one above
    const float* gain = nullptr;
    float epsilon = 0;
    bool centred = false;
    std::vector<Group> groups;
    // LOOKUP, and POSITION's of rows and of columns
    int32_t levels = 0;
    const float *table = nullptr, *column_table = nullptr;
    // ATTEND, REMEMBER
    int32_t memory = 0;
    // FLATTEN, UNFLATTEN: from or to where each pixel's units begin in value a
    std::vector<int32_t> places;
    // ADVANCE: what has become due of a queue is computed
    int32_t queue = 0;
    int64_t due = 0;  // in a queue: a step of the whole walk; of ADVANCE: a step of its pixel

    bool sums() const { return kind == PRODUCT || kind == DEPTHWISE; }
};

}  // namespace
