// Elementwise functions of runs of features.
#pragma once

#include "maths.h"
#include "pairs.h"

namespace {

// The constants of a function, or what it takes for each feature.
struct Constants {
    Vector first{}, second{}, third{};
    const int16_t* table = nullptr;  // of TABLE and TABLE_GATE: twice the last of them and one more number
};

// An entry for each number from -limit to limit; what is none takes the first.
inline Vector looked_up(Vector a, Vector limit, const Constants& c) {
    const Vector places = choose(a >= -limit, within(a, -limit, limit), -limit) + limit;
    const Integers at = __builtin_convertvector(places, Integers);
    return gathered(c.table, at);
}

template <Operation op>
inline Vector apply(Vector a, Vector b, const Constants& c) {
    const Vector zero{}, one = splat(1.0f);
    switch (op) {
        case RELU: return a < zero ? zero : a;  // one instruction, which lets through what is not a number
        case ELU: return choose(a > zero, a, c.first * (exponential(a) - one));
        case SILU: return a * sigmoid(a);
        case TANH: return hyperbolic(a);
        case SIGMOID: return sigmoid(a);
        case GELU: return splat(0.5f) * a * (one + error_function(a * splat(0.70710678f)));
        case GELU_TANH: return a * sigmoid(splat(1.5957691f) * (a + splat(0.044715f) * a * a * a));
        case HARDSWISH: return a * within(a + splat(3.0f), zero, splat(6.0f)) * splat(1.0f / 6);
        case SOFTPLUS: {
            const Vector scaled = a * c.first;
            const Vector rest = log_of_one_and(exponential(-magnitude(scaled)));
            const Vector soft = ((scaled < zero ? zero : scaled) + rest) / c.first;
            return choose(scaled > c.second, a, soft);
        }
        case LEAKY_RELU: return choose(a > zero, a, c.first * a);
        case PRELU: return choose(a > zero, a, b * a);
        case CLAMP: return within(a, c.first, c.second);
        case SQUARE: return a * a;
        case ABS: return magnitude(a);
        case EXP: return exponential(a);
        case SHIFT: return a + c.first;
        case SCALE: return a * c.first;
        case ADD: return a + b;
        case SUB: return a - b;
        case MUL: return a * b;
        case GATE: return hyperbolic(a) * sigmoid(b);
        case LINEAR_GATE: return a * sigmoid(b);
        case REQUANTISE: return requantised(a, b, c.first);
        case ROUNDED_MUL: return rounded(multiplied(a, b), widen(c.first), c.second);
        case TABLE: return looked_up(a, c.first, c);
        case TABLE_GATE: return rounded(multiplied(a, looked_up(b, c.third, c)), widen(c.first), c.second);
        default: return a;
    }
}

// What is computed for one image after the other.
struct Pointwise {
    float* to;
    const float *a, *b;                     // b: the second value, or what is taken for each feature
    int64_t to_stride, a_stride, b_stride;  // floats from one image to the next
    int64_t images;
    int32_t count;
    Constants constants{};
    bool narrow = false;  // to: whole numbers of 16 bits
};

// Whether what a function gives is whole numbers up to a limit, and what that is.
constexpr bool rounds(int32_t op) { return op == REQUANTISE || op == ROUNDED_MUL || op == TABLE_GATE; }
inline float limit_of(int32_t op, const Constants& c) { return op == REQUANTISE ? c.first[0] : c.second[0]; }

template <Operation op>
void each(const Pointwise& p) {
    constexpr bool second = SIGNATURES[op].values == 2 || SIGNATURES[op].per_feature;
    float* to = p.to;
    const float *a = p.a, *b = p.b;
    const bool narrow = rounds(op) && p.narrow;
    for (int64_t image = 0; image < p.images; ++image, to += p.to_stride, a += p.a_stride) {
        int32_t k = 0;
        for (; k + LANES <= p.count; k += LANES) {
            const Vector found = apply<op>(load(a + k), second ? load(b + k) : Vector{}, p.constants);
            narrow ? store_narrow(to + k / 2, found, LANES) : store(to + k, found);
        }
        const int32_t rest = p.count - k;
        if (rest) {
            const Vector y = second ? load_some(b + k, rest) : Vector{};
            const Vector found = apply<op>(load_some(a + k, rest), y, p.constants);
            narrow ? store_narrow(to + k / 2, found, rest) : store_some(to + k, found, rest);
        }
        if (second) b += p.b_stride;
    }
}

void compute(Operation op, const Pointwise& p) {
    switch (op) {
#define PIXELCNN_CASE(name, values, constants, per_feature) \
    case name: return each<name>(p);
        PIXELCNN_OPERATIONS(PIXELCNN_CASE)
#undef PIXELCNN_CASE
        default: return;
    }
}

}  // namespace
