// The walk of some images: what is computed when, and what is drawn of it.
#pragma once

#include <string>

#include "attend.h"
#include "depthwise.h"
#include "depthwise_pairs.h"
#include "draw.h"
#include "norm.h"
#include "units.h"
#include "wave.h"

namespace {

struct Fill {
    int32_t* levels;        // (n, channels, height, width), read where known, written where not
    const uint8_t* known;   // the same shape
    const double* uniform;  // the same shape
    double temperature;
};

class Walk {
  public:
    Walk(const Plan& plan, Rows& rows) : plan_(plan), n_(rows.images()), store_(plan, rows), drawer_(plan) {
        for (const Memory& memory : plan.memories) keys_.emplace_back(memory, plan.positions(memory.clock), n_);
    }

    // Brings everything up to the parameters of one position; levels before it are final.
    void advance(const int32_t* levels, int32_t channel, int32_t row, int32_t column) {
        if (channel == 0) {
            if (column > 0)
                finish(levels, row, column - 1);
            else
                next_row(levels, row);
        }
        step(levels, channel, row, column);
    }

    const float* parameters(int32_t column) { return store_.at(plan_.result, 0, column); }

    void fill(const Fill& job, int32_t row) {
        for (int32_t column = 0; column < plan_.width; ++column)
            for (int32_t step = 0; step < plan_.steps; ++step) {
                advance(job.levels, step, row, column);
                draw(job, step, row, column);
            }
    }

    // The same with what is computed for the whole row a part at a time: ``prepare(column)`` says whether more
    // columns are needed, and waits until the row above has what they read; ``done(columns)`` hears how far it is.
    template <typename Prepare, typename Done>
    void fill_in_parts(const Fill& job, int32_t row, const Wave& wave, Prepare prepare, Done done) {
        store_.go_to(row);
        reached_.assign(plan_.phases.front().size(), 0);
        for (int32_t column = 0; column < plan_.width; ++column) {
            if (const int32_t end = prepare(column)) run_ahead(wave, row, end);
            for (int32_t step = 0; step < plan_.steps; ++step) {
                this->step(job.levels, step, row, column);
                draw(job, step, row, column);
            }
            finish(job.levels, row, column);
            done(column + 1);
        }
    }

  private:
    void step(const int32_t* levels, int32_t channel, int32_t row, int32_t column) {
        if (channel >= plan_.steps) return;
        if (channel > 0) store_.encode(levels, channel - 1, row, column);
        run_at(plan_.phases[1 + channel], row, column);
    }

    void finish(const int32_t* levels, int32_t row, int32_t column) {
        for (int32_t channel = 0; channel < plan_.channels; ++channel) store_.encode(levels, channel, row, column);
        run_at(plan_.phases[1 + plan_.steps], row, column);
    }

    void next_row(const int32_t* levels, int32_t row) {
        if (row > 0) {
            store_.go_to(row - 1);  // another walk may have been there
            finish(levels, row - 1, plan_.width - 1);
            run_row(plan_.phases.back(), row - 1);
        }
        if (row == 0) done_.assign(plan_.queues.size(), 0);
        store_.go_to(row);
        run_row(plan_.phases.front(), row);
    }

    // What is computed before the row, for the columns that are needed up to one, each value as far ahead as it is
    // read.
    void run_ahead(const Wave& wave, int32_t row, int32_t end) {
        const auto& phase = plan_.phases.front();
        for (size_t k = 0; k < phase.size(); ++k) {
            const int32_t until = std::min(end + wave.lead(phase[k].to), plan_.width);
            if (until > reached_[k]) execute(phase[k], row, reached_[k], until - reached_[k]);
            reached_[k] = std::max(until, reached_[k]);
        }
    }

    void run_at(const std::vector<Instruction>& phase, int32_t row, int32_t column) {
        for (const Instruction& i : phase)
            if (row % i.every == i.row_at && column % i.every == i.column_at)
                execute(i, row, column / plan_.values[i.to].clock, 1);
    }

    void run_row(const std::vector<Instruction>& phase, int32_t row) {
        for (size_t at = 0; at < phase.size();) {
            const Instruction& i = phase[at];
            size_t end = at + 1;
            while (i.scan && end < phase.size() && phase[end].scan == i.scan) ++end;
            if (row % i.every == i.row_at) {
                const int32_t clock = plan_.values[i.to].clock, columns = plan_.values[i.to].columns;
                if (i.scan)
                    for (int32_t c = columns; c-- > 0;)
                        for (size_t k = at; k < end; ++k) execute(phase[k], row, c, 1);
                else if (i.column_at / clock < columns)
                    execute(i, row, i.column_at / clock, (columns - i.column_at / clock + i.step - 1) / i.step);
            }
            at = end;
        }
    }

