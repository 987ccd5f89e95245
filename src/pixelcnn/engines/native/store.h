// Where some images keep their values, as [row][column][image][feature].
#pragma once

#include "plan.h"

namespace {

// The taps of a convolution are one matrix product whose rows are images (at a position) or columns and
// images (for a whole row), since both lie at equal distances.
class Store {
  public:
    Store(const Plan& plan, int32_t first, int32_t images) : plan_(plan), first_(first), n_(images) {
        int64_t sum = 0;
        const auto take = [&sum](List<Floats>& list, int64_t floats) {
            sum += floats;
            require(floats < MAX_FLOATS && sum < MAX_FLOATS, "too much state");
            list.emplace_back(floats);
        };
        for (size_t i = 0; i < plan.values.size(); ++i) {
            const Value& value = plan.values[i];
            take(values_, size(value));
            take(partials_, plan.has_partial[i] ? int64_t(value.columns) * n_ * value.stride() : 0);
        }
        top_.assign(plan.values.size(), 0);
    }

    int32_t first() const { return first_; }
    int32_t images() const { return n_; }

    // A value at a column, some rows above the current one: of all images, each a stride after the last.
    float* at(int32_t number, int32_t down, int32_t column) {
        const Value& value = plan_.values[number];
        float* base = values_[number].data();
        if (!value.by_row()) return base;
        const int32_t rows = value.up + 1;
        const int32_t row = (top_[number] + rows + down) % rows;
        const int64_t columns = value.columns + value.left + value.right;
        return base + (row * columns + column + value.left) * n_ * value.stride();
    }

    // What finished rows add to a sum.
    float* partial(int32_t number, int32_t column) {
        return partials_[number].data() + int64_t(column) * n_ * plan_.values[number].stride();
    }

    // Condition values: (n, width) of a constant, (n, height, width of the image, width) of a map.
    void condition(int32_t number, const float* values) {
        const Value& value = plan_.values[number];
        if (value.storage == MAP) {
            maps_.emplace_back(number, values);
        } else {
            for (int32_t i = 0; i < n_; ++i)
                std::memcpy(at(number, 0, 0) + i * value.stride(), values + int64_t(first_ + i) * value.width,
                            bytes(value.width));
        }
    }

    // Moves values up where a row of their grid begins; the first row has nothing above it.
    void next_row(int32_t row) {
        for (size_t i = 0; i < top_.size(); ++i) {
            const Value& value = plan_.values[i];
            if (row == 0 && value.storage == ROWS) std::fill_n(values_[i].data(), size(value), 0.0f);
            if (row % value.clock == 0) top_[i] = (top_[i] + 1) % (value.up + 1);
        }
        for (const auto& [number, values] : maps_) copy_map(number, values, row);
    }

    void encode(const int32_t* levels, int32_t channel, int32_t row, int32_t column) {
        float* x = at(0, 0, column) + channel;
        const int64_t stride = plan_.values[0].stride();
        for (int32_t i = 0; i < n_; ++i)
            x[i * stride] = float(levels[index(i, channel, row, column)]) / float(plan_.divisor);
    }

    // Of a level in images (n, channels, height, width).
    int64_t index(int32_t image, int32_t channel, int32_t row, int32_t column) const {
        return ((int64_t(first_ + image) * plan_.channels + channel) * plan_.height + row) * plan_.width + column;
    }

  private:
    int64_t size(const Value& value) const {
        const int64_t position = int64_t(n_) * value.stride();
        return value.by_row() ? position * (value.up + 1) * (value.columns + value.left + value.right) : position;
    }

    void copy_map(int32_t number, const float* values, int32_t row) {
        const Value& value = plan_.values[number];
        for (int32_t column = 0; column < plan_.width; ++column)
            for (int32_t i = 0; i < n_; ++i) {
                const int64_t from = (int64_t(first_ + i) * plan_.height + row) * plan_.width + column;
                std::memcpy(at(number, 0, column) + i * value.stride(), values + from * value.width,
                            bytes(value.width));
            }
    }

    const Plan& plan_;
    int32_t first_, n_;
    List<Floats> values_, partials_;  // of each value; apart, so that a sanitizer sees where one ends
    List<int32_t> top_;
    std::vector<std::pair<int32_t, const float*>> maps_;
};

}  // namespace
