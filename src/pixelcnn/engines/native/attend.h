// Attention of a position to all before it, and to a token that is there from the start.
#pragma once

#include "maths.h"
#include "plan.h"

namespace {

// Keys and values of one image after the other. Keys lie as [head][block of positions][feature][position], so
// that LANES positions are weighed together; values as [head][position][feature]. All sums go in the order of
// features or positions, so that an image's numbers are its own.
class Keys {
  public:
    Keys(const Memory& memory, int64_t positions, int32_t images)
        : memory_(memory),
          places_(whole(positions + 1)),
          width_(whole(memory.value)),
          keys_(taken(images, memory.heads * places_ * memory.key)),
          values_(taken(images, memory.heads * places_ * width_)),
          weights_(places_) {
        const float* value = memory.first + int64_t(memory.heads) * memory.key;
        for (int32_t i = 0; i < images; ++i) remember(i, 0, memory.first, value);
    }

    // Place 0 is the token's; positions follow in coding order.
    void remember(int32_t image, int64_t place, const float* key, const float* value) {
        for (int32_t h = 0; h < memory_.heads; ++h) {
            float* k = keys(image, h) + place / LANES * LANES * memory_.key + place % LANES;
            for (int32_t d = 0; d < memory_.key; ++d) k[d * LANES] = *key++;
            std::memcpy(values(image, h) + place * width_, value, bytes(memory_.value));
            value += memory_.value;
        }
    }

    // The values of the first so many places, weighed by how their keys answer the query.
    void attend(int32_t image, int64_t count, const float* query, float* out) {
        for (int32_t h = 0; h < memory_.heads; ++h, query += memory_.key, out += memory_.value) {
            weigh(keys(image, h), count, query);
            const float* value = values(image, h);
            int32_t first = 0;
            for (; first + 4 * LANES <= memory_.value; first += 4 * LANES) mix<4>(value + first, count, out + first);
            for (; first < memory_.value; first += LANES)
                mix<1>(value + first, count, out + first, std::min(LANES, memory_.value - first));
        }
    }

  private:
    static int64_t taken(int64_t images, int64_t floats) {
        require(floats < MAX_FLOATS / images, "too much state");
        return images * floats;
    }

    float* keys(int64_t image, int64_t head) {
        return keys_.data() + (image * memory_.heads + head) * places_ * memory_.key;
    }
    float* values(int64_t image, int64_t head) {
        return values_.data() + (image * memory_.heads + head) * places_ * width_;
    }

    // Softmax of the scaled products of a query with some keys, into weights_.
    void weigh(const float* key, int64_t count, const float* query) {
        const float scale = 1.0f / std::sqrt(float(memory_.key));
        float* weights = weights_.data();
        Vector top = splat(-INFINITY);
        const int64_t blocks = whole(count) / LANES;
        int64_t block = 0;
        for (; block + 4 <= blocks; block += 4) products<4>(key, block, query, scale);
        for (; block < blocks; ++block) products<1>(key, block, query, scale);
        for (int64_t k = count; k < blocks * LANES; ++k) weights[k] = -INFINITY;
        for (int64_t k = 0; k < blocks * LANES; k += LANES) {
            const Vector score = load(weights + k);
            top = score > top ? score : top;
        }
        const Vector most = splat(highest(top));
        Vector sum{};
        for (int64_t k = 0; k < blocks * LANES; k += LANES) {
            const Vector weight = exponential(load(weights + k) - most);
            sum = sum + weight;
            store(weights + k, weight);
        }
        const Vector share = splat(1.0f / total(sum));
        for (int64_t k = 0; k < blocks * LANES; k += LANES) store(weights + k, load(weights + k) * share);
    }

    template <int BLOCKS_>
    void products(const float* key, int64_t block, const float* query, float scale) {
        Vector sum[BLOCKS_] = {};
        key += block * LANES * memory_.key;
        for (int32_t d = 0; d < memory_.key; ++d)
            for (int b = 0; b < BLOCKS_; ++b)
                sum[b] = sum[b] + load(key + (int64_t(b) * memory_.key + d) * LANES) * splat(query[d]);
        for (int b = 0; b < BLOCKS_; ++b) store(weights_.data() + (block + b) * LANES, sum[b] * splat(scale));
    }

    template <int BLOCKS_>
    void mix(const float* value, int64_t count, float* out, int32_t features = BLOCKS_ * LANES) {
        Vector sum[BLOCKS_] = {};
        const float* weights = weights_.data();
        for (int64_t k = 0; k < count; ++k, value += width_)
            for (int b = 0; b < BLOCKS_; ++b) sum[b] = sum[b] + load(value + b * LANES) * splat(weights[k]);
        for (int b = 0; b < BLOCKS_; ++b) store_some(out + b * LANES, sum[b], features - b * LANES);
    }

    const Memory& memory_;
    int64_t places_, width_;
    Floats keys_, values_, weights_;
};

}  // namespace
