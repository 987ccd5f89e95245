// Walks a lowered network over the positions of many images, and draws their levels on the way.
//
// A plan (see plan.py) is two arrays: int32 words that name values and instructions, and float32 weights.
// It is checked in full before anything runs: every index, size and order of execution. A value is stored
// as [column][image][feature]; so the taps of a convolution are one matrix product whose rows are images
// (at a position) or columns and images (for a whole row), and its weights are read as vectors of outputs.
//
// Every output of a product is summed in the order of its inputs by fused multiply-adds, whatever the tile;
// therefore results do not depend on the number of images, their grouping or the number of threads.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"  // vectors wider than registers are passed within this file alone
#endif

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

namespace {

constexpr int LANES = 16;  // floats in a vector: one AVX-512 register, two of AVX2, four of NEON
typedef float Vector __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t Integers __attribute__((vector_size(LANES * sizeof(int32_t))));

// Accumulators of a tile: IMAGES x BLOCKS vectors, as many as the register file holds.
#if defined(__AVX512F__)
constexpr int IMAGES = 6, BLOCKS = 4, WIDE = 8;
#elif defined(__AVX2__)
constexpr int IMAGES = 3, BLOCKS = 2, WIDE = 4;
#else
constexpr int IMAGES = 4, BLOCKS = 1, WIDE = 4;
#endif

constexpr int64_t MAX_FLOATS = int64_t(1) << 34;  // 64 GiB of state is a damaged plan, not a model
constexpr int SLICE = 32;                         // images that walk together, so that caches hold them

struct Refused : std::runtime_error {
    using std::runtime_error::runtime_error;
};

void require(bool holds, const char* what) {
    if (!holds) throw Refused(what);
}

// Numbers in a plan are signed, and checked before they become indices.
template <typename T>
struct List : std::vector<T> {
    using std::vector<T>::vector;
    template <typename Index>
    decltype(auto) operator[](Index i) {
        return std::vector<T>::operator[](size_t(i));
    }
    template <typename Index>
    decltype(auto) operator[](Index i) const {
        return std::vector<T>::operator[](size_t(i));
    }
};

inline size_t bytes(int64_t floats) { return sizeof(float) * size_t(floats); }

inline Vector load(const float* p) {
    Vector v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

inline void store(float* p, Vector v) { std::memcpy(p, &v, sizeof v); }

inline Vector splat(float x) { return x - Vector{}; }

inline Vector splat_bits(const float* p) {
    int32_t word;
    std::memcpy(&word, p, sizeof word);
    const Integers all = word - Integers{};
    Vector v;
    std::memcpy(&v, &all, sizeof v);
    return v;
}

inline Integers bits(Vector v) {
    Integers i;
    std::memcpy(&i, &v, sizeof i);
    return i;
}

inline Vector floats(Integers i) {
    Vector v;
    std::memcpy(&v, &i, sizeof v);
    return v;
}

inline Vector choose(Integers mask, Vector yes, Vector no) {
    return floats((mask & bits(yes)) | (~mask & bits(no)));
}

// exp by range reduction to |r| <= ln(2)/2 and a polynomial of degree 6; relative error below 2e-7.
inline Vector exponential(Vector x) {
    const Vector low = splat(-87.0f), high = splat(88.0f);
    x = choose(x < low, low, x);
    x = choose(x > high, high, x);
    const Vector magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    const Vector shifted = x * splat(1.44269504f) + magic;
    const Vector n = shifted - magic;
    Vector r = x - n * splat(0.693359375f);
    r = r + n * splat(2.12194440e-4f);
    Vector p = splat(1.3981999507e-3f) * r + splat(8.3334519073e-3f);
    p = p * r + splat(4.1665795894e-2f);
    p = p * r + splat(1.6666665459e-1f);
    p = p * r + splat(5.0000001201e-1f);
    p = p * r * r + r + splat(1.0f);
    const Integers power = (bits(shifted) - bits(magic) + 127) << 23;
    return p * floats(power);
}

inline Vector sigmoid(Vector x) { return splat(1.0f) / (splat(1.0f) + exponential(-x)); }

inline Vector hyperbolic(Vector x) {
    // 1 - 2 / (exp(2x) + 1) loses digits near zero, where x - x^3/3 + 2x^5/15 has them.
    const Vector far = splat(1.0f) - splat(2.0f) / (exponential(x + x) + splat(1.0f));
    const Vector s = x * x;
    const Vector near = x + x * s * (splat(-1.0f / 3) + s * splat(2.0f / 15));
    return choose((x < splat(0.1f)) & (x > splat(-0.1f)), near, far);
}

constexpr int DOUBLES = 8;  // in a vector
typedef double Doubles __attribute__((vector_size(DOUBLES * sizeof(double))));
typedef int64_t Longs __attribute__((vector_size(DOUBLES * sizeof(int64_t))));

inline Longs longs(Doubles v) {
    Longs i;
    std::memcpy(&i, &v, sizeof i);
    return i;
}

inline Doubles doubles(Longs i) {
    Doubles v;
    std::memcpy(&v, &i, sizeof v);
    return v;
}

// The same in double precision for x in [-inf, 0], by a Taylor polynomial of degree 13; relative error below 1e-15.
inline Doubles exponential(Doubles x) {
    const Doubles low = -708.0 - Doubles{};
    const Longs tiny = x < low;  // nothing, instead of a number that is not normal
    x = x < low ? low : x;
    const Doubles magic = 6755399441055744.0 - Doubles{};  // 1.5 * 2^52: adding it rounds to an integer
    const Doubles shifted = x * 1.4426950408889634 + magic;
    const Doubles n = shifted - magic;
    const Doubles r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
    Doubles p = 1.0 / 6227020800 - Doubles{};
    for (const double c : {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
                           1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0})
        p = p * r + c;
    const Longs power = (longs(shifted) - longs(magic) + 1023) << 52;
    return doubles(longs(p * doubles(power)) & ~tiny);
}

struct Sigmoids {
    Doubles below, above;  // sigmoid(x) and sigmoid(-x), each as accurate as the other
};

inline Sigmoids sigmoids(Doubles x) {
    const Doubles e = exponential(doubles(longs(x) | INT64_MIN));  // exp(-|x|)
    const Doubles large = 1.0 / (1.0 + e), small = e * large;
    const Longs positive = x > Doubles{};
    const Longs swap = (longs(large) ^ longs(small)) & positive;
    return {doubles(longs(small) ^ swap), doubles(longs(large) ^ swap)};
}

inline Doubles load(const double* p) {
    Doubles v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

inline void store(double* p, Doubles v) { std::memcpy(p, &v, sizeof v); }

inline int32_t whole(int32_t doubles) { return (doubles + DOUBLES - 1) / DOUBLES * DOUBLES; }  // vectors of them

enum Op : int32_t { COPY, RELU, ELU, SILU, TANH, SIGMOID, PRELU, SCALE, SHIFT, ADD, SUB, MUL, GATE, OPS };

template <Op op>
inline Vector apply(Vector a, Vector b) {
    const Vector zero{};
    switch (op) {
        case RELU: return a > zero ? a : zero;  // one instruction, where choose takes four
        case ELU: return choose(a > zero, a, exponential(a) - splat(1.0f));
        case SILU: return a * sigmoid(a);
        case TANH: return hyperbolic(a);
        case SIGMOID: return sigmoid(a);
        case PRELU: return choose(a > zero, a, b * a);
        case SHIFT:
        case ADD: return a + b;
        case SUB: return a - b;
        case SCALE:
        case MUL: return a * b;
        case GATE: return hyperbolic(a) * sigmoid(b);
        default: return a;
    }
}

// Rounds floats to bfloat16, to nearest and ties to even, two in a word; an odd last one is paired with 0.
inline void halve(const float* from, int32_t count, float* to) {
    int32_t k = 0;
#if defined(__AVX512BF16__)
    for (; k + 2 * LANES <= count; k += 2 * LANES) {
        const __m512bh pairs = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + k + LANES), _mm512_loadu_ps(from + k));
        std::memcpy(to + k / 2, &pairs, sizeof pairs);
    }
#endif
    const auto round = [](float x) {
        uint32_t word;
        std::memcpy(&word, &x, sizeof word);
        return (word + 0x7fff + (word >> 16 & 1)) >> 16;
    };
    for (; k < count; k += 2) {
        const uint32_t word = round(from[k]) | (k + 1 < count ? round(from[k + 1]) << 16 : 0);
        std::memcpy(to + k / 2, &word, sizeof word);
    }
}

inline int32_t pairs(int32_t count) { return (count + 1) / 2; }

// Zeroed floats that begin at a cache line, so that vectors do not straddle two.
class Floats {
  public:
    explicit Floats(int64_t count) : data_(size_t(count) + LANES, 0.0f) {
        const size_t past = reinterpret_cast<uintptr_t>(data_.data()) / sizeof(float) % LANES;
        skip_ = (LANES - past) % LANES;
    }
    Floats(const Floats&) = delete;  // a copy would begin elsewhere
    Floats(Floats&&) = default;
    Floats& operator=(Floats&&) = default;
    float* data() { return data_.data() + skip_; }
    const float* data() const { return data_.data() + skip_; }
    int64_t size() const { return int64_t(data_.size()) - LANES; }

