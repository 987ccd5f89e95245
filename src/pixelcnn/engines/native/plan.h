// A plan as it is read: every index, size and order of execution is checked before anything runs.
#pragma once

#include <map>

#include "weights.h"

namespace {

constexpr int64_t MAX_FLOATS = int64_t(1) << 34;  // 64 GiB of state is a damaged plan, not a model
constexpr int32_t MAGIC = 0x32505850;

struct Reader {
    const int32_t *at, *end;
    int32_t next() {
        require(at < end, "the plan ends too early");
        return *at++;
    }
    int32_t next(int32_t low, int64_t high, const char* what) {
        const int32_t value = next();
        require(low <= value && value <= high, what);
        return value;
    }
};

struct Plan {
    Floats pool;
    std::vector<Floats> paired_pools;
    std::vector<Aligned<double>> wide_pools;
    std::map<std::pair<const float*, int64_t>, std::vector<int16_t>> tables;
    List<Value> values;
    List<Memory> memories;
    List<std::vector<Instruction>> queues;  // of units: what is computed once, as it becomes due
    List<std::vector<Instruction>> phases;  // row start, each step, after the pixel, row end
    Arithmetic arithmetic;
    int32_t channels, height, width, levels, divisor, steps, output, result;
    int32_t components = 0;             // of a mixture
    double sharpest = 0, broadest = 0;  // its extreme scales: in levels, and in half ranges of them

    Plan(const int32_t* words, int64_t word_count, const float* weights, int64_t weight_count, Arithmetic sums)
        : pool(weight_count), arithmetic(here(sums)) {
        std::copy(weights, weights + weight_count, pool.data());
        Reader in{words, words + word_count};
        require(in.next() == MAGIC, "not a plan");
        require(in.next() == LANES, "a plan for another processor");
        channels = in.next(1, 1024, "channels");
        height = in.next(1, 65536, "height");
        width = in.next(1, 65536, "width");
        levels = in.next(2, 65536, "levels");
        divisor = in.next(1, 65535, "divisor of levels");
        steps = in.next(1, 1024, "steps");
        require(steps == 1 || steps == channels, "steps");
        read_output(in);
        const int32_t count = in.next(1, 1 << 20, "values");
        for (int32_t i = 0; i < count; ++i) values.push_back(read_value(in));
        require(values[0].width == channels && values[0].storage == ROWS && values[0].clock == 1,
                "the first value is the input");
        result = in.next(0, count - 1, "the result");
        const Value& last = values[result];
        require(last.width == parameters() && last.clock == 1 && last.storage <= ROWS,
                "the result gives the parameters");
        const int32_t remembered = in.next(0, 1 << 16, "memories");
        for (int32_t i = 0; i < remembered; ++i) memories.push_back(read_memory(in));
        const int32_t queued = in.next(0, 1 << 16, "queues");
        for (int32_t i = 0; i < queued; ++i) read_queue(in);
        for (int32_t phase = 0; phase < steps + 3; ++phase) {
            phases.emplace_back();
            const int32_t instructions = in.next(0, 1 << 20, "instructions");
            for (int32_t i = 0; i < instructions; ++i) phases.back().push_back(read(in, phase));
        }
        require(in.at == in.end, "the plan has a tail");
        require((arithmetic != DOUBLE && arithmetic != LONG) || queues.empty(), "units have no long sums");
        if (in_whole_pairs(arithmetic)) narrow(values, phases, result);
        for (auto& phase : phases)
            for (Instruction& i : phase)
                if (i.sums()) keep_weights(i);
    }

    // Of a pixel.
    int64_t parameters() const {
        switch (output) {
            case BERNOULLI: return channels;
            case CATEGORICAL: return int64_t(channels) * levels;
            default: return int64_t(channels + 1) * (channels + 2) / 2 * components;
        }
    }

    // The number of a step of a pixel among all of the walk.
    int64_t walk_step(int64_t pixel, int64_t step) const { return pixel * (steps + 1) + step; }

    int64_t positions(int32_t clock) const {
        return int64_t((height + clock - 1) / clock) * ((width + clock - 1) / clock);
    }

  private:
    // Weights as the arithmetic reads them. Sums that outgrow floats become floats by rounding.
    void keep_weights(Instruction& i) {
        if (arithmetic == DOUBLE || arithmetic == LONG)
            require(i.into_partial || i.function.op == REQUANTISE, "a long sum that is not rounded");
        if (arithmetic == DOUBLE) wide_pools.push_back(widened_weight(i));
        if (!in_pairs(arithmetic) || i.segments.empty()) return;
        if (i.kind == PRODUCT)
            paired_pools.push_back(arithmetic == HALF ? paired_weight<HALF>(i) : paired_weight<INTEGER>(i));
        else if (arithmetic != HALF)
            paired_pools.push_back(values[i.from].narrow ? paired_taps(i) : lone_taps(i));
    }

