// The words of a plan that stand for names. The library tells them to who writes plans: see pixelcnn_codes.
#pragma once

#include <cstdint>

// Elementwise functions: name, values read, constants taken, whether a number a feature is taken.
#define PIXELCNN_OPERATIONS(X) \
    X(COPY, 1, 0, 0)           \
    X(RELU, 1, 0, 0)           \
    X(ELU, 1, 1, 0)            \
    X(SILU, 1, 0, 0)           \
    X(TANH, 1, 0, 0)           \
    X(SIGMOID, 1, 0, 0)        \
    X(GELU, 1, 0, 0)           \
    X(GELU_TANH, 1, 0, 0)      \
    X(HARDSWISH, 1, 0, 0)      \
    X(SOFTPLUS, 1, 2, 0)       \
    X(LEAKY_RELU, 1, 1, 0)     \
    X(PRELU, 1, 0, 1)          \
    X(SCALE, 1, 1, 0)          \
    X(SHIFT, 1, 1, 0)          \
    X(CLAMP, 1, 2, 0)          \
    X(SQUARE, 1, 0, 0)         \
    X(ABS, 1, 0, 0)            \
    X(EXP, 1, 0, 0)            \
    X(ADD, 2, 0, 0)            \
    X(SUB, 2, 0, 0)            \
    X(MUL, 2, 0, 0)            \
    X(GATE, 2, 0, 0)           \
    X(LINEAR_GATE, 2, 0, 0)    \
    X(REQUANTISE, 1, 1, 1)     \
    X(ROUNDED_MUL, 2, 2, 0)    \
    X(TABLE, 1, 1, 0)          \
    X(TABLE_GATE, 2, 3, 0)

#define PIXELCNN_KINDS(X) \
    X(PRODUCT)            \
    X(DEPTHWISE)          \
    X(POINTWISE)          \
    X(NORM)               \
    X(LOOKUP)             \
    X(POSITION)           \
    X(ATTEND)             \
    X(REMEMBER)           \
    X(FLATTEN)            \
    X(UNFLATTEN)          \
    X(ADVANCE)            \
    X(DENSE)

// Where a value lives: at the current position alone, in rows, once for all positions, in the image's condition,
// or in one vector of units, which have no position.
#define PIXELCNN_STORAGES(X) \
    X(NOW)                   \
    X(ROWS)                  \
    X(CONSTANT)              \
    X(MAP)                   \
    X(UNITS)

// What a sum begins with.
#define PIXELCNN_STARTS(X) \
    X(ZERO)                \
    X(BIAS)                \
    X(PARTIAL)

#define PIXELCNN_OUTPUTS(X) \
    X(BERNOULLI)            \
    X(CATEGORICAL)          \
    X(LOGISTIC_MIXTURE)

// What products multiply and sum in: floats; pairs of bfloat16, with sums of floats; doubles; or pairs of whole
// numbers where the processor has them, otherwise floats, and doubles where sums are long.
#define PIXELCNN_PRECISIONS(X) \
    X(SINGLE)                   \
    X(HALF)                     \
    X(DOUBLE)                   \
    X(INTEGER)                  \
    X(LONG)

namespace {

#define PIXELCNN_NAME(name) name,
#define PIXELCNN_FUNCTION(name, values, constants, per_feature) name,
enum Operation : int32_t { PIXELCNN_OPERATIONS(PIXELCNN_FUNCTION) OPERATIONS };
enum Kind : int32_t { PIXELCNN_KINDS(PIXELCNN_NAME) KINDS };
enum Storage : int32_t { PIXELCNN_STORAGES(PIXELCNN_NAME) STORAGES };
enum Start : int32_t { PIXELCNN_STARTS(PIXELCNN_NAME) STARTS };
enum Output : int32_t { PIXELCNN_OUTPUTS(PIXELCNN_NAME) OUTPUTS };
enum Arithmetic : int32_t { PIXELCNN_PRECISIONS(PIXELCNN_NAME) PRECISIONS };
#undef PIXELCNN_NAME
#undef PIXELCNN_FUNCTION

// What an elementwise function takes.
struct Signature {
    int32_t values, constants;
    bool per_feature;
};

#define PIXELCNN_SIGNATURE(name, values, constants, per_feature) {values, constants, per_feature != 0},
constexpr Signature SIGNATURES[] = {PIXELCNN_OPERATIONS(PIXELCNN_SIGNATURE)};
#undef PIXELCNN_SIGNATURE

// A line for each group: its name, and its words in the order of their numbers; then what functions take.
#define PIXELCNN_SPELL(name) " " #name
#define PIXELCNN_SPELL_FUNCTION(name, values, constants, per_feature) " " #name
#define PIXELCNN_SPELL_TAKEN(name, values, constants, per_feature) " " #values "," #constants "," #per_feature
constexpr char CODES[] =
    "operation" PIXELCNN_OPERATIONS(PIXELCNN_SPELL_FUNCTION) "\n"
    "kind" PIXELCNN_KINDS(PIXELCNN_SPELL) "\n"
    "storage" PIXELCNN_STORAGES(PIXELCNN_SPELL) "\n"
    "start" PIXELCNN_STARTS(PIXELCNN_SPELL) "\n"
    "output" PIXELCNN_OUTPUTS(PIXELCNN_SPELL) "\n"
    "arithmetic" PIXELCNN_PRECISIONS(PIXELCNN_SPELL) "\n"
    "takes" PIXELCNN_OPERATIONS(PIXELCNN_SPELL_TAKEN);
#undef PIXELCNN_SPELL
#undef PIXELCNN_SPELL_TAKEN
#undef PIXELCNN_SPELL_FUNCTION

}  // namespace