  private:
    std::vector<float> data_;
    size_t skip_;
};

// ---------------------------------------------------------------- the plan

enum Storage : int32_t { NOW, ROWS, CONSTANT, MAP };

struct Node {
    int32_t width, up, left, right, storage;
    int64_t stride() const { return (width + LANES - 1) / LANES * LANES; }  // floats an image takes
};

struct Segment {
    int32_t down, right, first, count;
};

enum Kind : int32_t { PRODUCT, DEPTHWISE, POINTWISE, NORM, LOOKUP };
enum Start : int32_t { ZERO, BIAS, PARTIAL };
enum Output : int32_t { BERNOULLI, CATEGORICAL, LOGISTIC_MIXTURE };

struct Group {
    std::vector<int32_t> read, write;
    bool run = false;  // both count up
};

struct Instruction {
    int32_t kind, to, to_start, count;
    // PRODUCT, DEPTHWISE
    int32_t from = 0, into_partial = 0, start = 0, depth = 0, activation = 0, residual = -1;
    const float *bias = nullptr, *weight = nullptr, *half_weight = nullptr;
    int32_t half_depth = 0;  // pairs of inputs, each segment rounded up
    std::vector<Segment> segments;
    // POINTWISE, and what NORM and LOOKUP read
    int32_t op = 0, a = 0, a_start = 0, b = -1, b_start = 0, per_feature = 0;
    const float* parameter = nullptr;
    // NORM
    float epsilon = 0;
    std::vector<Group> groups;
    // LOOKUP
    int32_t levels = 0;
    const float* table = nullptr;

    bool sums() const { return kind == PRODUCT || kind == DEPTHWISE; }
};

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
    std::vector<Floats> half_pools;
    List<Node> nodes;
    List<std::vector<Instruction>> phases;  // row start, each step, after the pixel, row end
    List<bool> has_partial;
    int32_t channels, height, width, levels, divisor, steps, output;
    int32_t components = 0;             // of a mixture
    double sharpest = 0, broadest = 0;  // its extreme scales: in levels, and in half ranges of them

    Plan(const int32_t* words, int64_t word_count, const float* weights, int64_t weight_count)
        : pool(weight_count) {
        std::copy(weights, weights + weight_count, pool.data());
        Reader in{words, words + word_count};
        require(in.next() == 0x31505850, "not a plan");
        channels = in.next(1, 1024, "channels");
        height = in.next(1, 65536, "height");
        width = in.next(1, 65536, "width");
        levels = in.next(2, 65536, "levels");
        divisor = in.next(1, 65535, "divisor of levels");
        steps = in.next(1, 1024, "steps");
        require(steps == 1 || steps == channels, "steps");
        read_output(in);
        const int32_t count = in.next(1, 1 << 20, "nodes");
        for (int32_t i = 0; i < count; ++i) nodes.push_back(read_node(in));
        require(nodes[0].width == channels && nodes[0].storage == ROWS, "the first node is the input");
        require(nodes.back().width == parameters(), "the last node gives the parameters");
        has_partial.assign(nodes.size(), false);
        for (int32_t phase = 0; phase < steps + 3; ++phase) {
            phases.emplace_back();
            const bool row = phase == 0 || phase == steps + 2;
            const int32_t instructions = in.next(0, 1 << 20, "instructions");
            for (int32_t i = 0; i < instructions; ++i) phases.back().push_back(read(in, row));
        }
        require(in.at == in.end, "the plan has a tail");
    }

