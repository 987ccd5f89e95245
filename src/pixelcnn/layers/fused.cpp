// x + mix(a * sigmoid(b)) with (a, b) = widen(space(x)), and its gradients, a row of an image at a time.
//
// PyTorch passes over all images once for every layer, so each pass reads and writes memory that no cache holds.
// Here all layers of a row follow each other while the row is in the cache. What the gradients need again (the
// depthwise output z, a and sigmoid(b)) is kept: to compute it anew takes longer than to read it.
//
// Images are [row][column][feature]. The depthwise kernels read and write vectors of features, for which rows are
// spread as [vector of features][column][lane] with zeros on both sides. The first features have seen finished rows
// only (`past`): what the masks make of their weights is zero in known places, which are left out.
//
// `widen` has a bias for each image, so that a condition of whole images costs nothing.
//
// Every sum is taken in a fixed order. Threads share out whole images, and their gradients of weights are added in
// the order of the threads: the same number of threads gives the same bits.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors wider than registers are passed within this file alone

// What is not inlined here loses its sums to memory: they live in registers only within one function.
#define INLINE inline __attribute__((always_inline))
#define APART __attribute__((noinline))
namespace {

// Floats in a register, and rows of a tile of a product: as many sums as there are registers.
#if defined(__AVX512F__)
constexpr int LANES = 16, TILE = 12;
#elif defined(__AVX2__)
constexpr int LANES = 8, TILE = 6;
#else
constexpr int LANES = 4, TILE = 6;
#endif
constexpr int PANEL = 2 * LANES;  // columns of a tile of a product
constexpr int RUN = 7;            // neighbouring positions whose depthwise sums are taken together
constexpr int FOUR = 4;           // neighbouring positions that teach a depthwise kernel together

typedef float Vector __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t Integers __attribute__((vector_size(LANES * sizeof(int32_t))));

INLINE Vector load(const float* p) { Vector v; std::memcpy(&v, p, sizeof v); return v; }
INLINE void store(float* p, Vector v) { std::memcpy(p, &v, sizeof v); }
INLINE Vector splat(float x) { return x - Vector{}; }

// f(0), ..., f(N - 1) with constants, written out: compilers leave such loops rolled, and their arrays in memory.
template <int... J, typename F>
INLINE void written_out(std::integer_sequence<int, J...>, F f) { (f(std::integral_constant<int, J>()), ...); }
#define EACH(name, n) \
    written_out(std::make_integer_sequence<int, n>(), [&](auto name) __attribute__((always_inline))

// By range reduction to |r| <= ln(2)/2 and a polynomial of degree 6; NaN stays NaN.
INLINE Vector sigmoid(Vector x) {
    const Vector low = splat(-87.0f), high = splat(87.0f), one = splat(1.0f);
    x = x < low ? low : x;
    x = -(x > high ? high : x);
    const Vector magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    const Vector shifted = x * splat(1.44269504f) + magic, n = shifted - magic;
    Vector r = x - n * splat(0.693359375f);
    r = r + n * splat(2.12194440e-4f);
    Vector p = splat(1.3981999507e-3f) * r + splat(8.3334519073e-3f);
    p = (p * r + splat(4.1665795894e-2f)) * r + splat(1.6666665459e-1f);
    p = p * r + splat(5.0000001201e-1f);
    p = p * r * r + r + one;
    const Integers power = ((Integers)shifted - (Integers)magic + 127) << 23;
    return one / (one + p * (Vector)power);
}

// A matrix as it lies in memory: element (i, j) at data[i * row + j * column].
struct Matrix { const float* data; long row, column; };

template <int ROWS> INLINE void tile(long inner, Matrix a, const float* b, long b_row, float* c, long c_row, bool add) {
    Vector left[ROWS], right[ROWS];
    EACH(i, ROWS) { left[i] = add ? load(c + i * c_row) : Vector{}; });
    EACH(i, ROWS) { right[i] = add ? load(c + i * c_row + LANES) : Vector{}; });
    for (long k = 0; k < inner; k++, a.data += a.column, b += b_row) {
        const Vector b0 = load(b), b1 = load(b + LANES);
        EACH(i, ROWS) {
            const Vector x = splat(a.data[i * a.row]);
            left[i] += x * b0, right[i] += x * b1;
        });
    }
    EACH(i, ROWS) { store(c + i * c_row, left[i]), store(c + i * c_row + LANES, right[i]); });
}