    // Computes some columns of a value's grid, a step apart.
    void execute(const Instruction& i, int32_t row, int32_t column, int32_t columns) {
        if (columns == 1 || together(i)) return positions(i, row, column, columns);
        for (int32_t k = 0; k < columns; ++k) positions(i, row, column + k * i.step, 1);
    }

    // Whether all that columns read and write lies at equal distances.
    bool together(const Instruction& i) const {
        const auto apart = [this](int32_t number) { return number >= 0 && plan_.values[number].storage == CONSTANT; };
        const bool sums = i.step == 1 && i.stride == 1 && !apart(i.from);
        return i.sums() ? sums : !apart(i.a) && !apart(i.b) && i.kind != POSITION;
    }

    // Neighbouring columns of all images, from one on.
    void positions(const Instruction& i, int32_t row, int32_t column, int32_t columns) {
        const int64_t rows = int64_t(n_) * columns;
        switch (i.kind) {
            case PRODUCT:
            case DEPTHWISE:
                if (plan_.arithmetic == DOUBLE) return sums<double>(i, column, columns);
                return in_whole_pairs(plan_.arithmetic) ? sums<Whole>(i, column, columns) : sums<float>(i, column, columns);
            case POINTWISE: return pointwise(i, column, rows);
            case NORM:
                return norm(i, store_.at(i.a, 0, column), stride(i.a), to(i, column), stride(i.to), rows);
            case LOOKUP: return lookup(i, column, rows);
            case POSITION: return position(i, row, column);
            case ATTEND: return attend(i, row, column);
            case REMEMBER: return remember(i, row, column);
            case ADVANCE: return compute_due(i, row, column);
            case DENSE: return dense(i, store_.at(i.from, 0, 0), stride(i.from), to(i, 0), stride(i.to), n_);
            default: return move_units(i, row, column);
        }
    }

    float* to(const Instruction& i, int32_t column) {
        return store_.at(i.to, 0, column) + plan_.values[i.to].place(i.to_start);
    }
    int64_t stride(int32_t number) const { return plan_.values[number].stride(); }

    template <typename Number>
    void sums(const Instruction& i, int32_t column, int32_t columns) {
        const int64_t rows = int64_t(n_) * columns;
        Product<Number> p{};
        const Value& from = plan_.values[i.from];
        p.out_stride = stride(i.to);
        p.partial_stride = plan_.values[i.to].partial_stride();
        p.narrow = plan_.values[i.to].narrow;
        p.function = &i.function;
        p.residual = i.residual < 0 ? nullptr : store_.at(i.residual, 0, column) + i.residual_start;
        p.residual_stride = i.residual < 0 ? 0 : stride(i.residual);
        p.out = to(i, column);
        if (i.into_partial) p.partial = store_.partial<Number>(i.to, column, i.to_start);
        if (i.start == PARTIAL) p.begun = store_.partial<Number>(i.to, column, i.to_start);
        p.bias = i.bias;
        p.count = i.count;
        p.depth = i.depth;
        p.x_stride = stride(i.from);
        p.segments = i.segments.data();
        p.segment_count = int32_t(i.segments.size());
        pointers_.clear();
        const int32_t source = column / i.step * i.stride;
        for (const Segment& segment : i.segments)
            pointers_.push_back(store_.at(i.from, segment.down, source + segment.right) + from.place(segment.first));
        const Segment whole{0, 0, 0, 2 * i.paired_depth};
        p.arithmetic = plan_.arithmetic;
        if constexpr (std::is_same_v<Number, double>) {
            p.weight = i.wide_weight;
        } else {
            p.weight = reinterpret_cast<const Number*>(i.paired_weight ? i.paired_weight : i.weight);
            if (i.kind == PRODUCT && i.paired_weight) read_pairs(p, i, from.narrow, whole, rows);
        }
        p.x = pointers_.data();
#if defined(PIXELCNN_WHOLE_PAIRS)
        if constexpr (std::is_same_v<Number, int32_t>)
            if (i.kind == DEPTHWISE && from.narrow) return weigh_pairs(p, i, n_, columns);
#endif
        i.kind == PRODUCT ? multiply(p, rows) : weigh(p, n_, columns);
    }

    // A product of pairs, which are there or are made.
    template <typename Number>
    void read_pairs(Product<Number>& p, const Instruction& i, bool there, const Segment& whole, int64_t rows) {
        p.depth = i.paired_depth;
        if (there) return;
        plan_.arithmetic == HALF ? pair_rows<HALF>(i, rows, p.x_stride) : pair_rows<INTEGER>(i, rows, p.x_stride);
        p.segments = &whole;
        p.segment_count = 1;
        p.x_stride = i.paired_depth;
    }