    void read_output(Reader& in) {
        output = in.next(0, OUTPUTS - 1, "output");
        require(output != BERNOULLI || levels == 2, "levels");
        if (output != LOGISTIC_MIXTURE) return;
        components = in.next(1, 1000, "components");
        const float* scales = floats(in, 2);
        sharpest = scales[0];
        broadest = scales[1];
    }

    Value read_value(Reader& in) {
        Value value{};
        value.width = in.next(1, 1 << 24, "features");
        value.clock = in.next(0, 4096, "clock");
        value.up = in.next(0, 4096, "rows above");
        value.left = in.next(0, 4096, "columns to the left");
        value.right = in.next(0, 4096, "columns to the right");
        value.storage = in.next(0, STORAGES - 1, "storage");
        require((value.storage == UNITS) == (value.clock == 0), "only units have no grid");
        value.columns = value.clock ? (width + value.clock - 1) / value.clock : 1;
        require(value.by_row() || value.up + value.left + value.right == 0, "only rows are read at offsets");
        require(value.storage < CONSTANT || value.clock <= 1, "a condition is one of the image");
        return value;
    }

    Memory read_memory(Reader& in) {
        Memory memory{};
        memory.heads = in.next(1, 1 << 16, "heads");
        memory.key = in.next(1, 1 << 16, "features of a key");
        memory.value = in.next(1, 1 << 16, "features of a value");
        memory.clock = in.next(1, 4096, "clock");
        memory.first = floats(in, int64_t(memory.heads) * (memory.key + memory.value));
        return memory;
    }

    const Value& value(int32_t number, int64_t start, int64_t count) const {
        require(number >= 0 && number < int64_t(values.size()), "a value that does not exist");
        require(start >= 0 && count >= 0 && start + count <= values[number].width, "features out of range");
        return values[number];
    }

    const float* floats(Reader& in, int64_t count) const {
        const int64_t offset = in.next();
        require(offset >= 0 && count >= 0 && offset + count <= pool.size(), "weights out of range");
        return pool.data() + offset;
    }

    // A table's, which many instructions share.
    const int16_t* entries(const float* table, int64_t count) {
        std::vector<int16_t>& made = tables[{table, count}];
        if (made.empty()) made = whole_entries(table, count);
        return made.data();
    }

    const Value& read_target(Reader& in, Instruction& i) const {
        i.to = in.next();
        i.to_start = in.next();
        i.count = in.next();
        const Value& to = value(i.to, i.to_start, i.count);
        i.every = to.clock;
        return to;
    }

    // Units are computed of units and of conditions, each from a step of the walk on.
    void read_queue(Reader& in) {
        queues.emplace_back();
        auto& queue = queues.back();
        const int32_t instructions = in.next(0, 1 << 26, "instructions");
        for (int32_t k = 0; k < instructions; ++k) {
            Instruction i{};
            const int32_t pixel = in.next(0, int64_t(height) * width - 1, "a pixel outside the image");
            i.due = walk_step(pixel, in.next(0, steps, "a step of a pixel"));
            require(queue.empty() || queue.back().due <= i.due, "the order of execution");
            i.kind = in.next(0, KINDS - 1, "instruction");
            require(read_target(in, i).storage == UNITS, "a queue is of units");
            require(i.kind == DENSE || i.kind == POINTWISE, "an instruction that units have not");
            i.kind == DENSE ? read_dense(in, i) : read_pointwise(in, i);
            queue.push_back(std::move(i));
        }
    }

    void read_dense(Reader& in, Instruction& i) const {
        i.from = in.next();
        const Segment segment{0, 0, in.next(), in.next()};
        require(value(i.from, segment.first, segment.count).storage == UNITS, "a dense layer reads units");
        i.segments.push_back(segment);
        i.start = in.next(0, BIAS, "start");
        if (i.start == BIAS) i.bias = floats(in, i.count);
        i.weight = floats(in, i.count * whole(segment.count));
    }

