// Units of dense layers: some at a time, each a dot product with what is known before it.
#pragma once

#include "instruction.h"

namespace {

constexpr int DOT_SUMS = 2;    // of one dot product, which are added up at last
constexpr int DOT_IMAGES = 4;  // that share the weights of one

// A dot product of some images with the same weights, (IMAGES_): in an order that depends on the depth alone.
template <int IMAGES_>
void dot(const float* x, int64_t stride, const float* weight, int32_t depth, float base, float* out,
         int64_t out_stride) {
    Vector sum[IMAGES_][DOT_SUMS] = {};
    int32_t k = 0;
    for (; k + DOT_SUMS * LANES <= depth; k += DOT_SUMS * LANES)
        for (int s = 0; s < DOT_SUMS; ++s) {
            const Vector w = load(weight + k + s * LANES);
            for (int r = 0; r < IMAGES_; ++r) sum[r][s] = sum[r][s] + w * load(x + r * stride + k + s * LANES);
        }
    for (; k < depth; k += LANES) {
        const Vector w = load(weight + k);
        for (int r = 0; r < IMAGES_; ++r) sum[r][0] = sum[r][0] + w * load_some(x + r * stride + k, depth - k);
    }
    for (int r = 0; r < IMAGES_; ++r) out[r * out_stride] = base + total(sum[r][0] + sum[r][1]);
}

// Some outputs of all images. Weights lie as (outputs, inputs), since few outputs become known together: a vector
// of outputs would be mostly empty.
void dense(const Instruction& i, const float* from, int64_t stride, float* to, int64_t to_stride, int32_t images) {
    const Segment& segment = i.segments.front();
    const float* weight = i.weight;
    for (int32_t k = 0; k < i.count; ++k, weight += whole(segment.count)) {
        const float base = i.bias ? i.bias[k] : 0.0f;
        const float* x = from + segment.first;
        float* out = to + k;
        int32_t image = 0;
        for (; image + DOT_IMAGES <= images; image += DOT_IMAGES) {
            dot<DOT_IMAGES>(x, stride, weight, segment.count, base, out, to_stride);
            x += DOT_IMAGES * stride;
            out += DOT_IMAGES * to_stride;
        }
        for (; image < images; ++image, x += stride, out += to_stride)
            dot<1>(x, stride, weight, segment.count, base, out, to_stride);
    }
}

}  // namespace
