// Memory of the encoder room: aligned arrays for weights, and scratch for one call.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace csp {

struct AlignedDelete {
    void operator()(float *p) const noexcept { ::operator delete[](p, std::align_val_t(64)); }
};

// Floats on a cache-line boundary, uninitialised.
using AlignedFloats = std::unique_ptr<float[], AlignedDelete>;

inline AlignedFloats allocate_floats(std::size_t n) {
    return AlignedFloats(static_cast<float *>(::operator new[](n * sizeof(float), std::align_val_t(64))));
}

// Scratch for one call, uninitialised: on the stack if it is small, so that a query of one
// location does not allocate, else on the heap. One for each call keeps a Model immutable.
class Scratch {
public:
    explicit Scratch(std::size_t n) : heap_(n > small ? allocate_floats(n) : nullptr) {}
    Scratch(const Scratch &) = delete;
    Scratch &operator=(const Scratch &) = delete;

    float *data() { return heap_ ? heap_.get() : stack_; }

private:
    static constexpr std::size_t small = 4096;
    alignas(64) float stack_[small];
    AlignedFloats heap_;
};

}  // namespace csp