    // The features of a position are what others write to.
    void read_places(Reader& in, Instruction& i) const {
        const Value& here = values[i.to];
        require(here.clock == 1, "units stand for positions of the image");
        require(i.kind == FLATTEN || here.storage <= ROWS, "a condition is not computed");
        i.a = in.next();
        require(value(i.a, 0, 0).storage == UNITS, "no units");
        const int64_t last = values[i.a].width - i.count;
        for (int64_t pixel = int64_t(height) * width; pixel-- > 0;)
            i.places.push_back(in.next(0, last, "units out of range"));
    }

    Instruction read(Reader& in, int32_t phase) {
        Instruction i{};
        i.kind = in.next(0, DENSE - 1, "instruction");
        i.scan = in.next(0, phase == steps + 2 ? 1 << 20 : 0, "a scan outside a row's end");
        const Value& to = read_target(in, i);
        const bool row = (phase == 0 || phase == steps + 2) && !i.scan;
        if (i.kind == REMEMBER) {
            read_remember(in, i);
        } else if (i.kind == FLATTEN || i.kind == UNFLATTEN) {
            read_places(in, i);
        } else if (i.kind == ADVANCE) {
            require(to.clock == 1, "units become known at every position");
            i.queue = in.next(0, int64_t(queues.size()) - 1, "a queue that does not exist");
            i.due = phase - 1;
        } else {
            require(to.storage == NOW || to.storage == ROWS, "a condition is not computed");
            read_kind(in, i);
            require(!row || i.into_partial || to.storage == ROWS, "a row needs storage");
        }
        require(phase > 0 && phase < steps + 2 ? i.kind != POSITION : i.kind < ATTEND, "the order of execution");
        for (const int32_t read : {i.from, i.a, i.b, i.residual})
            require(!row || read < 0 || values[read].storage != NOW, "a row reads a single position");
        if (i.scan && !phases.back().empty() && phases.back().back().scan == i.scan)
            require(phases.back().back().every == i.every && i.step == 1, "a scan of several grids");
        return i;
    }

    void read_kind(Reader& in, Instruction& i) {
        switch (i.kind) {
            case PRODUCT:
            case DEPTHWISE: return read_sums(in, i);
            case POINTWISE: return read_pointwise(in, i);
            case NORM: return read_norm(in, i);
            case LOOKUP: return read_lookup(in, i);
            case POSITION: return read_position(in, i);
            default: return read_attend(in, i);
        }
    }

    // One of the values that an instruction reads where it writes: on the same grid, or everywhere the same.
    const Value& beside(int32_t clock, int32_t number, int64_t start, int64_t count) const {
        const Value& read = value(number, start, count);
        require(read.clock == clock || read.storage == CONSTANT, "values of several grids");
        return read;
    }

    void read_sums(Reader& in, Instruction& i) {
        i.from = in.next();
        require(value(i.from, 0, 0).storage != UNITS, "units have no position");
        i.into_partial = in.next(0, 1, "flag");
        read_grids(in, i);
        i.start = in.next(0, STARTS - 1, "start");
        if (i.start == BIAS) i.bias = floats(in, i.count);
        if (i.start == PARTIAL) require(values[i.to].first_sum <= i.to_start, "a partial sum that was never taken");
        if (i.into_partial) values[i.to].first_sum = std::min(values[i.to].first_sum, i.to_start);
        require(!(i.into_partial && i.start == PARTIAL), "a partial sum of itself");
        i.function = read_function(in, i.count);
        require(SIGNATURES[i.function.op].values == 1, "a sum ends with a function of itself");
        i.residual = in.next();
        if (i.residual != -1) {
            i.residual_start = in.next();
            const Value& added = beside(values[i.to].clock, i.residual, i.residual_start, i.count);
            require(added.storage != CONSTANT, "a sum adds a value of the position");
        }
        const int32_t segments = in.next(0, 1 << 16, "segments");
        int64_t depth = 0;
        for (int32_t s = 0; s < segments; ++s) {
            const Segment segment{in.next(), in.next(), in.next(), in.next()};
            const Value& from = value(i.from, segment.first, segment.count);
            require(i.kind == PRODUCT || segment.count == i.count, "a segment of another width");
            require(-from.up <= segment.down && segment.down <= 0, "a row out of reach");
            require(-from.left <= segment.right && segment.right <= from.right, "a column out of reach");
            depth += segment.count;
            require(depth < 1 << 28, "a product too deep");
            i.segments.push_back(segment);
        }
        i.depth = int32_t(i.kind == PRODUCT ? depth : segments);
        i.weight = floats(in, i.depth * whole(i.count));
    }

