// Walks a lowered network over the positions of many images, and draws their levels on the way.
//
// A plan (see plan.py) is two arrays: int32 words that name values and instructions, and float32 weights.
// It is checked in full before anything runs: every index, size and order of execution. A value is stored
// as [column][image][feature]; so the taps of a convolution are one matrix product whose rows are images
// (at a position) or columns and images (for a whole row), and its weights are read as vectors of outputs.
//
// Every output of a product is summed in the order of its inputs by fused multiply-adds, whatever the tile;
// therefore results do not depend on the number of images, their grouping or the number of threads.

#include <cstdio>
#include <exception>
#include <new>

#include "coding.h"

namespace {

// Images that walk together at most, so that caches hold them. Many are odd in number: what lies a power of two apart
// crowds few sets of a cache.
constexpr int SLICE = 31;

struct Engine {
    Plan plan;
    Wave wave;
    int32_t walks = 1;  // of a slice: rows that advance together
    Arena arena;
    std::vector<std::unique_ptr<Slice>> slices;
    int64_t next = 0;  // the sub-pixel that comes next, in coding order
    std::unique_ptr<Coding> coding;

    // Conditions live as long as the engine.
    Engine(const int32_t* words, int64_t word_count, const float* weights, int64_t weight_count, int32_t n,
           int32_t threads, Arithmetic arithmetic, const float* conditions, int64_t condition_count)
        : plan(words, word_count, weights, weight_count, arithmetic), wave(plan) {
        require(n >= 1, "no images");
        // As many for each thread, of nearly as many images.
        const int32_t shares = std::min(threads, n), rounds = (n - 1) / SLICE / shares + 1;
        walks = wave.walks(threads / shares);
        for (int32_t left = n, parts = shares * rounds, size; parts > 0; left -= size, --parts) {
            size = left / parts;
            if (size > 7 && parts > 1) size |= 1;
            slices.push_back(std::make_unique<Slice>(plan, wave, arena, n - left, size, walks));
        }
        int64_t offset = 0;
        for (size_t i = 0; i < plan.values.size(); ++i) {
            const Value& value = plan.values[i];
            if (value.storage != CONSTANT && value.storage != MAP) continue;
            const int64_t places = value.storage == MAP ? int64_t(plan.height) * plan.width : 1;
            const int64_t each = places * value.width;
            require(each <= (condition_count - offset) / n, "condition values out of range");
            for (auto& slice : slices) slice->condition(int32_t(i), conditions + offset);
            offset += n * each;
        }
        require(offset == condition_count, "condition values out of range");
    }

    // Sub-pixels come in coding order, from the first on, which may come again.
    template <typename Action>
    void visit(int64_t from, int64_t to, Action action) {
        require(from == 0 || from == next, "positions come in coding order");
        next = -1;  // of a walk that broke off
        action();
        next = to;
    }

    void step(const int32_t* levels, int32_t channel, int32_t row, int32_t column, float* out) {
        const Value& result = plan.values[plan.result];
        for (auto& slice : slices) {
            slice->advance(levels, channel, row, column);
            const float* parameters = slice->parameters(column);
            for (int32_t i = 0; i < slice->images(); ++i)
                std::memcpy(out + int64_t(slice->first() + i) * result.width, parameters + i * result.stride(),
                            bytes(result.width));
        }
    }

    void fill(const Fill& job, int32_t row_begin, int32_t row_end, size_t threads) {
        for (auto& slice : slices) slice->begin(row_begin, row_end);
        // Walks of one slice wait for each other, so each has a thread; slices can follow each other.
        const size_t shares = slices.size() * size_t(walks), count = walks > 1 ? shares : std::min(threads, shares);
        share(count, [&](size_t worker, size_t started) {
            const int32_t together = started == count ? walks : 1;  // walks of a slice
            for (size_t share = worker; share < shares; share += count) {
                const auto number = int32_t(share / slices.size());
                if (number < together)
                    slices[share % slices.size()]->fill(job, row_begin, row_end, number, together);
            }
        });
    }

    void code(int32_t* levels, int32_t row_begin, int32_t row_end, size_t threads) {
        coding->begin();
        share(std::min(threads, slices.size()), [&](size_t worker, size_t started) {
            if (worker < started) coding->work(slices, worker, started, levels, row_begin, row_end);
        });
    }

    // Work for some threads: each hears its number, and how many were started. Where the system has no more
    // threads, or no memory for them, this one does their work after its own.
    template <typename Work>
    static void share(size_t count, const Work& work) {
        std::atomic<size_t> started{0};  // once it is known
        std::vector<std::exception_ptr> failures(count);
        const auto one = [&](size_t worker) {
            while (started == 0) std::this_thread::yield();
            try {
                work(worker, started);
            } catch (...) {
                failures[worker] = std::current_exception();
            }
        };
        std::vector<std::thread> others;
        others.reserve(count);
        size_t running = 1;
        try {
            for (; running < count; ++running) others.emplace_back(one, running);
        } catch (const std::exception&) {
        }
        started = running;
        one(0);
        for (size_t worker = running; worker < count; ++worker) one(worker);
        for (auto& thread : others) thread.join();
        for (auto& failure : failures)
            if (failure) std::rethrow_exception(failure);
    }
};

template <typename Action>
int guarded(char* error, int64_t error_size, Action action) {
    try {
        action();
        return 0;
    } catch (const std::bad_alloc&) {
        std::snprintf(error, size_t(error_size), "out of memory");
        return 2;
    } catch (const std::exception& problem) {
        std::snprintf(error, size_t(error_size), "%s", problem.what());
        return 1;
    }
}

}  // namespace

