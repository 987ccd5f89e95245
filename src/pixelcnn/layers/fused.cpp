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
// Products multiply floats or, where the processor does that twice as fast, pairs of bfloat16 numbers. Everything
// else, all sums among it, is float32 either way.
//
// Every sum is taken in a fixed order. Threads share out whole images, and their gradients of weights are added in
// the order of the threads: the same number of threads gives the same bits.

#include <exception>
#include <thread>
#include <utility>

#include "maths.h"

// What is not inlined here loses its sums to memory: they live in registers only within one function.
#define INLINE inline __attribute__((always_inline))
#define APART __attribute__((noinline))
namespace {

constexpr int TILE = LANES == 16 ? 12 : 6;  // rows of a tile of a product: as many sums as there are registers
constexpr int PANEL = 2 * LANES;            // columns of it
constexpr int RUN = 7;                      // neighbouring positions whose depthwise sums are taken together
constexpr int FOUR = 4;                     // neighbouring positions that teach a depthwise kernel together

// f(0), ..., f(N - 1) with constants, written out: compilers leave such loops rolled, and their arrays in memory.
template <int... J, typename F>
INLINE void written_out(std::integer_sequence<int, J...>, F f) { (f(std::integral_constant<int, J>()), ...); }
#define EACH(name, n) \
    written_out(std::make_integer_sequence<int, n>(), [&](auto name) __attribute__((always_inline))

// Two numbers in bfloat16, the first in the lower half.
typedef uint32_t Pair;

// Numbers in an operand of a product, and how many operands hold so many.
template <typename T> constexpr long EACH_HOLDS = 1;
template <> constexpr long EACH_HOLDS<Pair> = 2;
template <typename T> INLINE long holding(long n) { return (n + EACH_HOLDS<T> - 1) / EACH_HOLDS<T>; }

INLINE Vector several(const float* p) { return load(p); }
INLINE Vector everywhere(float x) { return splat(x); }
INLINE Vector plus_product(Vector sum, Vector x, Vector y) { return sum + x * y; }

#ifdef __AVX512BF16__
INLINE __m512bh several(const Pair* p) { return (__m512bh)_mm512_loadu_si512(p); }
INLINE __m512bh everywhere(Pair x) { return (__m512bh)_mm512_set1_epi32(x); }
INLINE Vector plus_product(Vector sum, __m512bh x, __m512bh y) { return (Vector)_mm512_dpbf16_ps((__m512)sum, x, y); }
INLINE __m512i rounded(Vector low, Vector high) { return (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low); }
#endif

// A matrix as it lies in memory: element (i, j) at data[i * row + j * column].
template <typename T> struct Matrix { const T* data; long row, column; };

template <int ROWS, typename T>
INLINE void tile(long inner, Matrix<T> a, const T* b, long b_row, float* c, long c_row, bool add) {
    Vector left[ROWS], right[ROWS];
    EACH(i, ROWS) { left[i] = add ? load(c + i * c_row) : Vector{}; });
    EACH(i, ROWS) { right[i] = add ? load(c + i * c_row + LANES) : Vector{}; });
    for (long k = 0; k < inner; k++, a.data += a.column, b += b_row) {
        const auto b0 = several(b), b1 = several(b + LANES);
        EACH(i, ROWS) {
            const auto x = everywhere(a.data[i * a.row]);
            left[i] = plus_product(left[i], x, b0), right[i] = plus_product(right[i], x, b1);
        });
    }
    EACH(i, ROWS) { store(c + i * c_row, left[i]), store(c + i * c_row + LANES, right[i]); });
}

