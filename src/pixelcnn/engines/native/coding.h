// Images as words of a range coder, and back: position after position, all images of each, on several threads.
#pragma once

#include "coder.h"
#include "slice.h"

namespace {

// The levels of all images of an engine, coded in order by whoever's turn it is.
class Coding {
  public:
    Coding(const Plan& plan, const Tables& tables, const uint32_t* words, int64_t count)
        : plan_(plan), tables_(tables), decoder_(words, count), decodes_(words != nullptr) {}

    bool decodes() const { return decodes_; }
    std::vector<uint32_t> words() const { return encoder_.words(); }

    void begin() {
        turn_ = 0;
        failed_ = false;
    }

    // Rows of every so-many-th slice, from one on. Parameters are computed whenever they can be; levels are coded
    // one slice after the other.
    void work(const std::vector<std::unique_ptr<Slice>>& slices, size_t first, size_t step, int32_t* levels,
              int32_t row_begin, int32_t row_end) {
        try {
            std::vector<Law> laws;
            int64_t turn = 0;
            for (int32_t row = row_begin; row < row_end; ++row)
                for (int32_t column = 0; column < plan_.width; ++column)
                    for (int32_t channel = 0; channel < plan_.channels; ++channel, turn += int64_t(slices.size()))
                        for (size_t k = first; k < slices.size(); k += step)
                            code(*slices[k], laws, turn + int64_t(k), levels, channel, row, column);
        } catch (const Stopped&) {
        } catch (...) {
            failed_ = true;  // others wait for what will not come
            throw;
        }
    }

  private:
    struct Stopped {};

    void code(Slice& slice, std::vector<Law>& laws, int64_t turn, int32_t* levels, int32_t channel, int32_t row,
              int32_t column) {
        const int64_t plane = int64_t(plan_.height) * plan_.width;
        const int64_t stride = plan_.values[plan_.result].stride();
        int32_t* first = levels + int64_t(slice.first()) * plan_.channels * plane + int64_t(row) * plan_.width + column;
        slice.advance(levels, channel, row, column);
        const float* parameters = slice.parameters(column);
        while (laws.size() < size_t(slice.images())) laws.emplace_back(plan_, tables_);
        for (int32_t i = 0; i < slice.images(); ++i)
            laws[size_t(i)].turn(parameters + i * stride, channel, first + i * plan_.channels * plane, plane);
        while (turn_.load(std::memory_order_acquire) != turn) {
            if (failed_) throw Stopped();
            std::this_thread::yield();
        }
        for (int32_t i = 0; i < slice.images(); ++i) {
            int32_t& level = first[(int64_t(i) * plan_.channels + channel) * plane];
            if (decodes_) {
                level = decoder_.decode(laws[size_t(i)]);
                continue;
            }
            require(level >= 0 && level < plan_.levels, "a level out of range");
            const int64_t begin = laws[size_t(i)].below(level);
            encoder_.encode(begin, laws[size_t(i)].below(level + 1) - begin);
        }
        turn_.store(turn + 1, std::memory_order_release);
    }

    const Plan& plan_;
    Tables tables_;
    Encoder encoder_;
    Decoder decoder_;
    bool decodes_;
    std::atomic<int64_t> turn_{0};
    std::atomic<bool> failed_{false};
};

}  // namespace