// c = a b, or c += a b. Panel p of b begins at b + p * b_panel; its rows are b_row apart.
APART void product(long rows, long columns, long inner, Matrix a, const float* b, long b_row, long b_panel,
                   float* c, long c_row, bool add) {
    for (long n = 0; n < columns; n += PANEL, b += b_panel, c += PANEL) {
        long m = 0;
        auto at = [&] { return Matrix{a.data + m * a.row, a.row, a.column}; };
        // Eight rows are two tiles of four rather than one of six and two of one.
        for (; rows - m >= TILE && (TILE != 6 || rows - m != 8); m += TILE)
            tile<TILE>(inner, at(), b, b_row, c + m * c_row, c_row, add);
        for (; rows - m >= 4; m += 4) tile<4>(inner, at(), b, b_row, c + m * c_row, c_row, add);
        for (; rows - m >= 1; m += 1) tile<1>(inner, at(), b, b_row, c + m * c_row, c_row, add);
    }
}

template <typename T> struct Aligned {  // to a cache line: vectors that lie across two take twice as long
    typedef T value_type;
    Aligned() = default;
    template <typename U> Aligned(const Aligned<U>&) {}
    T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t(64))); }
    void deallocate(T* p, size_t) { ::operator delete(p, std::align_val_t(64)); }
    bool operator==(const Aligned&) const { return true; }
    bool operator!=(const Aligned&) const { return false; }
};
typedef std::vector<float, Aligned<float>> Floats;

// A matrix of `inner` rows as panels, one after the other, in the order in which products read them.
Floats panels(Matrix from, long inner, long columns) {
    Floats to(inner * columns);
    float* out = to.data();
    for (long n = 0; n < columns; n += PANEL)
        for (long k = 0; k < inner; k++)
            for (int i = 0; i < PANEL; i++) *out++ = from.data[k * from.row + (n + i) * from.column];
    return to;
}

long up_to_panel(long n) { return (n + PANEL - 1) / PANEL * PANEL; }
long down_to_panel(long n) { return n / PANEL * PANEL; }

// See `_Shape` in fused.py.
struct Shape { int64_t images, height, width, features, middle, rows, columns, past, middle_past; };
// Addresses, null where a direction does without.
struct Given { const float *x, *grad, *kernels, *widen, *widen_bias, *mix, *mix_bias; };
struct Written { float *out, *kept, *x, *kernels, *widen, *widen_bias, *mix, *mix_bias; };

// Weights in the orders in which they are read, made once a call.
struct Weights {
    Floats kernels, flipped, widen, mix, widen_back, mix_back;
    Weights(const Shape& q, const Given& g, bool back)
        : kernels(by_tap(q, g.kernels, false)),
          widen(panels({g.widen, 1, q.features}, q.features, 2 * q.middle)),
          mix(panels({g.mix, 1, q.middle}, q.middle, q.features)) {
        if (!back) return;
        flipped = by_tap(q, g.kernels, true);
        widen_back = panels({g.widen, q.features, 1}, 2 * q.middle, q.features);
        mix_back = panels({g.mix, q.middle, 1}, q.features, q.middle);
    }
    static Floats by_tap(const Shape& q, const float* kernels, bool flip) {
        const long taps = q.rows * q.columns;
        Floats to(taps * q.features);
        for (long c = 0; c < q.features; c++)
            for (long t = 0; t < taps; t++) to[(flip ? taps - 1 - t : t) * q.features + c] = kernels[c * taps + t];
        return to;
    }
};

// Adds taps FIRST to LAST - 1 of one row of kernels to the sums of RUN positions.
template <int FIRST, int LAST>
INLINE void taps(Vector* sums, const float* x, const float* kernel, long features) {
    Vector w[LAST];
    EACH(t, LAST) { if constexpr (t >= FIRST) w[t] = load(kernel + t * features); });
    EACH(i, RUN - 1 + LAST - FIRST) {
        constexpr int j = i + FIRST;
        const Vector v = load(x + LANES * j);
        EACH(t, LAST) { if constexpr (t >= FIRST && j - t >= 0 && j - t < RUN) sums[j - t] += v * w[t]; });
    });
}

