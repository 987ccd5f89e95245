// Rows of an image that are walked together, each some columns behind the one above it.
#pragma once

#include "store.h"

namespace {

constexpr int32_t PART = 24;  // columns of a row that are prepared at a time

// How far to the right of a position a row is read. Whatever is computed before a row's first position needs the
// row above up to some column only; so a row can begin as soon as the row above it is so far ahead.
class Wave {
  public:
    explicit Wave(const Plan& plan) : width_(plan.width), leads_(plan.values.size(), 0) {
        possible_ = plan.memories.empty() && plan.phases.back().empty();
        for (const Value& value : plan.values) possible_ = possible_ && value.clock == 1;
        const auto& phase = plan.phases.front();
        for (auto i = phase.rbegin(); i != phase.rend(); ++i) {
            possible_ = possible_ && i->step == 1 && i->stride == 1;
            for (const int32_t read : {i->a, i->b, i->residual}) widen(read, leads_[i->to]);
            for (const Segment& segment : i->segments) {
                const int32_t reach = leads_[i->to] + segment.right;
                if (segment.down < 0)
                    lag_ = std::max(lag_, reach);
                else
                    widen(i->from, reach);
            }
        }
    }

    // Columns that a value must be computed ahead of a position.
    int32_t lead(int32_t number) const { return leads_[number]; }

    // Columns of the row above that must be finished before some columns of a row can be prepared.
    int32_t needed(int32_t end) const { return std::min(end + lag_, width_); }

    // How many rows gain from being walked together: when the first has ended, the last is far enough.
    int32_t walks(int32_t threads) const {
        return possible_ ? std::max(1, std::min(threads, width_ / (lag_ + PART))) : 1;
    }

  private:
    void widen(int32_t number, int32_t reach) {
        if (number >= 0) leads_[number] = std::max(leads_[number], std::min(reach, width_));
    }

    int32_t width_, lag_ = 0;
    bool possible_ = false;
    List<int32_t> leads_;
};

}  // namespace
