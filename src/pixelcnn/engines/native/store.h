// Where some images keep their values, as [row][column][image][feature].
#pragma once

#include <tuple>
#include <utility>

#include "arena.h"
#include "plan.h"

namespace {

// The values that are read at offsets: some rows of each, which walks of several rows share.
class Rows {
  public:
    Rows(const Plan& plan, Arena& arena, int32_t first, int32_t images, int32_t walks)
        : plan_(plan), arena_(arena), first_(first), n_(images), walks_(walks) {
        for (const Value& value : plan.values) take(values_, value.storage == NOW ? 0 : size(value));
    }

    int32_t first() const { return first_; }
    int32_t images() const { return n_; }

    // Adds a place of zeros; all places together stay within bounds.
    template <typename Number>
    void take(List<Number*>& list, int64_t count) {
        sum_ += count;
        require(count < MAX_FLOATS && sum_ < MAX_FLOATS, "too much state");
        list.push_back(arena_.take<Number>(count));
    }

    // Rows that are kept of a value: as many as are read above any that is walked.
    int32_t kept(const Value& value) const { return value.up + walks_; }

    float* data(int32_t number) { return values_[number]; }

    // Above the first row there is nothing, and no unit is known.
    void begin() {
        if (!std::exchange(used_, true)) return;  // there is nothing yet
        for (size_t i = 0; i < values_.size(); ++i)
            if (plan_.values[i].storage == ROWS || plan_.values[i].storage == UNITS)
                std::fill_n(values_[i], size(plan_.values[i]), 0.0f);
    }

    // Condition values: (n, width) of a constant, (n, height, width of the image, width) of a map.
    void condition(int32_t number, const float* values) {
        const Value& value = plan_.values[number];
        if (value.storage == MAP) return maps_.emplace_back(number, values), void();
        for (int32_t i = 0; i < n_; ++i)
            std::memcpy(data(number) + i * value.stride(), values + int64_t(first_ + i) * value.width,
                        bytes(value.width));
    }

    const std::vector<std::pair<int32_t, const float*>>& maps() const { return maps_; }

    // Of a level in images (n, channels, height, width).
    int64_t index(int32_t image, int32_t channel, int32_t row, int32_t column) const {
        return ((int64_t(first_ + image) * plan_.channels + channel) * plan_.height + row) * plan_.width + column;
    }

  private:
    int64_t size(const Value& value) const {
        const int64_t position = int64_t(n_) * value.stride();
        return value.by_row() ? position * kept(value) * (value.columns + value.left + value.right) : position;
    }

    const Plan& plan_;
    Arena& arena_;
    int32_t first_, n_, walks_;
    int64_t sum_ = 0;
    bool used_ = false;
    List<float*> values_;  // of each value
    std::vector<std::pair<int32_t, const float*>> maps_;
};

// What one walk reads and writes: the shared rows, seen from its own row, and what it alone keeps. The taps of
// a convolution are one matrix product whose rows are images (at a position) or columns and images (for a
// whole row), since both lie at equal distances.
class Store {
  public:
    Store(const Plan& plan, Rows& rows) : plan_(plan), rows_(rows), n_(rows.images()) {
        for (size_t i = 0; i < plan.values.size(); ++i) {
            const Value& value = plan.values[i];
            const int64_t position = int64_t(n_) * value.stride();
            rows.take(now_, value.storage == NOW ? position : 0);
            const int64_t partial = n_ * value.partial_stride() * value.columns;
            const bool wide = plan.arithmetic == DOUBLE, whole = in_whole_pairs(plan.arithmetic);
            rows.take(partials<float>(), wide || whole ? 0 : partial);
            rows.take(partials<double>(), wide ? partial : 0);
            rows.take(partials<int32_t>(), whole ? partial : 0);
        }
        top_.assign(plan.values.size(), 0);
    }

    const Rows& rows() const { return rows_; }

    // A value at a column, some rows above the current one: of all images, each a stride after the last.
    float* at(int32_t number, int32_t down, int32_t column) {
        const Value& value = plan_.values[number];
        if (value.storage == NOW) return now_[number];
        float* base = rows_.data(number);
        if (!value.by_row()) return base;
        const int32_t kept = rows_.kept(value), row = top_[number] + down;
        const int64_t columns = value.columns + value.left + value.right;
        return base + ((row < 0 ? row + kept : row) * columns + column + value.left) * n_ * value.stride();
    }

    // What finished rows add to a sum, from a feature on.
    template <typename Number>
    Number* partial(int32_t number, int32_t column, int32_t feature) {
        const Value& value = plan_.values[number];
        const int64_t at = int64_t(column) * n_ * value.partial_stride() + feature - value.first_sum;
        return partials<Number>()[number] + at;
    }

    // Moves to a row of the image, and so of all grids that have one there.
    void go_to(int32_t row) {
        for (size_t i = 0; i < top_.size(); ++i)
            if (plan_.values[i].by_row()) top_[i] = row / plan_.values[i].clock % rows_.kept(plan_.values[i]);
        for (const auto& [number, values] : rows_.maps()) copy_map(number, values, row);
    }

    void encode(const int32_t* levels, int32_t channel, int32_t row, int32_t column) {
        float* x = at(0, 0, column) + channel;
        const int64_t stride = plan_.values[0].stride();
        for (int32_t i = 0; i < n_; ++i)
            x[i * stride] = float(levels[rows_.index(i, channel, row, column)]) / float(plan_.divisor);
    }

  private:
    template <typename Number>
    List<Number*>& partials() {
        return std::get<List<Number*>>(partials_);
    }

    void copy_map(int32_t number, const float* values, int32_t row) {
        const Value& value = plan_.values[number];
        for (int32_t column = 0; column < plan_.width; ++column)
            for (int32_t i = 0; i < n_; ++i) {
                const int64_t from = (int64_t(rows_.first() + i) * plan_.height + row) * plan_.width + column;
                std::memcpy(at(number, 0, column) + i * value.stride(), values + from * value.width,
                            bytes(value.width));
            }
    }

    const Plan& plan_;
    Rows& rows_;
    int32_t n_;
    List<float*> now_;  // of each value
    std::tuple<List<float*>, List<double*>, List<int32_t*>> partials_;  // in what sums are taken in
    List<int32_t> top_;
};

}  // namespace
