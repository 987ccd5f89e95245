// What levels count for the range coder, in whole numbers: codec/frequencies.py in C++, the same to the bit.
#pragma once

#include "plan.h"

namespace {

constexpr int COUNT_BITS = 24, CURVE_BITS = 26, FINE_BITS = 10, PLACE_BITS = 12, SHARP_BITS = 24;
constexpr int FINER_BITS = 8, LOOKED_UP = 256;     // between entries of the curve, where there are more levels
constexpr int64_t ALL = int64_t(1) << COUNT_BITS;  // what all levels count together
constexpr int64_t REACH = 32 << FINE_BITS;         // entries of the curve on either side of zero

// Tables of a twin's output: for each parameter from -limit to limit, but the first, which is for differences.
struct Tables {
    const int64_t *decay = nullptr, *mean = nullptr, *inverse = nullptr, *slope = nullptr, *curve = nullptr;
    int32_t limit = 0;

    Tables(const Plan& plan, const int64_t* numbers, int64_t count, int32_t most) : limit(most) {
        const bool mixture = plan.output == LOGISTIC_MIXTURE;
        const int64_t each = 2 * int64_t(limit) + 1;
        require(limit >= 1 && limit <= 1 << 20, "limit of the parameters");
        require(count == (mixture ? 4 * each + 2 * REACH + 1 : each), "entries of tables");
        decay = numbers;
        if (!mixture) return;
        mean = decay + each + limit;
        inverse = mean + each;
        slope = inverse + each;
        curve = slope + each - limit + REACH;
    }

    // A parameter is a whole number within the limits, whatever it holds.
    int64_t number(float parameter) const {
        const auto most = float(limit);
        return parameter > most ? limit : parameter >= -most ? int64_t(parameter) : -int64_t(limit);
    }
};

// Of one image's pixel, one channel after the other: where each level begins among all counts.
class Law {
  public:
    Law(const Plan& plan, const Tables& tables)
        : plan_(plan), tables_(tables), components_(size_t(plan.components)),
          finer_(plan.levels > LOOKED_UP ? FINER_BITS : 0),
          sums_(plan.output == LOGISTIC_MIXTURE ? 0 : size_t(plan.levels) + 1) {}

    // The next channel, given the levels before it, which lie a plane apart.
    void turn(const float* parameters, int32_t channel, const int32_t* levels, int64_t plane) {
        if (plan_.output == LOGISTIC_MIXTURE) return mix(parameters, channel, levels, plane);
        const bool binary = plan_.output == BERNOULLI;
        const float* logits = parameters + int64_t(channel) * (binary ? 1 : plan_.levels);
        int64_t top = binary ? 0 : tables_.number(logits[0]);
        for (int32_t k = binary ? 0 : 1; k < (binary ? 1 : plan_.levels); ++k)
            top = std::max(top, tables_.number(logits[k]));
        sums_[0] = 0;
        if (binary) sums_[1] = tables_.decay[top];
        for (int32_t k = binary ? 1 : 0; k < plan_.levels; ++k)
            sums_[k + 1] = sums_[k] + tables_.decay[top - tables_.number(logits[binary ? 0 : k])];
    }

    // Counts of all levels below one.
    int64_t below(int32_t level) const {
        if (level == plan_.levels) return ALL;
        const int64_t rest = ALL - plan_.levels;
        if (plan_.output != LOGISTIC_MIXTURE) return sums_[level] * rest / sums_[plan_.levels] + level;
        int64_t sum = 0;
        for (const Component& c : components_) sum += c.weight * cdf(c, level);
        constexpr int spare = 12;  // bits too many for a product
        return ((sum >> spare) * rest >> (COUNT_BITS + CURVE_BITS - spare)) + level;
    }

    // The level in whose counts one lies.
    int32_t find(int64_t count) const {
        int32_t low = 0, high = plan_.levels - 1;
        while (low < high) {
            const int32_t middle = (low + high + 1) / 2;
            if (below(middle) <= count)
                low = middle;
            else
                high = middle - 1;
        }
        return low;
    }

  private:
    struct Component {
        int64_t weight, mean, inverse;
    };

    // Of all levels below one, of one component.
    int64_t cdf(const Component& c, int32_t level) const {
        if (level == 0) return 0;
        if (level == plan_.levels) return int64_t(1) << CURVE_BITS;
        const int64_t distance = (int64_t(2 * level - 1) << (PLACE_BITS - 1)) - c.mean;
        const int64_t far = distance * c.inverse >> (PLACE_BITS + SHARP_BITS - FINE_BITS - finer_);
        const int64_t place = std::clamp(far, -REACH * (1 << finer_), REACH * (1 << finer_));
        const int64_t entry = place >> finer_, low = tables_.curve[entry];
        if (finer_ == 0) return low;
        const int64_t rest = place & ((1 << finer_) - 1);
        return low + ((tables_.curve[std::min(entry + 1, REACH)] - low) * rest >> finer_);
    }

    void mix(const float* parameters, int32_t channel, const int32_t* levels, int64_t plane) {
        const size_t count = components_.size();
        int64_t top = tables_.number(parameters[0]);
        for (size_t k = 1; k < count; ++k) top = std::max(top, tables_.number(parameters[k]));
        for (size_t k = 0; k < count; ++k) components_[k].weight = tables_.decay[top - tables_.number(parameters[k])];
        share();
        for (int32_t earlier = 0; earlier <= channel; ++earlier) {
            place(parameters, earlier, levels, plane);
            if (earlier == channel) return;
            const int32_t level = std::clamp(levels[earlier * plane], 0, plan_.levels - 1);
            for (Component& c : components_)
                c.weight = c.weight * (cdf(c, level + 1) - cdf(c, level)) >> (CURVE_BITS - 12);
            share();
        }
    }

    // Weights that sum to at most ALL; alike where all are zero.
    void share() {
        int64_t sum = 0;
        for (const Component& c : components_) sum += c.weight;
        for (Component& c : components_) c.weight = sum ? c.weight * ALL / sum : ALL / int64_t(components_.size());
    }

    // Means and scales of a channel.
    void place(const float* parameters, int32_t channel, const int32_t* levels, int64_t plane) {
        const auto count = int64_t(components_.size());
        const float* row = parameters + int64_t(channel + 1) * (channel + 2) / 2 * count;
        for (int64_t k = 0; k < count; ++k) {
            Component& c = components_[size_t(k)];
            c.mean = tables_.mean[tables_.number(row[k])];
            for (int32_t earlier = 0; earlier < channel; ++earlier) {
                const int64_t slope = tables_.slope[tables_.number(row[(2 + earlier) * count + k])];
                c.mean += slope * (2 * int64_t(levels[earlier * plane]) - (plan_.levels - 1)) >> 1;
            }
            c.inverse = tables_.inverse[tables_.number(row[count + k])];
        }
    }

    const Plan& plan_;
    const Tables& tables_;
    std::vector<Component> components_;
    const int finer_;
    List<int64_t> sums_;  // of the weights of all levels below each
};

}  // namespace
