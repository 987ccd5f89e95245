// The memory of an engine's values.
#pragma once

#include <sys/mman.h>

#include <utility>

#include "vectors.h"

namespace {

constexpr size_t LINE = 64, LARGE_PAGE = size_t(2) << 20;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t MOST_TOGETHER = 0;  // arrays lie apart, so that a sanitizer sees where one ends
#else
constexpr size_t MOST_TOGETHER = size_t(64) << 20;
#endif

// Zeros, which the system gives as they are come to: in large pages where it has them, since neighbouring columns of
// an image lie a page apart or more.
class Region {
  public:
    explicit Region(size_t bytes) : mapped_(MOST_TOGETHER && bytes >= LARGE_PAGE ? bytes : 0) {
        data_ = mapped_ ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                        : std::calloc(bytes + LINE, 1);
        if (!data_ || data_ == MAP_FAILED) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
        if (mapped_) madvise(data_, mapped_, MADV_HUGEPAGE);
#endif
    }
    Region(Region&& other) noexcept : mapped_(other.mapped_), data_(std::exchange(other.data_, nullptr)) {}
    Region& operator=(Region&&) = delete;
    ~Region() {
        if (!mapped_)
            std::free(data_);
        else if (data_)
            munmap(data_, mapped_);
    }
    char* first_line() const {
        return reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(data_) + LINE - 1) / LINE * LINE);
    }

  private:
    size_t mapped_;  // bytes; none of what malloc has given
    void* data_;
};

// Arrays that live as long as the arena.
class Arena {
  public:
    // Zeros, which begin at a cache line, so that vectors do not straddle two.
    template <typename Number>
    Number* take(int64_t count) {
        const size_t bytes = (size_t(count) * sizeof(Number) + LINE - 1) / LINE * LINE;
        if (bytes > left_) {
            left_ = std::max(bytes, std::min(taken_, MOST_TOGETHER));
            regions_.emplace_back(left_);
            next_ = regions_.back().first_line();
        }
        left_ -= bytes;
        taken_ += bytes;
        return reinterpret_cast<Number*>(std::exchange(next_, next_ + bytes));
    }

  private:
    std::vector<Region> regions_;
    char* next_ = nullptr;
    size_t left_ = 0, taken_ = 0;  // of the last region, of all
};

}  // namespace