    // Adds weights in bfloat16 to every product: (blocks, pairs, LANES, 2).
    void halve_weights() {
        for (auto& phase : phases)
            for (Instruction& i : phase) {
                if (i.kind != PRODUCT || i.segments.empty()) continue;
                for (const Segment& segment : i.segments) i.half_depth += pairs(segment.count);
                const int32_t blocks = (i.count + LANES - 1) / LANES;
                half_pools.emplace_back(int64_t(blocks) * i.half_depth * LANES);
                float* out = half_pools.back().data();
                i.half_weight = out;
                for (int32_t block = 0; block < blocks; ++block) {
                    const float* in = i.weight + int64_t(block) * i.depth * LANES;
                    for (const Segment& segment : i.segments) {
                        for (int32_t k = 0; k < segment.count; k += 2, out += LANES)
                            for (int32_t lane = 0; lane < LANES; ++lane) {
                                const float second = k + 1 < segment.count ? in[(k + 1) * LANES + lane] : 0.0f;
                                const float pair[2] = {in[k * LANES + lane], second};
                                halve(pair, 2, out + lane);
                            }
                        in += int64_t(segment.count) * LANES;
                    }
                }
            }
    }

    void read_output(Reader& in) {
        output = in.next(BERNOULLI, LOGISTIC_MIXTURE, "output");
        require(output != BERNOULLI || levels == 2, "levels");
        if (output != LOGISTIC_MIXTURE) return;
        components = in.next(1, 1000, "components");
        const float* scales = floats(in, 2);
        sharpest = scales[0];
        broadest = scales[1];
    }

    // Of a pixel.
    int64_t parameters() const {
        switch (output) {
            case BERNOULLI: return channels;
            case CATEGORICAL: return int64_t(channels) * levels;
            default: return int64_t(channels + 1) * (channels + 2) / 2 * components;
        }
    }

    Node read_node(Reader& in) {
        Node node{};
        node.width = in.next(1, 1 << 24, "features");
        node.up = in.next(0, 4096, "rows above");
        node.left = in.next(0, 4096, "columns to the left");
        node.right = in.next(0, 4096, "columns to the right");
        node.storage = in.next(NOW, MAP, "storage");
        const bool stored = node.storage == ROWS || node.storage == MAP;
        require(stored || node.up + node.left + node.right == 0, "only stored values are read at offsets");
        return node;
    }

    const Node& node(int32_t number, int64_t start, int64_t count) const {
        require(number >= 0 && number < int64_t(nodes.size()), "a node that does not exist");
        require(start >= 0 && count >= 0 && start + count <= nodes[number].width, "features out of range");
        return nodes[number];
    }

    const float* floats(Reader& in, int64_t count) const {
        const int64_t offset = in.next();
        require(offset >= 0 && count >= 0 && offset + count <= pool.size(), "weights out of range");
        return pool.data() + offset;
    }

    Instruction read(Reader& in, bool row) {
        Instruction i{};
        i.kind = in.next(PRODUCT, LOOKUP, "instruction");
        i.to = in.next();
        i.to_start = in.next();
        i.count = in.next();
        const Node& to = node(i.to, i.to_start, i.count);
        require(to.storage == NOW || to.storage == ROWS, "a condition is not computed");
        if (i.sums()) read_sums(in, i);
        if (i.kind == POINTWISE) read_pointwise(in, i);
        if (i.kind == NORM) read_norm(in, i);
        if (i.kind == LOOKUP) read_lookup(in, i);
        if (row) {
            require(i.into_partial || to.storage == ROWS, "a row needs storage");
            require(nodes[i.sums() ? i.from : i.a].storage != NOW, "a row reads a single position");
            require(i.b < 0 || nodes[i.b].storage != NOW, "a row reads a single position");
            require(i.residual < 0 || nodes[i.residual].storage == ROWS || nodes[i.residual].storage == MAP,
                    "a row adds a single position");
        }
        return i;
    }

    void read_sums(Reader& in, Instruction& i) {
        i.from = in.next();
        node(i.from, 0, 0);
        i.into_partial = in.next(0, 1, "flag");
        i.start = in.next(ZERO, PARTIAL, "start");
        i.activation = in.next(COPY, SIGMOID, "activation");
        i.residual = in.next();
        if (i.residual != -1) node(i.residual, i.to_start, i.count);
        if (i.start == BIAS) i.bias = floats(in, i.count);
        if (i.start == PARTIAL) require(has_partial[i.to], "a partial sum that was never taken");
        if (i.into_partial) has_partial[i.to] = true;
        require(!(i.into_partial && i.start == PARTIAL), "a partial sum of itself");
        const int32_t segments = in.next(0, 1 << 16, "segments");
        int64_t depth = 0;
        for (int32_t s = 0; s < segments; ++s) {
            Segment segment{in.next(), in.next(), in.next(), in.next()};
            const Node& from = node(i.from, segment.first, segment.count);
            require(i.kind == PRODUCT || segment.count == i.count, "a segment of another width");
            require(-from.up <= segment.down && segment.down <= 0, "a row out of reach");
            require(-from.left <= segment.right && segment.right <= from.right, "a column out of reach");
            depth += segment.count;
            require(depth < 1 << 28, "a product too deep");
            i.segments.push_back(segment);
        }
        i.depth = int32_t(i.kind == PRODUCT ? depth : segments);
        i.weight = floats(in, i.depth * ((i.count + LANES - 1) / LANES * int64_t(LANES)));
    }

    void read_pointwise(Reader& in, Instruction& i) {
        i.op = in.next(COPY, OPS - 1, "operation");
        i.a = in.next();
        i.a_start = in.next();
        node(i.a, i.a_start, i.count);
        if (i.op >= ADD) {
            i.b = in.next();
            i.b_start = in.next();
            node(i.b, i.b_start, i.count);
        } else if (i.op >= PRELU) {
            i.per_feature = in.next(0, 1, "flag");
            i.parameter = floats(in, i.per_feature ? i.count : 1);
        }
    }

