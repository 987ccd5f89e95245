// Levels from parameters, in double precision.
#pragma once

#include <cmath>

#include "maths.h"
#include "plan.h"

namespace {

// log(sigmoid(x)) without overflow.
inline double log_sigmoid(double x) { return std::min(x, 0.0) - std::log1p(std::exp(-std::abs(x))); }

// The mixture of logistics of one channel of a pixel after the other; each component is cut between levels.
class Mixture {
  public:
    explicit Mixture(const Plan& plan)
        : plan_(plan), count_(plan.components), half_(0.5 * (plan.levels - 1)), logs_(size_t(count_)) {
        for (auto* list : {&weight_, &mean_, &rate_}) list->assign(size_t(whole_doubles(count_)), 0.0);
        const size_t cells = count_ ? size_t(whole_doubles(plan.levels)) + DOUBLES : 0;
        for (auto* list : {&below_, &above_}) list->assign(cells, 0.0);
    }

    // The next channel, given the pixel's parameters and the levels of its earlier channels; false if they tell none.
    bool turn(const float* parameters, int32_t channel, const int32_t* levels, int64_t plane) {
        if (channel == 0)
            std::copy(parameters, parameters + count_, logs_.begin());
        else
            explain(levels[(channel - 1) * plane]);
        const double top = *std::max_element(logs_.begin(), logs_.end());
        double sum = 0;
        for (int32_t k = 0; k < count_; ++k) sum += weight_[k] = std::exp(logs_[k] - top);
        for (int32_t k = 0; k < count_; ++k) weight_[k] /= sum;
        const float* row = parameters + int64_t(channel + 1) * (channel + 2) / 2 * count_;
        const double narrow = std::log(plan_.sharpest / half_), broad = std::log(plan_.broadest);
        for (int32_t k = 0; k < count_; ++k) {
            double mean = row[k];
            for (int32_t c = 0; c < channel; ++c)
                mean += std::tanh(double(row[(2 + c) * int64_t(count_) + k])) * (levels[c * plane] / half_ - 1);
            mean_[k] = (mean + 1) * half_;
            rate_[k] = 1 / (std::exp(std::min(std::max(double(row[count_ + k]), narrow), broad)) * half_);
            if (!std::isfinite(weight_[k] + mean_[k] + rate_[k])) return false;
        }
        return true;
    }

    // The sum of all levels up to one that is not the last.
    double cdf(int32_t level) const {
        const double cut = level + 0.5;
        Doubles sums{};
        for (int32_t k = 0; k < count_; k += DOUBLES)
            sums += load(&weight_[k]) * sigmoids((cut - load(&mean_[k])) * load(&rate_[k])).below;
        return total(sums);
    }

    // Of all levels: what lies below the upper cut of each and above its lower one, as a product that does not cancel.
    void probabilities(List<double>& out) {
        std::fill(out.begin(), out.end(), 0.0);
        for (int32_t k = 0; k < count_; ++k) {
            Doubles cut{};
            for (int i = 0; i < DOUBLES; ++i) cut[i] = i + 0.5;
            for (int32_t level = 0; level < plan_.levels; level += DOUBLES, cut += double(DOUBLES)) {
                const Sigmoids at = sigmoids((cut - mean_[k]) * rate_[k]);
                store(&below_[level], at.below);
                store(&above_[level + 1], at.above);
            }
            const double between = -std::expm1(-rate_[k]);
            above_[0] = below_[plan_.levels - 1] = 1 / between;  // the ends have one cut alone
            for (int32_t level = 0; level < plan_.levels; level += DOUBLES) {
                const Doubles piece = load(&below_[level]) * load(&above_[level]);
                store(&out[level], load(&out[level]) + weight_[k] * between * piece);
            }
        }
        std::fill(out.begin() + plan_.levels, out.end(), 0.0);
    }

  private:
    // Weighs the components by how likely each made the level of the last channel.
    void explain(int32_t level) {
        for (int32_t k = 0; k < count_; ++k) {
            const bool lowest = level == 0, highest = level == plan_.levels - 1;
            if (!highest) logs_[k] += log_sigmoid((level + 0.5 - mean_[k]) * rate_[k]);
            if (!lowest) logs_[k] += log_sigmoid((mean_[k] - level + 0.5) * rate_[k]);
            if (!lowest && !highest) logs_[k] += std::log(-std::expm1(-rate_[k]));
        }
    }

