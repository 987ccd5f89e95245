// Images that walk together, so that caches hold them: one row after the other, or several rows at a time.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "walk.h"

namespace {

class Slice {
  public:
    Slice(const Plan& plan, const Wave& wave, Arena& arena, int32_t first, int32_t images, int32_t walks)
        : plan_(plan), wave_(wave), rows_(plan, arena, first, images, walks), finished_(size_t(plan.height)) {
        for (int32_t i = 0; i < walks; ++i) walks_.push_back(std::make_unique<Walk>(plan, rows_));
    }

    int32_t first() const { return rows_.first(); }
    int32_t images() const { return rows_.images(); }
    void condition(int32_t value, const float* values) { rows_.condition(value, values); }
    const float* parameters(int32_t column) { return walks_.front()->parameters(column); }

    void advance(const int32_t* levels, int32_t channel, int32_t row, int32_t column) {
        if (channel == 0 && row == 0 && column == 0) rows_.begin();
        walks_.front()->advance(levels, channel, row, column);
    }

    // Before some rows are filled.
    void begin(int32_t row_begin, int32_t row_end) {
        if (row_begin == 0) rows_.begin();
        for (int32_t row = row_begin; row < row_end; ++row) finished_[size_t(row)] = 0;
        failed_ = false;
    }

    // The share of one walk of the rows of an image; all walks fill at the same time.
    void fill(const Fill& job, int32_t row_begin, int32_t row_end, int32_t number, int32_t walks) {
        Walk& walk = *walks_[size_t(number)];
        try {
            for (int32_t row = row_begin + number; row < row_end; row += walks)
                walks_.size() == 1 ? walk.fill(job, row) : fill_in_parts(walk, job, row, row_begin);
        } catch (const Stopped&) {
        } catch (...) {
            failed_ = true;  // those below wait for what will not come
            throw;
        }
    }

  private:
    struct Stopped {};

    void fill_in_parts(Walk& walk, const Fill& job, int32_t row, int32_t row_begin) {
        const auto prepare = [&](int32_t column) {
            if (column % PART) return 0;
            const int32_t end = std::min(column + PART, plan_.width);
            if (row > row_begin) wait(row - 1, wave_.needed(end));
            return end;
        };
        auto& finished = finished_[size_t(row)];
        walk.fill_in_parts(job, row, wave_, prepare,
                           [&](int32_t columns) { finished.store(columns, std::memory_order_release); });
    }

    void wait(int32_t row, int32_t columns) const {
        while (finished_[size_t(row)].load(std::memory_order_acquire) < columns) {
            if (failed_) throw Stopped();
            std::this_thread::yield();
        }
    }

    const Plan& plan_;
    const Wave& wave_;
    Rows rows_;
    std::vector<std::unique_ptr<Walk>> walks_;
    std::vector<std::atomic<int32_t>> finished_;  // columns of each row
    std::atomic<bool> failed_{false};
};

}  // namespace