// c = a b, or c += a b, of inner operands each. Panel p of b begins at b + p * b_panel; its rows are b_row apart.
template <typename T>
APART void product(long rows, long columns, long inner, Matrix<T> a, const T* b, long b_row, long b_panel,
                   float* c, long c_row, bool add) {
    for (long n = 0; n < columns; n += PANEL, b += b_panel, c += PANEL) {
        long m = 0;
        auto at = [&] { return Matrix<T>{a.data + m * a.row, a.row, a.column}; };
        // Eight rows are two tiles of four rather than one of six and two of one.
        for (; rows - m >= TILE && (TILE != 6 || rows - m != 8); m += TILE)
            tile<TILE, T>(inner, at(), b, b_row, c + m * c_row, c_row, add);
        for (; rows - m >= 4; m += 4) tile<4, T>(inner, at(), b, b_row, c + m * c_row, c_row, add);
        for (; rows - m >= 1; m += 1) tile<1, T>(inner, at(), b, b_row, c + m * c_row, c_row, add);
    }
}

// Of a number, rounded to bfloat16, ties to even.
uint32_t upper_half(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return x == x ? (bits + 0x7fff + (bits >> 16 & 1)) >> 16 : 0x7fc0;
}

// A matrix of `inner` rows as panels, one after the other, in the order in which products read them.
template <typename T> Aligned<T> panels(Matrix<float> from, long inner, long columns) {
    Aligned<T> to(holding<T>(inner) * columns);
    T* out = to.data();
    for (long n = 0; n < columns; n += PANEL)
        for (long k = 0; k < inner; k += EACH_HOLDS<T>)
            for (int i = 0; i < PANEL; i++) {
                const float* x = from.data + k * from.row + (n + i) * from.column;
                if constexpr (EACH_HOLDS<T> == 1) *out++ = *x;
                else *out++ = upper_half(x[0]) | upper_half(x[from.row]) << 16;
            }
    return to;
}

long up_to_panel(long n) { return (n + PANEL - 1) / PANEL * PANEL; }
long down_to_panel(long n) { return n / PANEL * PANEL; }

// Of 64 bits each, as `_call` in fused.py gives them; addresses are null where a direction does without.
struct Shape { int64_t images, height, width, features, middle, rows, columns, past, middle_past; };
struct Given { const float *x, *grad, *kernels, *widen, *widen_bias, *mix, *mix_bias; };
struct Written { float *out, *kept, *x, *kernels, *widen, *widen_bias, *mix, *mix_bias; };

