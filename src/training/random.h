// Random numbers from a seed: the same on every machine, library and device.
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
enum class RandomPurpose : uint64_t { weights = 1, order, negatives, dropout, head, position, labels,
                                     image_statistics, calibration };

// A seeded stream of numbers.
class RandomStream {
public:
    using State = std::array<uint64_t, 4>;

    RandomStream(int64_t seed, RandomPurpose purpose);

    uint64_t next();                 // 64 random bits
    double uniform();                // [0, 1), 53 bits
    uint64_t below(uint64_t bound);  // 0 .. bound-1, without bias; bound > 0

    // 0 .. n-1 in random order.
    std::vector<int64_t> permutation(int64_t n);

    // Where the stream stands: one that is set to it goes on as this one does.
    const State &state() const { return state_; }
    void set_state(const State &state) { state_ = state; }

private:
    State state_;  // xoshiro256++ (Blackman and Vigna, 2021)
};

// Random bits by counting: a function of both numbers, with no state between calls.
uint64_t mix_bits(uint64_t key, uint64_t number);

// Fills words with the random bits of a key.
void fill_with_bits(uint64_t key, std::vector<uint64_t> &words);

}  // namespace csp