    void read_norm(Reader& in, Instruction& i) {
        i.a = in.next();
        const Node& from = node(i.a, 0, 0);
        i.parameter = floats(in, i.count);
        i.epsilon = *floats(in, 1);
        const int32_t groups = in.next(0, 1 << 16, "groups");
        for (int32_t g = 0; g < groups; ++g) {
            i.groups.emplace_back();
            for (auto* list : {&i.groups.back().read, &i.groups.back().write}) {
                const int32_t size = in.next(0, 1 << 24, "group size");
                for (int32_t k = 0; k < size; ++k) {
                    const int64_t high = list == &i.groups.back().read ? from.width - 1 : i.count - 1;
                    list->push_back(in.next(0, high, "feature of a group"));
                }
            }
            Group& group = i.groups.back();
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
        node(i.a, i.a_start, 1);
        i.levels = in.next(1, 65536, "levels of a table");
        i.table = floats(in, int64_t(i.levels) * i.count);
    }
};

// ---------------------------------------------------------------- matrix products

struct Product {
    const float* const* x;  // of each segment
    int64_t x_stride, base_stride, out_stride, residual_stride;
    const float *base, *weight, *residual;  // residual: added after the activation, or null
    float* out;
    const Segment* segments;
    int32_t segment_count, count, depth, activation;
    bool half;  // x and weight hold pairs of bfloat16 instead of floats
};

// sum + a * b, of floats or of pairs of bfloat16.
template <bool HALF>
inline Vector accumulate(Vector sum, Vector a, Vector b) {
    if constexpr (!HALF) return sum + a * b;
#if defined(__AVX512BF16__)
    __m512 total;
    __m512bh x, y;
    std::memcpy(&total, &sum, sizeof total);
    std::memcpy(&x, &a, sizeof x);
    std::memcpy(&y, &b, sizeof y);
    total = _mm512_dpbf16_ps(total, x, y);
    std::memcpy(&sum, &total, sizeof sum);
    return sum;
#else
    const Integers high = Integers{} - 65536;  // 0xffff0000
    sum = sum + floats(bits(a) << 16) * floats(bits(b) << 16);
    return sum + floats(bits(a) & high) * floats(bits(b) & high);
#endif
}

inline Vector load_some(const float* p, int32_t count) {
    float padded[LANES] = {};
    std::memcpy(padded, p, sizeof(float) * size_t(std::clamp(count, 0, LANES)));
    return load(padded);
}

inline void store_some(float* p, Vector v, int32_t count) {
    std::memcpy(p, &v, sizeof(float) * size_t(std::clamp(count, 0, LANES)));
}

inline Vector activate(int32_t op, Vector x) {
    switch (op) {
        case RELU: return apply<RELU>(x, x);
        case ELU: return apply<ELU>(x, x);
        case SILU: return apply<SILU>(x, x);
        case TANH: return apply<TANH>(x, x);
        case SIGMOID: return apply<SIGMOID>(x, x);
        default: return x;
    }
}

// ROWS_ rows by BLOCKS_ blocks of outputs, summed over the segments in order. The last block may be cut.
template <int ROWS_, int BLOCKS_, bool CUT, bool HALF>
void tile(const Product& p, int64_t row, int32_t block) {
    Vector sum[ROWS_][BLOCKS_] = {};
    const int32_t last = p.count - (block + BLOCKS_ - 1) * LANES;
    if (p.base)
        for (int r = 0; r < ROWS_; ++r)
            for (int b = 0; b < BLOCKS_; ++b) {
                const float* base = p.base + (row + r) * p.base_stride + (block + b) * LANES;
                sum[r][b] = CUT && b + 1 == BLOCKS_ ? load_some(base, last) : load(base);
            }
    const float* w[BLOCKS_];
    for (int b = 0; b < BLOCKS_; ++b) w[b] = p.weight + int64_t(block + b) * p.depth * LANES;
    for (int32_t s = 0; s < p.segment_count; ++s) {
        const float* x = p.x[s] + row * p.x_stride;
        const int64_t count = p.segments[s].count;
        for (int64_t k = 0; k < count; ++k) {
            Vector weights[BLOCKS_];
            for (int b = 0; b < BLOCKS_; ++b) weights[b] = load(w[b] + k * LANES);
            for (int r = 0; r < ROWS_; ++r) {
                const Vector value = HALF ? splat_bits(x + r * p.x_stride + k) : splat(x[r * p.x_stride + k]);
                for (int b = 0; b < BLOCKS_; ++b) sum[r][b] = accumulate<HALF>(sum[r][b], weights[b], value);
            }
        }
        for (int b = 0; b < BLOCKS_; ++b) w[b] += count * LANES;
    }
    if (p.activation != COPY)
        for (int r = 0; r < ROWS_; ++r)
            for (int b = 0; b < BLOCKS_; ++b) sum[r][b] = activate(p.activation, sum[r][b]);
    if (p.residual)
        for (int r = 0; r < ROWS_; ++r)
            for (int b = 0; b < BLOCKS_; ++b) {
                const float* residual = p.residual + (row + r) * p.residual_stride + (block + b) * LANES;
                sum[r][b] = (CUT && b + 1 == BLOCKS_ ? load_some(residual, last) : load(residual)) + sum[r][b];
            }
    for (int r = 0; r < ROWS_; ++r)
        for (int b = 0; b < BLOCKS_; ++b) {
            float* out = p.out + (row + r) * p.out_stride + (block + b) * LANES;
            if (CUT && b + 1 == BLOCKS_)
                store_some(out, sum[r][b], last);
            else
                store(out, sum[r][b]);
        }
}

// Rows of the tallest tile of so many blocks.
constexpr int tallest(int blocks) { return blocks > BLOCKS ? 1 : std::min(IMAGES * BLOCKS / blocks, 2 * IMAGES); }

// The tile of so many rows, or of fewer if there is none: below eight all numbers, from there on the even ones.
template <int ROWS_, int BLOCKS_>
int64_t tile_of(const Product& p, int64_t row, int64_t rows, int32_t block) {
    if constexpr (ROWS_ > 1) {
        constexpr int next = ROWS_ > 8 ? ROWS_ - 2 + ROWS_ % 2 : ROWS_ - 1;
        if (rows < ROWS_) return tile_of<next, BLOCKS_>(p, row, rows, block);
    }
    const bool cut = (block + BLOCKS_) * LANES > p.count;
    if (p.half)
        cut ? tile<ROWS_, BLOCKS_, true, true>(p, row, block) : tile<ROWS_, BLOCKS_, false, true>(p, row, block);
    else
        cut ? tile<ROWS_, BLOCKS_, true, false>(p, row, block) : tile<ROWS_, BLOCKS_, false, false>(p, row, block);
    return ROWS_;
}

// All rows of some blocks, divided evenly: tiles of one or two rows leave the multipliers waiting.
template <int BLOCKS_>
void panel(const Product& p, int64_t rows, int32_t block, int32_t blocks) {
    if constexpr (BLOCKS_ > 1)
        if (blocks < BLOCKS_) return panel<BLOCKS_ - 1>(p, rows, block, blocks);
    int64_t tiles = (rows + tallest(BLOCKS_) - 1) / tallest(BLOCKS_);
    for (int64_t row = 0; row < rows; tiles = std::max<int64_t>(tiles - 1, 1)) {
        const int64_t share = (rows - row + tiles - 1) / tiles;
        row += tile_of<tallest(BLOCKS_), BLOCKS_>(p, row, share, block);
    }
}

void multiply(const Product& p, int64_t rows) {
    const int32_t blocks = (p.count + LANES - 1) / LANES;
    int32_t block = 0;
    if (rows == 1)  // one image: many blocks at once hide the latency of the sums
        for (; block + WIDE <= blocks; block += WIDE) panel<WIDE>(p, rows, block, WIDE);
    for (; block < blocks; block += BLOCKS) panel<BLOCKS>(p, rows, block, std::min(BLOCKS, blocks - block));
}

// Some rows of a block of outputs, each output summed over the segments from its own input alone.
template <int ROWS_, bool CUT>
void strip(const Product& p, int64_t row, int32_t first) {
    const int32_t rest = p.count - first;
    const auto read = [rest](const float* at) { return CUT ? load_some(at, rest) : load(at); };
    Vector sum[ROWS_] = {};
    if (p.base)
        for (int r = 0; r < ROWS_; ++r) sum[r] = read(p.base + (row + r) * p.base_stride + first);
    const int64_t width = (p.count + LANES - 1) / LANES * LANES;
    for (int32_t s = 0; s < p.segment_count; ++s) {
        const Vector weight = load(p.weight + s * width + first);
        const float* x = p.x[s] + row * p.x_stride + first;
        for (int r = 0; r < ROWS_; ++r) sum[r] = accumulate<false>(sum[r], weight, read(x + r * p.x_stride));
    }
    for (int r = 0; r < ROWS_; ++r) {
        Vector value = activate(p.activation, sum[r]);
        if (p.residual) value = read(p.residual + (row + r) * p.residual_stride + first) + value;
        float* out = p.out + (row + r) * p.out_stride + first;
        CUT ? store_some(out, value, rest) : store(out, value);
    }
}

template <int ROWS_>
void strips(const Product& p, int64_t row) {
    int32_t first = 0;
    for (; first + LANES <= p.count; first += LANES) strip<ROWS_, false>(p, row, first);
    if (first < p.count) strip<ROWS_, true>(p, row, first);
}

// Some images of all columns, then the next ones: what one column reads is in the cache for the next.
void weigh(const Product& p, int64_t images, int64_t columns) {
    constexpr int together = 4;
    int64_t image = 0;
    for (; image + together <= images; image += together)
        for (int64_t column = 0; column < columns; ++column) strips<together>(p, column * images + image);
    for (; image < images; ++image)
        for (int64_t column = 0; column < columns; ++column) strips<1>(p, column * images + image);
}

// ---------------------------------------------------------------- levels from parameters

// log(sigmoid(x)) without overflow.
inline double log_sigmoid(double x) { return std::min(x, 0.0) - std::log1p(std::exp(-std::abs(x))); }

// The mixture of logistics of one channel of a pixel after the other; each component is cut between levels.
class Mixture {
  public:
    explicit Mixture(const Plan& plan)
        : plan_(plan), count_(plan.components), half_(0.5 * (plan.levels - 1)), logs_(size_t(count_)) {
        for (auto* list : {&weight_, &mean_, &rate_}) list->assign(size_t(whole(count_)), 0.0);
        const size_t cells = count_ ? size_t(whole(plan.levels)) + DOUBLES : 0;
        for (auto* list : {&below_, &above_}) list->assign(cells, 0.0);
    }