    const Plan& plan_;
    int32_t count_;
    double half_;
    List<double> logs_, weight_, mean_, rate_;  // of each component; logs of the weights up to a constant
    List<double> below_, above_;                // of each level, of one component
};

// Draws levels in double precision.
class Drawer {
  public:
    explicit Drawer(const Plan& plan) : plan_(plan), mixture_(plan), pmf_(size_t(whole_doubles(plan.levels))) {}

    // Draws those levels of a pixel's channels that are not known; the levels of a channel lie a plane apart.
    // Returns the first channel that has no distribution, or -1.
    int32_t draw(const float* parameters, int32_t channel, int32_t end, int32_t* levels, const uint8_t* known,
                 const double* uniform, int64_t plane, double temperature) {
        for (; channel < end; ++channel) {
            if (plan_.output == LOGISTIC_MIXTURE && !mixture_.turn(parameters, channel, levels, plane)) return channel;
            const int64_t here = channel * plane;
            if (known[here]) continue;
            if (plan_.output == LOGISTIC_MIXTURE && temperature == 1) {
                levels[here] = search(uniform[here]);
                continue;
            }
            if (!probabilities(parameters, channel)) return channel;
            temper(temperature);
            levels[here] = invert(uniform[here]);
        }
        return -1;
    }

  private:
    // Of one channel's levels, into pmf_; false if they are none.
    bool probabilities(const float* parameters, int32_t channel) {
        switch (plan_.output) {
            case BERNOULLI: {
                const double logit = parameters[channel];
                pmf_[0] = 1 / (1 + std::exp(logit));
                pmf_[1] = 1 / (1 + std::exp(-logit));
                return !std::isnan(logit);
            }
            case CATEGORICAL: return softmax(parameters + int64_t(channel) * plan_.levels);
            default: mixture_.probabilities(pmf_); return true;
        }
    }

    bool softmax(const float* logits) {
        const double top = *std::max_element(logits, logits + plan_.levels);
        Doubles sums{};
        for (int32_t k = 0; k < plan_.levels; k += DOUBLES) {
            Doubles p{};
            for (int32_t i = 0; i < DOUBLES; ++i) p[i] = k + i < plan_.levels ? logits[k + i] - top : -1e9;
            p = exponential(p);
            sums += p;
            store(&pmf_[k], p);
        }
        const double sum = total(sums), scale = 1 / sum;
        for (double& p : pmf_) p *= scale;
        return std::isfinite(sum) && sum > 0;
    }

    void temper(double temperature) {
        if (temperature == 1) return;
        if (temperature == 0) {
            const auto likeliest = std::max_element(pmf_.begin(), pmf_.end()) - pmf_.begin();
            std::fill(pmf_.begin(), pmf_.end(), 0.0);
            pmf_[likeliest] = 1;
            return;
        }
        const double top = std::log(*std::max_element(pmf_.begin(), pmf_.end()));
        double sum = 0;
        for (double& p : pmf_) sum += p = std::exp((std::log(p) - top) / temperature);
        for (double& p : pmf_) p /= sum;
    }

    // How many k have cdf_k <= u, the last cdf counting as 1.
    int32_t invert(double u) const {
        double cdf = 0;
        for (int32_t k = 0; k + 1 < plan_.levels; ++k) {
            cdf += pmf_[k];
            if (cdf > u) return k;
        }
        return plan_.levels - 1;
    }

    // The same from the mixture's own cdf, of which a few values tell.
    int32_t search(double u) const {
        int32_t low = 0, high = plan_.levels - 1;
        while (low < high) {
            const int32_t middle = (low + high) / 2;
            if (mixture_.cdf(middle) > u)
                high = middle;
            else
                low = middle + 1;
        }
        return low;
    }

    const Plan& plan_;
    Mixture mixture_;
    List<double> pmf_;
};

}  // namespace
