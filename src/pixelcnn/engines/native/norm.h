// Features divided by the root mean square of their group.
#pragma once

#include <cmath>

#include "instruction.h"

namespace {

// Of a group that is no run: one feature after the other.
void norm_any(const Group& group, const Instruction& i, const float* from, float* to) {
    const auto count = float(group.read.size());
    float sum = 0, squares = 0;
    if (i.centred)
        for (int32_t k : group.read) sum += from[k];
    const float mean = sum / count;
    for (int32_t k : group.read) squares += (from[k] - mean) * (from[k] - mean);
    const float scale = 1.0f / std::sqrt(squares / count + i.epsilon);
    for (size_t k = 0; k < group.write.size(); ++k) {
        const int32_t at = group.write[k];
        to[at] = (from[group.read[k]] - mean) * scale * i.gain[at] + (i.bias ? i.bias[at] : 0.0f);
    }
}

void norm_run(const Group& group, const Instruction& i, const float* from, float* to) {
    const auto count = int32_t(group.read.size());
    const int32_t rest = count % LANES, last = count - rest;
    const float *gain = i.gain + group.write[0], *bias = i.bias ? i.bias + group.write[0] : nullptr;
    from += group.read[0];
    to += group.write[0];
    const Vector tail = load_some(from + last, rest);
    Vector mean{};
    if (i.centred) {
        Vector sum = tail;
        for (int32_t k = 0; k < last; k += LANES) sum = sum + load(from + k);
        mean = splat(total(sum) / float(count));
    }
    const Vector off = tail - mean;
    float part[LANES] = {};
    store_some(part, off * off, rest);
    Vector squares = load(part);
    for (int32_t k = 0; k < last; k += LANES) {
        const Vector x = load(from + k) - mean;
        squares = squares + x * x;
    }
    const Vector scale = splat(1.0f / std::sqrt(total(squares) / float(count) + i.epsilon));
    for (int32_t k = 0; k < last; k += LANES) {
        const Vector x = (load(from + k) - mean) * scale * load(gain + k);
        store(to + k, bias ? x + load(bias + k) : x);
    }
    if (!rest) return;
    const Vector x = off * scale * load_some(gain + last, rest);
    store_some(to + last, bias ? x + load_some(bias + last, rest) : x, rest);
}

void norm(const Instruction& i, const float* from, int64_t from_stride, float* to, int64_t to_stride, int64_t rows) {
    for (int64_t row = 0; row < rows; ++row, from += from_stride, to += to_stride)
        for (const Group& group : i.groups) (group.run ? norm_run : norm_any)(group, i, from, to);
}

}  // namespace
