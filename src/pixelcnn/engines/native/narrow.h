// Which values of a plan in whole numbers are kept in 16 bits.
#pragma once

#include "weights.h"

namespace {

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
