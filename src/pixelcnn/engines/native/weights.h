// Weights of sums over taps as other arithmetic reads them. What they are kept in lives as long as the instruction.
#pragma once

#include "instruction.h"
#include "pairs.h"

namespace {

// As doubles. Sums of them become floats again by rounding to whole numbers.
Aligned<double> widened_weight(Instruction& i) {
    require(i.into_partial || i.function.op == REQUANTISE, "a sum of doubles that is not rounded");
    Aligned<double> wide(i.depth * whole(i.count));
    std::copy_n(i.weight, wide.size(), wide.data());
    i.wide_weight = wide.data();
    return wide;
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

}  // namespace