// Adds the gradient of the first TAPS taps of one row of kernels; grad is zero where the last four end outside.
template <int TAPS> INLINE void learn_taps(long width, const float* grad, const float* x, float* kernel, long step) {
    Vector sums[TAPS];
    EACH(t, TAPS) { sums[t] = load(kernel + t * step); });
    for (long p = 0; p < width; p += FOUR, grad += FOUR * LANES, x += FOUR * LANES) {
        Vector d[FOUR];
        EACH(i, FOUR) { d[i] = load(grad + LANES * i); });
        EACH(j, TAPS + FOUR - 1) {
            const Vector v = load(x + LANES * j);
            EACH(i, FOUR) { if constexpr (j - i >= 0 && j - i < TAPS) sums[j - i] += v * d[i]; });
        });
    }
    EACH(t, TAPS) { store(kernel + t * step, sums[t]); });
}

// What one thread works with. All memory is taken here, so that nothing can fail once threads run.
template <int COLUMNS>
class Worker {
  public:
    Floats grad_kernels, grad_widen, grad_mix, grad_mix_bias;

    Worker(const Shape& shape, const Weights& all, const Given& from, bool back)
        : q(shape), weights(all), given(from), C(q.features), M(q.middle), W(q.width),
          spread_width((W + COLUMNS - 1 + FOUR + 1) / 2 * 2), spread_size(C * spread_width), above(q.rows),
          below(q.rows), inputs(q.rows * spread_size), zeros(spread_size), wide(W * 2 * M), gated(W * M) {
        if (!back) return;
        grads.resize(q.rows * spread_size), grad_gated.resize(W * M), grad_wide.resize(W * 2 * M);
        grad_z.resize(W * C), grad_kernels.resize(q.rows * COLUMNS * C), grad_widen.resize(2 * M * C);
        grad_mix.resize(C * M), grad_mix_bias.resize(C);
    }

    void forward(long first, long last, const Written& to) {
        const long split = down_to_panel(q.past);
        for (long row = first * q.height; row < last * q.height; row++) {
            const long r = row % q.height;
            const float* x = given.x + row * W * C;
            float *out = to.out + row * W * C, *z = to.kept + row * W * (C + 2 * M), *a = z + W * C, *s = a + W * M;
            spread(x, slot(inputs, r));
            rows_above(r);
            gates(bias_of(given.widen_bias, row / q.height), z, a, s);
            for (long e = 0; e < W * M; e += LANES) store(&gated[e], load(a + e) * load(s + e));
            for (long p = 0, e = 0; p < W; p++)
                for (long c = 0; c < C; c += LANES, e += LANES) store(out + e, load(x + e) + load(given.mix_bias + c));
            const float* mix = weights.mix.data();
            product(W, split, q.middle_past, {gated.data(), M, 1}, mix, PANEL, M * PANEL, out, C, true);
            product(W, C - split, M, {gated.data(), M, 1}, mix + split * M, PANEL, M * PANEL, out + split, C, true);
        }
    }

    void backward(long first, long last, const Written& to) {
        for (long i = first; i < last; i++) {
            const float* x = given.x + i * q.height * W * C;
            float* widen_bias = std::fill_n(bias_of(to.widen_bias, i), 2 * M, 0.0f) - 2 * M;
            for (long r = q.height - 1; r > q.height - q.rows && r >= 0; r--) spread(x + r * W * C, slot(inputs, r));
            for (long r = q.height - 1; r >= 0; r--) {
                const long row = i * q.height + r, top = r - q.rows + 1;
                if (top >= 0) spread(x + top * W * C, slot(inputs, top));
                rows_above(r);
                for (long j = 0; j < q.rows; j++) below[j] = r + j >= q.height ? zeros.data() : slot(grads, r + j);
                const float *z = to.kept + row * W * (C + 2 * M), *grad = given.grad + row * W * C;
                through_gates(grad, z + W * C, z + W * (C + M), widen_bias);
                learn_weights(grad, z);
                through_widen();
                spread(grad_z.data(), slot(grads, r));
                learn_kernels(slot(grads, r));
                depthwise<true>(below.data(), weights.flipped.data(), grad, to.x + row * W * C);
            }
        }
    }

    void add(const Worker& other) {
        for (Floats Worker::*part : {&Worker::grad_kernels, &Worker::grad_widen, &Worker::grad_mix,
                                     &Worker::grad_mix_bias})
            for (size_t i = 0; i < (this->*part).size(); i++) (this->*part)[i] += (other.*part)[i];
    }

  private:
    const Shape& q;
    const Weights& weights; const Given& given;
    const long C, M, W, spread_width, spread_size;
    std::vector<const float*> above, below;  // the rows that a kernel reads, and those whose kernels read this one
    Floats inputs, grads, zeros;             // the latest rows, spread, in a ring
    Floats wide, gated, grad_gated, grad_wide, grad_z;  // of one row