    // Gathers the segments of all rows as pairs, one row after the other.
    template <Arithmetic kind>
    void pair_rows(const Instruction& i, int64_t rows, int64_t stride) {
        if (paired_.size() < rows * i.paired_depth) paired_ = Floats(rows * i.paired_depth);
        float* out = paired_.data();
        for (int64_t r = 0; r < rows; ++r)
            for (size_t s = 0; s < i.segments.size(); ++s) {
                pair<kind>(pointers_[s] + r * stride, i.segments[s].count, out);
                out += pairs(i.segments[s].count);
            }
        pointers_.assign(1, paired_.data());
    }

    void pointwise(const Instruction& i, int32_t column, int64_t rows) {
        const bool two = i.b >= 0;
        const float* b = two ? store_.at(i.b, 0, column) + i.b_start : i.function.per_feature;
        compute(i.function.op, {to(i, column), store_.at(i.a, 0, column) + i.a_start, b, stride(i.to), stride(i.a),
                                two ? stride(i.b) : 0, rows, i.count, i.function.constants, plan_.values[i.to].narrow});
    }

    void lookup(const Instruction& i, int32_t column, int64_t rows) {
        const float* from = store_.at(i.a, 0, column) + i.a_start;
        float* out = to(i, column);
        const float last = float(i.levels - 1);
        for (int64_t row = 0; row < rows; ++row, from += stride(i.a), out += stride(i.to)) {
            const auto level = int64_t(*from > 0 ? std::min(*from, last) : 0);  // whatever it holds
            std::memcpy(out, i.table + level * i.count, bytes(i.count));
        }
    }

    void position(const Instruction& i, int32_t row, int32_t column) {
        const float* down = i.table + int64_t(row / i.every) * i.count;
        const float* right = i.column_table + int64_t(column) * i.count;
        each<ADD>({to(i, column), down, right, stride(i.to), 0, 0, n_, i.count});
    }

    // A position's place among those of its grid, in coding order.
    int64_t place(const Instruction& i, int32_t row, int32_t column) const {
        return int64_t(row / i.every) * plan_.values[i.to].columns + column;
    }

    void attend(const Instruction& i, int32_t row, int32_t column) {
        const float* query = store_.at(i.a, 0, column) + i.a_start;
        float* out = to(i, column);
        for (int32_t image = 0; image < n_; ++image, query += stride(i.a), out += stride(i.to))
            keys_[i.memory].attend(image, place(i, row, column) + 1, query, out);
    }

    void remember(const Instruction& i, int32_t row, int32_t column) {
        const float *key = to(i, column), *value = store_.at(i.a, 0, column) + i.a_start;
        for (int32_t image = 0; image < n_; ++image, key += stride(i.to), value += stride(i.a))
            keys_[i.memory].remember(image, place(i, row, column) + 1, key, value);
    }

    int64_t pixel(int32_t row, int32_t column) const { return int64_t(row) * plan_.width + column; }

    // Units that have become known since the last time.
    void compute_due(const Instruction& i, int32_t row, int32_t column) {
        const auto& queue = plan_.queues[i.queue];
        const int64_t now = plan_.walk_step(pixel(row, column), i.due);
        for (size_t& done = done_[i.queue]; done < queue.size() && queue[done].due <= now; ++done)
            positions(queue[done], row, 0, 1);
    }

    // Between the features of a position and its units.
    void move_units(const Instruction& i, int32_t row, int32_t column) {
        float *here = to(i, column), *units = store_.at(i.a, 0, 0) + i.places[size_t(pixel(row, column))];
        for (int32_t image = 0; image < n_; ++image, here += stride(i.to), units += stride(i.a))
            i.kind == FLATTEN ? std::memcpy(units, here, bytes(i.count)) : std::memcpy(here, units, bytes(i.count));
    }

    // The channels of a pixel whose parameters are known at a step: its own, or all of them.
    void draw(const Fill& job, int32_t step, int32_t row, int32_t column) {
        const int32_t end = plan_.steps == 1 ? plan_.channels : step + 1;
        const int64_t plane = int64_t(plan_.height) * plan_.width;
        const float* parameters = this->parameters(column);
        for (int32_t i = 0; i < n_; ++i, parameters += stride(plan_.result)) {
            const int64_t pixel = store_.rows().index(i, 0, row, column);
            const int32_t failed =
                drawer_.draw(parameters, step, end, job.levels + pixel, job.known + pixel, job.uniform + pixel, plane,
                             job.temperature);
            if (failed < 0) continue;
            const std::string at = std::to_string(failed) + ", row " + std::to_string(row) + ", column ";
            throw Refused("image " + std::to_string(store_.rows().first() + i) + " has no distribution at channel " + at +
                          std::to_string(column) + ": its parameters are not finite");
        }
    }

    const Plan& plan_;
    int32_t n_;
    Store store_;
    List<Keys> keys_;
    List<int32_t> reached_;  // column of each instruction before the row
    List<size_t> done_;      // instructions of each queue of units
    Drawer drawer_;
    std::vector<const float*> pointers_;
    Floats paired_{0};
};

}  // namespace