    // A grid is as fine as what is read, coarser, or finer: then a phase names which of its positions are meant.
    void read_grids(Reader& in, Instruction& i) {
        const Value &to = values[i.to], &from = values[i.from];
        if (from.storage != CONSTANT) {
            if (to.clock % from.clock == 0)
                i.stride = to.clock / from.clock;
            else
                i.step = from.clock / to.clock;
            require(to.clock * i.step == from.clock * i.stride, "grids that do not fit");
        }
        i.every = to.clock * i.step;
        i.row_at = to.clock * in.next(0, i.step - 1, "phase");
        i.column_at = to.clock * in.next(0, i.step - 1, "phase");
    }

    Function read_function(Reader& in, int64_t count) {
        Function function;
        function.op = Operation(in.next(0, OPERATIONS - 1, "operation"));
        const Signature& takes = SIGNATURES[function.op];
        if (takes.per_feature) function.per_feature = floats(in, count);
        if (takes.constants) {
            const float* constants = floats(in, takes.constants);
            function.constants.first = splat(constants[0]);
            function.constants.second = splat(constants[std::min(1, takes.constants - 1)]);
            function.constants.third = splat(constants[takes.constants - 1]);
        }
        if (function.op == TABLE || function.op == TABLE_GATE) {
            const float limit = function.constants.third[0];
            require(limit >= 0 && limit <= 1 << 20 && limit == float(int32_t(limit)), "entries of a table");
            function.constants.table = entries(floats(in, 2 * int64_t(limit) + 1), 2 * int64_t(limit) + 1);
        }
        return function;
    }

    void read_pointwise(Reader& in, Instruction& i) {
        i.function = read_function(in, i.count);
        i.a = in.next();
        i.a_start = in.next();
        beside(i.every, i.a, i.a_start, i.count);
        if (SIGNATURES[i.function.op].values == 1) return;
        i.b = in.next();
        i.b_start = in.next();
        beside(i.every, i.b, i.b_start, i.count);
    }

    void read_norm(Reader& in, Instruction& i) {
        i.a = in.next();
        const Value& from = beside(i.every, i.a, 0, 0);
        i.gain = floats(in, i.count);
        i.centred = in.next(0, 1, "flag") != 0;
        if (in.next(0, 1, "flag")) i.bias = floats(in, i.count);
        i.epsilon = *floats(in, 1);
        const int32_t groups = in.next(0, 1 << 16, "groups");
        for (int32_t g = 0; g < groups; ++g) {
            i.groups.emplace_back();
            Group& group = i.groups.back();
            for (auto* list : {&group.read, &group.write}) {
                const int32_t size = in.next(0, 1 << 24, "group size");
                const int64_t high = list == &group.read ? from.width - 1 : i.count - 1;
                for (int32_t k = 0; k < size; ++k) list->push_back(in.next(0, high, "feature of a group"));
            }
            group.run = counts_up(group.read) && counts_up(group.write);
            require(!group.read.empty() && group.read.size() == group.write.size(), "groups");
        }
    }

    static bool counts_up(const std::vector<int32_t>& list) {
        return std::adjacent_find(list.begin(), list.end(), [](int32_t a, int32_t b) { return b != a + 1; }) ==
               list.end();
    }

    void read_lookup(Reader& in, Instruction& i) {
        i.a = in.next();
        i.a_start = in.next();
        beside(i.every, i.a, i.a_start, 1);
        i.levels = in.next(1, 65536, "levels of a table");
        i.table = floats(in, int64_t(i.levels) * i.count);
    }

    void read_position(Reader& in, Instruction& i) {
        i.table = floats(in, int64_t((height + i.every - 1) / i.every) * i.count);
        i.column_table = floats(in, int64_t(values[i.to].columns) * i.count);
    }

    const Memory& read_memory_of(Reader& in, Instruction& i) const {
        i.memory = in.next(0, int64_t(memories.size()) - 1, "a memory that does not exist");
        require(memories[i.memory].clock == i.every, "values of several grids");
        return memories[i.memory];
    }

    void read_attend(Reader& in, Instruction& i) const {
        const Memory& memory = read_memory_of(in, i);
        require(i.count == memory.heads * int64_t(memory.value), "features of a memory");
        i.a = in.next();
        i.a_start = in.next();
        beside(i.every, i.a, i.a_start, memory.heads * int64_t(memory.key));
    }

    // The key is what others write to.
    void read_remember(Reader& in, Instruction& i) const {
        const Memory& memory = read_memory_of(in, i);
        require(i.count == memory.heads * int64_t(memory.key), "features of a memory");
        i.a = in.next();
        i.a_start = in.next();
        beside(i.every, i.a, i.a_start, memory.heads * int64_t(memory.value));
    }
};

}  // namespace
