// Weights of sums over taps as other arithmetic reads them, and tables; and which values of a plan in whole numbers are
// kept in 16 bits. What weights are kept in lives as long as the instruction.
#pragma once

#include "instruction.h"
#include "pairs.h"

namespace {

// Entries of a table in 16 bits: what is read of it stays in the cache longer.
inline std::vector<int16_t> whole_entries(const float* table, int64_t count) {
    require(std::all_of(table, table + count, is_whole), "entries of a table that are not whole");
    return {table, table + count};
}

// As doubles.
Aligned<double> widened_weight(Instruction& i) {
    Aligned<double> wide(i.depth * whole(i.count));
    std::copy_n(i.weight, wide.size(), wide.data());
    i.wide_weight = wide.data();
    return wide;
}

constexpr int32_t NARROW = 2 * LANES;  // numbers of 16 bits in a vector

// Taps of neighbouring columns.
inline std::vector<Run> runs_of(const std::vector<Segment>& segments) {
    std::vector<Run> runs;
    for (size_t s = 0; s < segments.size(); ++s) {
        const Segment &segment = segments[s], &last = segments[s ? s - 1 : 0];
        if (s && segment.down == last.down && segment.right == last.right + 1 && segment.first == last.first)
            ++runs.back().taps;
        else
            runs.push_back({int32_t(s), 1});
    }
    return runs;
}

// Where a pair of a run's taps begins: of an odd number the last pair has the tap before it again, with a weight of
// zero.
inline int32_t begin_of(const Run& run, int32_t pair) { return std::min(2 * pair, run.taps - 2); }

// Weights of taps as pairs, as they meet the halves of two vectors that are interleaved: (blocks of NARROW, pairs, 2,
// LANES, 2).
inline Floats paired_taps(Instruction& i) {
    i.runs = runs_of(i.segments);
    for (const Run& run : i.runs) i.paired_depth += pairs(run.taps);
    const int64_t blocks = (i.count + NARROW - 1) / NARROW, width = whole(i.count);
    Floats paired(blocks * i.paired_depth * 2 * LANES);
    float* out = paired.data();
    i.paired_weight = out;
    for (int64_t block = 0; block < blocks; ++block)
        for (const Run& run : i.runs)
            for (int32_t q = 0; q < pairs(run.taps); ++q)
                for (int32_t k = 0; k < NARROW; ++k, ++out) {
                    const int32_t half = k / LANES, lane = k % LANES, begin = begin_of(run, q);
                    const int64_t feature = block * NARROW + lane / 4 * 8 + half * 4 + lane % 4;
                    if (feature >= i.count) continue;
                    const float* w = i.weight + int64_t(run.first + begin) * width + feature;
                    const float two[2] = {begin < 2 * q ? 0.0f : w[0], w[width]};
                    require(is_whole(two[0]) && is_whole(two[1]), "weights that are not whole");
                    pair<INTEGER>(two, 2, out);
                }
    return paired;
}

// Weights of single taps: each paired with a zero, for what is above the 16 bits of an input.
Floats lone_taps(Instruction& i) {
    const int64_t count = i.depth * whole(i.count);
    Floats lone(count);
    for (int64_t k = 0; k < count; ++k) {
        require(is_whole(i.weight[k]), "weights that are not whole");
        pair<INTEGER>(i.weight + k, 1, lone.data() + k);
    }
    i.paired_weight = lone.data();
    return lone;
}

// As pairs: (blocks, pairs, LANES, 2).
template <Arithmetic kind>
Floats paired_weight(Instruction& i) {
    for (const Segment& segment : i.segments) i.paired_depth += pairs(segment.count);
    const auto blocks = int32_t(whole(i.count) / LANES);
    Floats paired(int64_t(blocks) * i.paired_depth * LANES);
    float* out = paired.data();
    i.paired_weight = out;
    for (int32_t block = 0; block < blocks; ++block) {
        const float* in = i.weight + int64_t(block) * i.depth * LANES;
        for (const Segment& segment : i.segments) {
            for (int32_t k = 0; k < segment.count; k += 2, out += LANES)
                for (int32_t lane = 0; lane < LANES; ++lane) {
                    const float second = k + 1 < segment.count ? in[(k + 1) * LANES + lane] : 0.0f;
                    const float two[2] = {in[k * LANES + lane], second};
                    require(kind == HALF || (is_whole(two[0]) && is_whole(two[1])), "weights that are not whole");
                    pair<kind>(two, 2, out + lane);
                }
            in += int64_t(segment.count) * LANES;
        }
    }
    return paired;
}

// Whether pairs of inputs, or of taps, can be read where they lie.
inline bool in_even_pairs(const Instruction& i) {
    for (const Segment& segment : i.segments)
        if (segment.first % 2) return false;
    if (i.kind == PRODUCT) return true;
    const std::vector<Run> runs = runs_of(i.segments);
    return std::all_of(runs.begin(), runs.end(), [](const Run& run) { return run.taps > 1; });
}

// Whether what is written fits.
inline bool in_half_words(const Instruction& i) {
    const bool written = i.sums() ? i.residual < 0 : i.kind == POINTWISE;
    const Function& function = i.function;
    return written && rounds(function.op) && limit_of(function.op, function.constants) <= 32767 && i.to_start % 2 == 0;
}

// Keeps in 16 bits what is written as such numbers, and read by sums alone.
inline void narrow(List<Value>& values, const List<std::vector<Instruction>>& phases, int32_t result) {
    List<bool> fits(values.size(), true);
    fits[0] = fits[result] = false;
    for (const auto& phase : phases)
        for (const Instruction& i : phase) {
            if (!i.into_partial) fits[i.to] = fits[i.to] && in_half_words(i);
            for (const int32_t read : {i.a, i.b, i.residual})
                if (read >= 0) fits[read] = false;
            if (i.sums()) fits[i.from] = fits[i.from] && in_even_pairs(i);
        }
    for (size_t v = 0; v < values.size(); ++v) values[v].narrow = fits[v] && values[v].storage <= ROWS;
}

}  // namespace