    float* slot(Floats& ring, long r) { return &ring[r % q.rows * spread_size]; }

    void rows_above(long r) {
        for (long j = 0, t = r - q.rows + 1; j < q.rows; j++, t++) above[j] = t < 0 ? zeros.data() : slot(inputs, t);
    }

    void spread(const float* x, float* row) {
        for (long p = 0; p < W; p++)
            for (long c = 0, at = p + COLUMNS / 2; c < C; c += LANES)
                store(row + c * spread_width + at * LANES, load(x + p * C + c));
    }

    // All positions of one vector of features. CUT: they see the position's own row up to the position only; going
    // BACK kernels are flipped, so that row comes first. Where the branches lie decides whether sums stay in registers.
    template <bool BACK, bool CUT>
    APART void features(const float* const* rows, const float* kernels, const float* base, float* out, long c) {
        for (long p = 0; p < W; p += RUN) {
            const long at = std::min(p, W - RUN), from = c * spread_width + at * LANES;
            Vector sums[RUN];
            EACH(i, RUN) { sums[i] = BACK ? load(base + (at + i) * C) : Vector{}; });
            const float* kernel = kernels;
            if constexpr (BACK && CUT)
                taps<COLUMNS / 2, COLUMNS>(sums, rows[0] + from, kernel, C), kernel += COLUMNS * C;
            for (long r = BACK && CUT, last = q.rows - (!BACK && CUT); r < last; r++, kernel += COLUMNS * C)
                taps<0, COLUMNS>(sums, rows[r] + from, kernel, C);
            if constexpr (!BACK && CUT) taps<0, COLUMNS / 2 + 1>(sums, rows[q.rows - 1] + from, kernel, C);
            EACH(i, RUN) { store(out + (at + i) * C, sums[i]); });
        }
    }

    template <bool BACK> void depthwise(const float* const* rows, const float* kernels, const float* base, float* out) {
        for (long c = 0; c < C; c += LANES)
            if (c >= q.past) features<BACK, true>(rows, kernels + c, base + c, out + c, c);
            else features<BACK, false>(rows, kernels + c, base + c, out + c, c);
    }

    template <typename T> T* bias_of(T* biases, long image) { return biases + image * 2 * M; }

    void gates(const float* bias, float* z, float* a, float* s) {
        depthwise<false>(above.data(), weights.kernels.data(), z, z);
        for (long p = 0; p < W; p++) std::copy_n(bias, 2 * M, &wide[p * 2 * M]);
        const long split = down_to_panel(q.middle_past);
        for (long half = 0; half < 2; half++) {
            const float* w = weights.widen.data() + half * M * C;
            float* y = wide.data() + half * M;
            product(W, split, q.past, {z, C, 1}, w, PANEL, C * PANEL, y, 2 * M, true);
            product(W, M - split, C, {z, C, 1}, w + split * C, PANEL, C * PANEL, y + split, 2 * M, true);
        }
        for (long p = 0; p < W; p++) {
            std::copy_n(&wide[p * 2 * M], M, a + p * M);
            for (long c = 0; c < M; c += LANES) store(s + p * M + c, sigmoid(load(&wide[p * 2 * M + M + c])));
        }
    }

    void through_gates(const float* grad, const float* a, const float* s, float* bias) {
        const long split = up_to_panel(q.middle_past);
        const float* mix = weights.mix_back.data();
        product(W, split, C, {grad, C, 1}, mix, PANEL, C * PANEL, grad_gated.data(), M, false);
        product(W, M - split, C - q.past, {grad + q.past, C, 1}, mix + split * C + q.past * PANEL, PANEL, C * PANEL,
                grad_gated.data() + split, M, false);
        for (long c = 0; c < M; c += LANES) {
            Vector sum_a = load(bias + c), sum_b = load(bias + M + c);
            for (long p = 0; p < W; p++) {
                const long e = p * M + c;
                const Vector va = load(a + e), vs = load(s + e), gate = va * vs;
                const Vector da = load(&grad_gated[e]) * vs, db = da * (va - gate);
                store(&gated[e], gate), store(&grad_wide[p * 2 * M + c], da), store(&grad_wide[p * 2 * M + M + c], db);
                sum_a += da, sum_b += db;
            }
            store(bias + c, sum_a), store(bias + M + c, sum_b);
        }
    }

    void learn_weights(const float* grad, const float* z) {
        const long past = q.past, middle_past = q.middle_past;
        float *mix = grad_mix.data(), *bias = grad_mix_bias.data();
        for (long p = 0; p < W; p++)
            for (long c = 0; c < C; c += LANES) store(bias + c, load(bias + c) + load(grad + p * C + c));
        product(past, up_to_panel(middle_past), W, {grad, 1, C}, gated.data(), M, PANEL, mix, M, true);
        product(C - past, M, W, {grad + past, 1, C}, gated.data(), M, PANEL, mix + past * M, M, true);
        for (long half = 0; half < 2; half++) {
            const float* y = grad_wide.data() + half * M;
            float* w = grad_widen.data() + half * M * C;
            product(middle_past, up_to_panel(past), W, {y, 1, 2 * M}, z, C, PANEL, w, C, true);
            product(M - middle_past, C, W, {y + middle_past, 1, 2 * M}, z, C, PANEL, w + middle_past * C, C, true);
        }
    }

    void through_widen() {
        const long split = up_to_panel(q.past), Y = 2 * M;
        const float *y = grad_wide.data(), *w = weights.widen_back.data();
        product(W, split, Y, {y, Y, 1}, w, PANEL, Y * PANEL, grad_z.data(), C, false);
        for (long half = 0; half < 2; half++) {
            const long from = half * M + q.middle_past;  // visible features are read by visible ones only
            product(W, C - split, M - q.middle_past, {y + from, Y, 1}, w + split * Y + from * PANEL, PANEL, Y * PANEL,
                    grad_z.data() + split, C, half);
        }
    }

    APART void learn_kernels(const float* grad) {
        for (long c = 0; c < C; c += LANES)
            for (long r = 0; r < q.rows; r++) {
                const float *d = grad + c * spread_width + COLUMNS / 2 * LANES, *x = above[r] + c * spread_width;
                float* kernel = grad_kernels.data() + r * COLUMNS * C + c;
                if (r == q.rows - 1 && c >= q.past) learn_taps<COLUMNS / 2 + 1>(W, d, x, kernel, C);
                else learn_taps<COLUMNS>(W, d, x, kernel, C);
            }
    }
};

