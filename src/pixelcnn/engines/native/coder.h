// A range coder with a state of 64 bits and words of 32: that of constriction, word for word.
#pragma once

#include "law.h"

namespace {

constexpr int WORD = 32;

class Encoder {
  public:
    // A level whose counts begin somewhere, of ALL.
    void encode(int64_t begin, int64_t count) {
        const uint64_t scale = size_ >> COUNT_BITS, before = lower_;
        lower_ += scale * uint64_t(begin);
        size_ = scale * uint64_t(count);
        if (lower_ < before) carry();
        if (size_ >> WORD) return;
        words_.push_back(uint32_t(lower_ >> WORD));
        lower_ <<= WORD;
        size_ <<= WORD;
    }

    // All words, such that any that follow change nothing.
    std::vector<uint32_t> words() const {
        if (words_.empty() && size_ == UINT64_MAX) return {};
        Encoder sealed = *this;
        const uint64_t point = lower_ + (uint64_t(1) << WORD) - 1;
        if (point < lower_) sealed.carry();
        sealed.words_.push_back(uint32_t(point >> WORD));
        if (uint32_t((lower_ + size_) >> WORD) == uint32_t(point >> WORD)) sealed.words_.push_back(0);
        return sealed.words_;
    }

  private:
    void carry() {
        for (size_t k = words_.size(); k-- > 0;)
            if (++words_[k]) return;
    }

    uint64_t lower_ = 0, size_ = UINT64_MAX;
    std::vector<uint32_t> words_;
};

class Decoder {
  public:
    Decoder(const uint32_t* words, int64_t count) : words_(words), end_(words + count) {
        if (!words) return;
        point_ = uint64_t(next()) << WORD;
        point_ |= next();
    }

    int32_t decode(const Law& law) {
        const uint64_t scale = size_ >> COUNT_BITS, at = (point_ - lower_) / scale;
        require(at < uint64_t(ALL), "words that no encoder wrote");
        const int32_t level = law.find(int64_t(at));
        const int64_t begin = law.below(level);
        lower_ += scale * uint64_t(begin);
        size_ = scale * uint64_t(law.below(level + 1) - begin);
        if (size_ >> WORD) return level;
        lower_ <<= WORD;
        size_ <<= WORD;
        point_ = point_ << WORD | next();
        return level;
    }

  private:
    // An encoder's words are missed by one at most.
    uint32_t next() {
        if (words_ < end_) return *words_++;
        require(missed_++ < 1, "words that no encoder wrote");
        return 0;
    }

    uint64_t lower_ = 0, size_ = UINT64_MAX, point_ = 0;
    const uint32_t *words_ = nullptr, *end_ = nullptr;
    int missed_ = 0;
};

}  // namespace
