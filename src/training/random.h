// A seeded stream of random numbers: the same on every machine, library and device.
//
// The distributions of <random> differ between standard libraries and torch's generators
// between devices; a run has to be repeatable from its seed alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace csp {

// What a stream is for: streams of one seed are independent of each other, so that, for
// example, more negatives do not change the order of the rows.
enum class RandomPurpose : uint64_t { weights = 1, order, negatives, dropout, head, position, labels };

class RandomStream {
public:
    using State = std::array<uint64_t, 4>;

    RandomStream(int64_t seed, RandomPurpose purpose);

    uint64_t next();                 // 64 random bits
    double uniform();                // [0, 1), 53 bits
    uint64_t below(uint64_t bound);  // 0 .. bound-1, without bias; bound > 0

    // 0 .. n-1 in random order.
    std::vector<int64_t> permutation(int64_t n);

    // n factors, each 0 with probability `drop` (to 1/65536) and else 1 / (1 - drop).
    void fill_dropout_mask(float *mask, std::size_t n, double drop);

    // Where the stream stands: one that is set to it goes on as this one does.
    const State &state() const { return state_; }
    void set_state(const State &state) { state_ = state; }

private:
    State state_;  // xoshiro256++ (Blackman and Vigna, 2021)
};

}  // namespace csp