// f(part, first image, last image) for each part, in a thread of its own where the system has one to give.
template <typename F> void share_out(long images, long parts, F f) {
    std::vector<std::thread> threads;
    threads.reserve(parts);
    auto part = [=](long t) { f(t, images * t / parts, images * (t + 1) / parts); };
    for (long t = 1; t < parts; t++)
        try { threads.emplace_back(part, t); } catch (const std::exception&) { part(t); }
    part(0);
    for (std::thread& thread : threads) thread.join();
}

template <int COLUMNS> void run(const Shape& q, long parts, const Given& given, const Written& to) {
    const bool back = given.grad != nullptr;
    const Weights weights(q, given, back);
    std::vector<Worker<COLUMNS>> workers;
    workers.reserve(parts);
    for (long t = 0; t < parts; t++) workers.emplace_back(q, weights, given, back);
    share_out(q.images, parts, [&](long t, long first, long last) {
        back ? workers[t].backward(first, last, to) : workers[t].forward(first, last, to);
    });
    if (!back) return;
    auto& sum = workers[0];
    for (long t = 1; t < parts; t++) sum.add(workers[t]);
    auto write = [](const Floats& from, float* out) { std::copy(from.begin(), from.end(), out); };
    write(sum.grad_widen, to.widen), write(sum.grad_mix, to.mix), write(sum.grad_mix_bias, to.mix_bias);
    for (long c = 0, taps = q.rows * COLUMNS; c < q.features; c++)
        for (long t = 0; t < taps; t++) to.kernels[c * taps + t] = sum.grad_kernels[t * q.features + c];
}

}  // namespace

extern "C" int64_t pixelcnn_fused_panel() { return PANEL; }

// Forward where no gradient of the output is given, backward where it is. Returns 1 where memory ends.
extern "C" int32_t pixelcnn_fused_block(const Shape* shape, int64_t threads, const Given* given, const Written* to) {
    try {
        auto f = shape->columns == 11 ? run<11> : shape->columns == 9 ? run<9> : shape->columns == 7 ? run<7>
                 : shape->columns == 5 ? run<5> : run<3>;
        f(*shape, threads, *given, *to);
        return 0;
    } catch (const std::exception&) { return 1; }
}