// Weights in the orders in which they are read, made once a call.
template <typename T> struct Weights {
    Floats kernels, flipped;
    Aligned<T> widen, mix, widen_back, mix_back;
    Weights(const Shape& q, const Given& g, bool back)
        : kernels(by_tap(q, g.kernels, false)),
          widen(panels<T>({g.widen, 1, q.features}, q.features, 2 * q.middle)),
          mix(panels<T>({g.mix, 1, q.middle}, q.middle, q.features)) {
        if (!back) return;
        flipped = by_tap(q, g.kernels, true);
        widen_back = panels<T>({g.widen, q.features, 1}, 2 * q.middle, q.features);
        mix_back = panels<T>({g.mix, q.middle, 1}, q.features, q.middle);
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
template <int COLUMNS, typename T>
class Worker {
  public:
    Floats grad_kernels, grad_widen, grad_mix, grad_mix_bias;

    Worker(const Shape& shape, const Weights<T>& all, const Given& from, bool back)
        : q(shape), weights(all), given(from), C(q.features), M(q.middle), W(q.width),
          spread_width((W + COLUMNS - 1 + FOUR + 1) / 2 * 2), spread_size(C * spread_width), above(q.rows),
          below(q.rows), inputs(q.rows * spread_size), zeros(spread_size), wide(W * 2 * M), gated(W * M) {
        if constexpr (EACH_HOLDS<T> > 1)
            for (auto [part, n] : {std::pair(&positions, C), {&middles, M}, {&wides, 2 * M}})
                *part = Aligned<T>(holding<T>(W) * n);
        if (!back) return;
        grads = Floats(q.rows * spread_size), grad_gated = Floats(W * M), grad_wide = Floats(W * 2 * M);
        grad_z = Floats(W * C), grad_kernels = Floats(q.rows * COLUMNS * C), grad_widen = Floats(2 * M * C);
        grad_mix = Floats(C * M), grad_mix_bias = Floats(C);
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
            const T *mix = weights.mix.data(), *g = along(gated.data(), M, middles);
            const long m = holding<T>(M);
            product<T>(W, split, holding<T>(q.middle_past), {g, m, 1}, mix, PANEL, m * PANEL, out, C, true);
            product<T>(W, C - split, m, {g, m, 1}, mix + split * m, PANEL, m * PANEL, out + split, C, true);
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
            for (long i = 0; i < (this->*part).size(); i++) (this->*part)[i] += (other.*part)[i];
    }

  private:
    const Shape& q;
    const Weights<T>& weights; const Given& given;
    const long C, M, W, spread_width, spread_size;
    std::vector<const float*> above, below;  // the rows that a kernel reads, and those whose kernels read this one
    Floats inputs, grads, zeros;             // the latest rows, spread, in a ring
    Floats wide, gated, grad_gated, grad_wide, grad_z;  // of one row
    Aligned<T> positions, middles, wides;               // of one row, as operands

    // A row of positions of so many numbers each, as operands of numbers that are neighbours in a position ...
    const T* along(const float* x, long n, Aligned<T>& to) {
        if constexpr (EACH_HOLDS<T> == 1) return x;
#ifdef __AVX512BF16__
        else for (long e = 0; e < W * n; e += PANEL)
            _mm512_storeu_si512(&to[e / 2], rounded(load(x + e), load(x + e + LANES)));
#endif
        return to.data();
    }

    // ... or of two positions, zero standing beside the last one of an odd row: [pair of positions][number].
    const T* across(const float* x, long n, Aligned<T>& to) {
        if constexpr (EACH_HOLDS<T> == 1) return x;
#ifdef __AVX512BF16__
        else {
            const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
                                                   23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
            for (long p = 0; p < W; p += 2)
                for (long c = 0; c < n; c += LANES) {
                    const Vector first = load(x + p * n + c), second = p + 1 < W ? load(x + (p + 1) * n + c) : Vector{};
                    _mm512_storeu_si512(&to[p / 2 * n + c], _mm512_permutexvar_epi16(order, rounded(first, second)));
                }
        }
#endif
        return to.data();
    }

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

    template <typename U> U* bias_of(U* biases, long image) { return biases + image * 2 * M; }

    void gates(const float* bias, float* z, float* a, float* s) {
        depthwise<false>(above.data(), weights.kernels.data(), z, z);
        for (long p = 0; p < W; p++) std::copy_n(bias, 2 * M, &wide[p * 2 * M]);
        const long split = down_to_panel(q.middle_past), n = holding<T>(C);
        const T* x = along(z, C, positions);
        for (long half = 0; half < 2; half++) {
            const T* w = weights.widen.data() + half * M * n;
            float* y = wide.data() + half * M;
            product<T>(W, split, holding<T>(q.past), {x, n, 1}, w, PANEL, n * PANEL, y, 2 * M, true);
            product<T>(W, M - split, n, {x, n, 1}, w + split * n, PANEL, n * PANEL, y + split, 2 * M, true);
        }
        for (long p = 0; p < W; p++) {
            std::copy_n(&wide[p * 2 * M], M, a + p * M);
            for (long c = 0; c < M; c += LANES) store(s + p * M + c, sigmoid(load(&wide[p * 2 * M + M + c])));
        }
    }

    void through_gates(const float* grad, const float* a, const float* s, float* bias) {
        const long split = up_to_panel(q.middle_past);
        const long n = holding<T>(C), past = holding<T>(q.past);
        const T *mix = weights.mix_back.data(), *d = along(grad, C, positions);
        product<T>(W, split, n, {d, n, 1}, mix, PANEL, n * PANEL, grad_gated.data(), M, false);
        product<T>(W, M - split, n - past, {d + past, n, 1}, mix + split * n + past * PANEL, PANEL, n * PANEL,
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
        const long past = q.past, middle_past = q.middle_past, n = holding<T>(W);
        float *mix = grad_mix.data(), *bias = grad_mix_bias.data();
        for (long p = 0; p < W; p++)
            for (long c = 0; c < C; c += LANES) store(bias + c, load(bias + c) + load(grad + p * C + c));
        const T *d = across(grad, C, positions), *g = across(gated.data(), M, middles);
        product<T>(past, up_to_panel(middle_past), n, {d, 1, C}, g, M, PANEL, mix, M, true);
        product<T>(C - past, M, n, {d + past, 1, C}, g, M, PANEL, mix + past * M, M, true);
        const T *x = across(z, C, positions), *wide_grads = across(grad_wide.data(), 2 * M, wides);
        for (long half = 0; half < 2; half++) {
            const T* y = wide_grads + half * M;
            float* w = grad_widen.data() + half * M * C;
            product<T>(middle_past, up_to_panel(past), n, {y, 1, 2 * M}, x, C, PANEL, w, C, true);
            product<T>(M - middle_past, C, n, {y + middle_past, 1, 2 * M}, x, C, PANEL, w + middle_past * C, C, true);
        }
    }

    void through_widen() {
        const long split = up_to_panel(q.past), n = holding<T>(2 * M);
        const T *y = along(grad_wide.data(), 2 * M, wides), *w = weights.widen_back.data();
        product<T>(W, split, n, {y, n, 1}, w, PANEL, n * PANEL, grad_z.data(), C, false);
        for (long half = 0; half < 2; half++) {
            const long from = holding<T>(half * M + q.middle_past);  // visible features are read by visible ones only
            product<T>(W, C - split, holding<T>(M - q.middle_past), {y + from, n, 1}, w + split * n + from * PANEL,
                       PANEL, n * PANEL, grad_z.data() + split, C, half);
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

template <int COLUMNS, typename T> void run(const Shape& q, long parts, const Given& given, const Written& to) {
    const bool back = given.grad != nullptr;
    const Weights<T> weights(q, given, back);
    std::vector<Worker<COLUMNS, T>> workers;
    workers.reserve(parts);
    for (long t = 0; t < parts; t++) workers.emplace_back(q, weights, given, back);
    share_out(q.images, parts, [&](long t, long first, long last) {
        back ? workers[t].backward(first, last, to) : workers[t].forward(first, last, to);
    });
    if (!back) return;
    auto& sum = workers[0];
    for (long t = 1; t < parts; t++) sum.add(workers[t]);
    auto write = [](const Floats& from, float* out) { std::copy_n(from.data(), from.size(), out); };
    write(sum.grad_widen, to.widen), write(sum.grad_mix, to.mix), write(sum.grad_mix_bias, to.mix_bias);
    for (long c = 0, taps = q.rows * COLUMNS; c < q.features; c++)
        for (long t = 0; t < taps; t++) to.kernels[c * taps + t] = sum.grad_kernels[t * q.features + c];
}

template <typename T> void chosen(const Shape& q, long parts, const Given& given, const Written& to) {
    auto f = q.columns == 11 ? run<11, T> : q.columns == 9 ? run<9, T> : q.columns == 7 ? run<7, T>
             : q.columns == 5 ? run<5, T> : run<3, T>;
    f(q, parts, given, to);
}

#ifdef __AVX512BF16__
typedef Pair Half;
constexpr bool HALF = true;
#else
typedef float Half;
constexpr bool HALF = false;
#endif

}  // namespace

extern "C" int64_t pixelcnn_fused_panel() { return PANEL; }

// Whether products can multiply bfloat16.
extern "C" int32_t pixelcnn_fused_half() { return HALF; }

// Forward where no gradient of the output is given, backward where it is. Returns 1 where memory ends.
extern "C" int32_t pixelcnn_fused_block(const Shape* shape, int64_t threads, int32_t half, const Given* given,
                                        const Written* to) {
    try {
        (half ? chosen<Half> : chosen<float>)(*shape, threads, *given, *to);
        return 0;
    } catch (const std::exception&) { return 1; }
}