    // The next channel, given the pixel's parameters and the levels of its earlier channels.
    void turn(const float* parameters, int32_t channel, const int32_t* levels, int64_t plane) {
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
        }
    }

    // The sum of all levels up to one that is not the last.
    double cdf(int32_t level) const {
        const double cut = level + 0.5;
        Doubles sums{};
        for (int32_t k = 0; k < count_; k += DOUBLES)
            sums += load(&weight_[k]) * sigmoids((cut - load(&mean_[k])) * load(&rate_[k])).below;
        double sum = 0;
        for (int32_t i = 0; i < DOUBLES; ++i) sum += sums[i];
        return sum;
    }

    // Of all levels: what lies below the upper cut of each and above its lower one, as a product that does not cancel.
    void probabilities(List<double>& out) {
        std::fill(out.begin(), out.end(), 0.0);
        for (int32_t k = 0; k < count_; ++k) {
            Doubles cut = {0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5};
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
    explicit Drawer(const Plan& plan) : plan_(plan), mixture_(plan), pmf_(size_t(whole(plan.levels))) {}

    // Draws those levels of a pixel's channels that are not known; the levels of a channel lie a plane apart.
    void draw(const float* parameters, int32_t channel, int32_t end, int32_t* levels, const uint8_t* known,
              const double* uniform, int64_t plane, double temperature) {
        for (; channel < end; ++channel) {
            if (plan_.output == LOGISTIC_MIXTURE) mixture_.turn(parameters, channel, levels, plane);
            const int64_t here = channel * plane;
            if (known && known[here]) continue;
            levels[here] = level(parameters, channel, uniform[here], temperature);
        }
    }

  private:
    int32_t level(const float* parameters, int32_t channel, double u, double temperature) {
        if (plan_.output == LOGISTIC_MIXTURE && temperature == 1) return search(u);
        probabilities(parameters, channel);
        temper(temperature);
        return invert(u);
    }

    // Of one channel's levels, into pmf_.
    void probabilities(const float* parameters, int32_t channel) {
        switch (plan_.output) {
            case BERNOULLI: {
                const double logit = parameters[channel];
                pmf_[0] = 1 / (1 + std::exp(logit));
                pmf_[1] = 1 / (1 + std::exp(-logit));
                return;
            }
            case CATEGORICAL: return softmax(parameters + int64_t(channel) * plan_.levels);
            default: return mixture_.probabilities(pmf_);
        }
    }

    void softmax(const float* logits) {
        const double top = *std::max_element(logits, logits + plan_.levels);
        Doubles sums{};
        for (int32_t k = 0; k < plan_.levels; k += DOUBLES) {
            Doubles p;
            for (int32_t i = 0; i < DOUBLES; ++i) p[i] = k + i < plan_.levels ? logits[k + i] - top : -1e9;
            p = exponential(p);
            sums += p;
            store(&pmf_[k], p);
        }
        double sum = 0;
        for (int32_t i = 0; i < DOUBLES; ++i) sum += sums[i];
        const double scale = 1 / sum;
        for (double& p : pmf_) p *= scale;
    }

    void temper(double temperature) {
        if (temperature == 1) return;
        if (temperature == 0) {
            const auto likeliest = std::max_element(pmf_.begin(), pmf_.end()) - pmf_.begin();
            std::fill(pmf_.begin(), pmf_.end(), 0.0);
            pmf_[likeliest] = 1;
            return;
        }
        const double top = std::log(*std::max_element(pmf_.begin(), pmf_.end())) / temperature;
        double sum = 0;
        for (double& p : pmf_) sum += p = std::exp(std::log(p) / temperature - top);
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

// ---------------------------------------------------------------- the walk of some images

struct Fill {
    int32_t* levels;        // (n, channels, height, width), read where known, written where not
    const uint8_t* known;   // the same shape; null: nothing is
    const double* uniform;  // the same shape
    double temperature;
};

class Slice {
  public:
    Slice(const Plan& plan, int32_t first, int32_t images)
        : plan_(plan), first_(first), n_(images), drawer_(plan) {
        int64_t total = 0;
        for (size_t i = 0; i < plan.nodes.size(); ++i) {
            const Node& node = plan.nodes[i];
            const int64_t partial = plan.has_partial[i] ? int64_t(plan.width) * n_ * node.stride() : 0;
            total += size(node) + partial;
            require(total < MAX_FLOATS, "too much state");
            values_.emplace_back(size(node));
            partials_.emplace_back(partial);
        }
        top_.assign(plan.nodes.size(), 0);
    }

    int32_t first() const { return first_; }
    int32_t images() const { return n_; }

    // Condition values: (n, width) of a constant, (n, height, map width, features) of a map.
    void condition(int32_t node, const float* values) {
        const Node& c = plan_.nodes[node];
        if (c.storage == CONSTANT) {
            for (int32_t i = 0; i < n_; ++i)
                std::memcpy(at(node, 0, 0) + i * c.stride(), values + int64_t(first_ + i) * c.width,
                            bytes(c.width));
        } else {
            maps_.emplace_back(node, values);
        }
    }

    // Brings everything up to the parameters of one position; levels before it are final.
    void advance(const int32_t* levels, int32_t channel, int32_t row, int32_t column) {
        if (channel == 0) {
            if (column > 0)
                finish(levels, row, column - 1);
            else
                next_row(levels, row);
        }
        if (channel >= plan_.steps) return;
        if (channel > 0) encode(levels, channel - 1, row, column);
        run(plan_.phases[1 + channel], column, false);
    }

    const float* parameters(int32_t column) { return at(int32_t(plan_.nodes.size()) - 1, 0, column); }

    void fill(const Fill& job, int32_t row_begin, int32_t row_end) {
        for (int32_t row = row_begin; row < row_end; ++row)
            for (int32_t column = 0; column < plan_.width; ++column)
                for (int32_t step = 0; step < plan_.steps; ++step) {
                    advance(job.levels, step, row, column);
                    draw(job, step, row, column);
                }
    }

  private:
    int64_t size(const Node& node) const {
        const int64_t position = int64_t(n_) * node.stride();
        const bool stored = node.storage == ROWS || node.storage == MAP;
        return stored ? position * (node.up + 1) * (plan_.width + node.left + node.right) : position;
    }

    float* at(int32_t number, int32_t down, int32_t column) {
        const Node& node = plan_.nodes[number];
        float* base = values_[number].data();
        if (node.storage == NOW || node.storage == CONSTANT) return base;
        const int32_t rows = node.up + 1;
        const int32_t row = (top_[number] + rows + down) % rows;
        const int64_t columns = plan_.width + node.left + node.right;
        return base + (row * columns + column + node.left) * n_ * node.stride();
    }

    void encode(const int32_t* levels, int32_t channel, int32_t row, int32_t column) {
        float* x = at(0, 0, column) + channel;
        const int64_t stride = plan_.nodes[0].stride();
        for (int32_t i = 0; i < n_; ++i)
            x[i * stride] = float(levels[index(i, channel, row, column)]) / float(plan_.divisor);
    }

    int64_t index(int32_t image, int32_t channel, int32_t row, int32_t column) const {
        return ((int64_t(first_ + image) * plan_.channels + channel) * plan_.height + row) * plan_.width + column;
    }

    void finish(const int32_t* levels, int32_t row, int32_t column) {
        for (int32_t channel = 0; channel < plan_.channels; ++channel) encode(levels, channel, row, column);
        run(plan_.phases[1 + plan_.steps], column, false);
    }

    void next_row(const int32_t* levels, int32_t row) {
        if (row > 0) {
            finish(levels, row - 1, plan_.width - 1);
            run(plan_.phases.back(), 0, true);
        }
        for (size_t i = 0; i < top_.size(); ++i) top_[i] = (top_[i] + 1) % (plan_.nodes[i].up + 1);
        for (const auto& [number, values] : maps_) copy_map(number, values, row);
        run(plan_.phases.front(), 0, true);
    }

    void copy_map(int32_t number, const float* values, int32_t row) {
        const Node& node = plan_.nodes[number];
        for (int32_t column = 0; column < plan_.width; ++column)
            for (int32_t i = 0; i < n_; ++i) {
                const int64_t from = (int64_t(first_ + i) * plan_.height + row) * plan_.width + column;
                std::memcpy(at(number, 0, column) + i * node.stride(), values + from * node.width,
                            bytes(node.width));
            }
    }

    void run(const std::vector<Instruction>& phase, int32_t column, bool row) {
        for (const Instruction& i : phase) {
            if (i.sums() && row && plan_.nodes[i.from].storage == CONSTANT) {
                for (int32_t c = 0; c < plan_.width; ++c) sums(i, c, false);  // one value for all columns
            } else if (i.sums()) {
                sums(i, column, row);
            }
            if (i.kind == POINTWISE) pointwise(i, column, row);
            if (i.kind == NORM) norm(i, column, row);
            if (i.kind == LOOKUP) lookup(i, column, row);
        }
    }

    void sums(const Instruction& i, int32_t column, bool row) {
        const Node &to = plan_.nodes[i.to], &from = plan_.nodes[i.from];
        const int64_t rows = row ? int64_t(n_) * plan_.width : n_;
        float* partial = partials_[i.to].data() + int64_t(column) * n_ * to.stride();
        Product p;
        p.out_stride = to.stride();
        p.activation = i.activation;
        p.residual = i.residual < 0 ? nullptr : at(i.residual, 0, column) + i.to_start;
        p.residual_stride = i.residual < 0 ? 0 : plan_.nodes[i.residual].stride();
        p.out = (i.into_partial ? partial : at(i.to, 0, column)) + i.to_start;
        p.base = i.start == PARTIAL ? partial + i.to_start : i.bias;
        p.base_stride = i.start == PARTIAL ? to.stride() : 0;
        p.count = i.count;
        p.x_stride = from.stride();
        p.segments = i.segments.data();
        p.segment_count = int32_t(i.segments.size());
        pointers_.clear();
        for (const Segment& segment : i.segments)
            pointers_.push_back(at(i.from, segment.down, column + segment.right) + segment.first);
        p.half = i.half_weight != nullptr;
        p.depth = p.half ? i.half_depth : i.depth;
        p.weight = p.half ? i.half_weight : i.weight;
        const Segment whole{0, 0, 0, i.half_depth};
        if (p.half) {
            halve_rows(i, rows, p.x_stride);
            p.segments = &whole;
            p.segment_count = 1;
            p.x_stride = i.half_depth;
        }
        p.x = pointers_.data();
        i.kind == PRODUCT ? multiply(p, rows) : weigh(p, n_, row ? plan_.width : 1);
    }

    // Gathers the segments of all rows as pairs of bfloat16, one row after the other.
    void halve_rows(const Instruction& i, int64_t rows, int64_t stride) {
        if (halves_.size() < rows * i.half_depth) halves_ = Floats(rows * i.half_depth);
        float* out = halves_.data();
        for (int64_t r = 0; r < rows; ++r)
            for (size_t s = 0; s < i.segments.size(); ++s) {
                halve(pointers_[s] + r * stride, i.segments[s].count, out);
                out += pairs(i.segments[s].count);
            }
        pointers_.assign(1, halves_.data());
    }

    void pointwise(const Instruction& i, int32_t column, bool row) {
        switch (Op(i.op)) {
            case COPY: return each<COPY>(i, column, row);
            case RELU: return each<RELU>(i, column, row);
            case ELU: return each<ELU>(i, column, row);
            case SILU: return each<SILU>(i, column, row);
            case TANH: return each<TANH>(i, column, row);
            case SIGMOID: return each<SIGMOID>(i, column, row);
            case PRELU: return each<PRELU>(i, column, row);
            case SCALE: return each<SCALE>(i, column, row);
            case SHIFT: return each<SHIFT>(i, column, row);
            case ADD: return each<ADD>(i, column, row);
            case SUB: return each<SUB>(i, column, row);
            case MUL: return each<MUL>(i, column, row);
            case GATE: return each<GATE>(i, column, row);
            default: return;
        }
    }

    template <Op op>
    void each(const Instruction& i, int32_t column, bool row) {
        const int32_t columns = row ? plan_.width : 1;
        for (int32_t c = column; c < column + columns; ++c) {
            const int64_t to_stride = plan_.nodes[i.to].stride(), a_stride = plan_.nodes[i.a].stride();
            float* to = at(i.to, 0, c) + i.to_start;
            const float* a = at(i.a, 0, c) + i.a_start;
            const float* b = i.b >= 0 ? at(i.b, 0, c) + i.b_start : i.parameter;
            const int64_t b_stride = i.b >= 0 ? plan_.nodes[i.b].stride() : 0;
            const bool scalar = i.b < 0 && !i.per_feature;
            const Vector constant = scalar && b ? splat(*b) : Vector{};
            for (int32_t image = 0; image < n_; ++image, to += to_stride, a += a_stride, b += b ? b_stride : 0) {
                int32_t k = 0;
                for (; k + LANES <= i.count; k += LANES)
                    store(to + k, apply<op>(load(a + k), scalar ? constant : load(b + k)));
                if (k < i.count) {
                    const size_t rest = bytes(i.count - k);
                    float x[LANES] = {}, y[LANES] = {};
                    std::memcpy(x, a + k, rest);
                    if (!scalar) std::memcpy(y, b + k, rest);
                    store(x, apply<op>(load(x), scalar ? constant : load(y)));
                    std::memcpy(to + k, x, rest);
                }
            }
        }
    }

    void norm(const Instruction& i, int32_t column, bool row) {
        const int32_t columns = row ? plan_.width : 1;
        for (int32_t c = column; c < column + columns; ++c) {
            const float* from = at(i.a, 0, c);
            float* to = at(i.to, 0, c) + i.to_start;
            for (int32_t image = 0; image < n_; ++image) {
                for (const Group& group : i.groups)
                    group.run ? norm_run(group, i, from, to) : norm_any(group, i, from, to);
                from += plan_.nodes[i.a].stride();
                to += plan_.nodes[i.to].stride();
            }
        }
    }

    static float scale_of(float squares, const Group& group, const Instruction& i) {
        return 1.0f / std::sqrt(squares / float(group.read.size()) + i.epsilon);
    }

    static void norm_any(const Group& group, const Instruction& i, const float* from, float* to) {
        float squares = 0;
        for (int32_t k : group.read) squares += from[k] * from[k];
        const float scale = scale_of(squares, group, i);
        for (size_t k = 0; k < group.write.size(); ++k)
            to[group.write[k]] = from[group.read[k]] * scale * i.parameter[group.write[k]];
    }

    static void norm_run(const Group& group, const Instruction& i, const float* from, float* to) {
        const auto count = int32_t(group.read.size()), whole = count / LANES * LANES, rest = count - whole;
        const float* gain = i.parameter + group.write[0];
        from += group.read[0];
        to += group.write[0];
        const Vector last = rest ? load_some(from + whole, rest) : Vector{};
        Vector squares = last * last;
        for (int32_t k = 0; k < whole; k += LANES) squares = squares + load(from + k) * load(from + k);
        float parts[LANES];
        store(parts, squares);
        for (int half = LANES / 2; half > 0; half /= 2)
            for (int k = 0; k < half; ++k) parts[k] += parts[k + half];
        const Vector scale = splat(scale_of(parts[0], group, i));
        for (int32_t k = 0; k < whole; k += LANES) store(to + k, load(from + k) * scale * load(gain + k));
        if (rest) store_some(to + whole, last * scale * load_some(gain + whole, rest), rest);
    }

    void lookup(const Instruction& i, int32_t column, bool row) {
        const int32_t columns = row ? plan_.width : 1;
        for (int32_t c = column; c < column + columns; ++c) {
            const float* from = at(i.a, 0, c) + i.a_start;
            float* to = at(i.to, 0, c) + i.to_start;
            for (int32_t image = 0; image < n_; ++image) {
                const float last = float(i.levels - 1);
                const auto level = int64_t(*from > 0 ? std::min(*from, last) : 0);  // whatever it holds
                std::memcpy(to, i.table + level * i.count, bytes(i.count));
                from += plan_.nodes[i.a].stride();
                to += plan_.nodes[i.to].stride();
            }
        }
    }

    // The channels of a pixel whose parameters are known at a step: its own, or all of them.
    void draw(const Fill& job, int32_t step, int32_t row, int32_t column) {
        const int32_t end = plan_.steps == 1 ? plan_.channels : step + 1;
        const int64_t plane = int64_t(plan_.height) * plan_.width;
        const float* parameters = this->parameters(column);
        for (int32_t i = 0; i < n_; ++i, parameters += plan_.nodes.back().stride()) {
            const int64_t pixel = index(i, 0, row, column);
            drawer_.draw(parameters, step, end, job.levels + pixel, job.known ? job.known + pixel : nullptr,
                         job.uniform + pixel, plane, job.temperature);
        }
    }

    const Plan& plan_;
    int32_t first_, n_;
    List<Floats> values_, partials_;  // of each node; apart, so that a sanitizer sees where one ends
    List<int32_t> top_;
    std::vector<std::pair<int32_t, const float*>> maps_;
    Drawer drawer_;
    std::vector<const float*> pointers_;
    Floats halves_{0};
};

struct Engine {
    Plan plan;
    int32_t images;
    std::vector<float> conditions;
    std::vector<std::unique_ptr<Slice>> slices;

    Engine(const int32_t* words, int64_t word_count, const float* weights, int64_t weight_count, int32_t n,
           int32_t threads, bool half, const float* values, int64_t value_count)
        : plan(words, word_count, weights, weight_count), images(n), conditions(values, values + value_count) {
        require(n >= 1, "no images");
        if (half) plan.halve_weights();
        const int32_t share = n / threads + (n % threads > 0);
        const int32_t size = std::max(1, std::min(SLICE, share));
        for (int32_t first = 0; first < n; first += size)
            slices.push_back(std::make_unique<Slice>(plan, first, std::min(size, n - first)));
        int64_t offset = 0;
        for (size_t i = 0; i < plan.nodes.size(); ++i) {
            const Node& node = plan.nodes[i];
            if (node.storage != CONSTANT && node.storage != MAP) continue;
            const int64_t places = node.storage == MAP ? int64_t(plan.height) * plan.width : 1;
            const int64_t each = places * node.width;
            require(each <= (value_count - offset) / n, "condition values out of range");
            for (auto& slice : slices) slice->condition(int32_t(i), conditions.data() + offset);
            offset += n * each;
        }
        require(offset == value_count, "condition values out of range");
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

int pixelcnn_open(const int32_t* words, int64_t word_count, const float* weights, int64_t weight_count, int32_t n,
                  int32_t threads, int32_t half, const float* conditions, int64_t condition_count, void** engine,
                  char* error, int64_t error_size) {
    return guarded(error, error_size, [&] {
        require(threads >= 1 && word_count >= 0 && weight_count >= 0 && condition_count >= 0, "arguments");
        *engine = new Engine(words, word_count, weights, weight_count, n, threads, half != 0, conditions,
                             condition_count);
    });
}

void pixelcnn_close(void* engine) { delete static_cast<Engine*>(engine); }

// Parameters (n, out) of one position, given the levels (n, channels, height, width) before it.
int pixelcnn_step(void* handle, const int32_t* levels, int32_t channel, int32_t row, int32_t column, float* out,
                  char* error, int64_t error_size) {
    Engine& engine = *static_cast<Engine*>(handle);
    return guarded(error, error_size, [&] {
        const Plan& plan = engine.plan;
        require(channel >= 0 && channel < plan.channels && row >= 0 && row < plan.height && column >= 0 &&
                    column < plan.width,
                "a position outside the image");
        const Node& last = plan.nodes.back();
        for (auto& slice : engine.slices) {
            slice->advance(levels, channel, row, column);
            const float* parameters = slice->parameters(column);
            for (int32_t i = 0; i < slice->images(); ++i)
                std::memcpy(out + int64_t(slice->first() + i) * last.width, parameters + i * last.stride(),
                            bytes(last.width));
        }
    });
}

// Draws the unknown levels of some rows; rows are filled in order, each once.
int pixelcnn_fill(void* handle, int32_t* levels, const uint8_t* known, const double* uniform, double temperature,
                  int32_t row_begin, int32_t row_end, int32_t threads, char* error, int64_t error_size) {
    Engine& engine = *static_cast<Engine*>(handle);
    return guarded(error, error_size, [&] {
        require(0 <= row_begin && row_begin <= row_end && row_end <= engine.plan.height, "rows out of range");
        require(threads >= 1 && temperature >= 0, "arguments");
        const Fill job{levels, known, uniform, temperature};
        const size_t count = std::min<size_t>(size_t(threads), engine.slices.size());
        std::vector<std::exception_ptr> failures(count);
        auto work = [&](size_t worker) {
            try {
                for (size_t s = worker; s < engine.slices.size(); s += count)
                    engine.slices[s]->fill(job, row_begin, row_end);
            } catch (...) {
                failures[worker] = std::current_exception();
            }
        };
        std::vector<std::thread> others;
        others.reserve(count);
        size_t started = 1;
        try {
            for (; started < count; ++started) others.emplace_back(work, started);
        } catch (const std::system_error&) {
            // The system has no more threads: this one does their share.
        }
        work(0);
        for (size_t worker = started; worker < count; ++worker) work(worker);
        for (auto& thread : others) thread.join();
        for (auto& failure : failures)
            if (failure) std::rethrow_exception(failure);
    });
}
}