extern "C" {

// The names of a plan's words, and how many floats are read together.
const char* pixelcnn_codes() { return CODES; }
int32_t pixelcnn_lanes() { return LANES; }

// Conditions are not copied: they live as long as the engine.
int pixelcnn_open(const int32_t* words, int64_t word_count, const float* weights, int64_t weight_count, int32_t n,
                  int32_t threads, int32_t arithmetic, const float* conditions, int64_t condition_count,
                  void** engine, char* error, int64_t error_size) {
    return guarded(error, error_size, [&] {
        require(arithmetic >= 0 && arithmetic < PRECISIONS, "arithmetic");
        require(threads >= 1 && word_count >= 0 && weight_count >= 0 && condition_count >= 0, "arguments");
        *engine = new Engine(words, word_count, weights, weight_count, n, threads, Arithmetic(arithmetic),
                             conditions, condition_count);
    });
}

// Rows of an image that advance together where more than one row is filled at a time.
int32_t pixelcnn_together(void* engine) { return static_cast<Engine*>(engine)->walks; }

void pixelcnn_close(void* engine) { delete static_cast<Engine*>(engine); }

// Parameters (n, out) of the next position, given the levels (n, channels, height, width) before it.
int pixelcnn_step(void* handle, const int32_t* levels, int32_t channel, int32_t row, int32_t column, float* out,
                  char* error, int64_t error_size) {
    Engine& engine = *static_cast<Engine*>(handle);
    return guarded(error, error_size, [&] {
        const Plan& plan = engine.plan;
        require(channel >= 0 && channel < plan.channels && row >= 0 && row < plan.height && column >= 0 &&
                    column < plan.width,
                "a position outside the image");
        const int64_t at = (int64_t(row) * plan.width + column) * plan.channels + channel;
        engine.visit(at, at + 1, [&] { engine.step(levels, channel, row, column, out); });
    });
}

// Draws the unknown levels of the next rows.
int pixelcnn_fill(void* handle, int32_t* levels, const uint8_t* known, const double* uniform, double temperature,
                  int32_t row_begin, int32_t row_end, int32_t threads, char* error, int64_t error_size) {
    Engine& engine = *static_cast<Engine*>(handle);
    return guarded(error, error_size, [&] {
        require(0 <= row_begin && row_begin <= row_end && row_end <= engine.plan.height, "rows out of range");
        require(threads >= 1 && temperature >= 0, "arguments");
        const int64_t row = int64_t(engine.plan.width) * engine.plan.channels;
        engine.visit(row_begin * row, row_end * row, [&] {
            engine.fill({levels, known, uniform, temperature}, row_begin, row_end, size_t(threads));
        });
    });
}

// Before images are coded: the numbers of the output's tables, and the words to decode, or null to encode. Neither
// is copied: they live until the last row is coded.
int pixelcnn_tables(void* handle, const int64_t* numbers, int64_t count, int32_t limit, const uint32_t* words,
                    int64_t word_count, char* error, int64_t error_size) {
    Engine& engine = *static_cast<Engine*>(handle);
    return guarded(error, error_size, [&] {
        require(count >= 0 && word_count >= 0, "arguments");
        const Tables tables(engine.plan, numbers, count, limit);
        engine.coding = std::make_unique<Coding>(engine.plan, tables, words, word_count);
    });
}

// Encodes the levels of the next rows, or decodes them.
int pixelcnn_code(void* handle, int32_t* levels, int32_t row_begin, int32_t row_end, int32_t threads, char* error,
                  int64_t error_size) {
    Engine& engine = *static_cast<Engine*>(handle);
    return guarded(error, error_size, [&] {
        require(0 <= row_begin && row_begin <= row_end && row_end <= engine.plan.height, "rows out of range");
        require(threads >= 1 && engine.coding, "arguments");
        const int64_t row = int64_t(engine.plan.width) * engine.plan.channels;
        engine.visit(row_begin * row, row_end * row,
                     [&] { engine.code(levels, row_begin, row_end, size_t(threads)); });
    });
}

// The words of what was encoded, and how many there are; they are copied where there is a place for so many.
int pixelcnn_words(void* handle, uint32_t* words, int64_t* count, char* error, int64_t error_size) {
    Engine& engine = *static_cast<Engine*>(handle);
    return guarded(error, error_size, [&] {
        require(engine.coding && !engine.coding->decodes(), "arguments");
        const std::vector<uint32_t> found = engine.coding->words();
        if (words && *count >= int64_t(found.size())) std::copy(found.begin(), found.end(), words);
        *count = int64_t(found.size());
    });
}
}
