// xoshiro256++, seeded by splitmix64; and splitmix64 by itself.
#include "random.h"

#include <cmath>
#include <numeric>
#include <utility>

namespace csp {
namespace {

uint64_t rotate_left(uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }

uint64_t splitmix64(uint64_t &state) {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

}  // namespace

RandomStream::RandomStream(int64_t seed, RandomPurpose purpose) {
    uint64_t start = static_cast<uint64_t>(seed);
    uint64_t mixed = splitmix64(start) ^ (static_cast<uint64_t>(purpose) << 32);
    for (uint64_t &word : state_) word = splitmix64(mixed);
}

uint64_t RandomStream::next() {
    const uint64_t result = rotate_left(state_[0] + state_[3], 23) + state_[0];
    const uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate_left(state_[3], 45);
    return result;
}

double RandomStream::uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

uint64_t RandomStream::below(uint64_t bound) {
    const uint64_t reject_below = (0 - bound) % bound;  // 2^64 mod bound
    uint64_t bits = next();
    while (bits < reject_below) bits = next();
    return bits % bound;
}

std::vector<int64_t> RandomStream::permutation(int64_t n) {
    std::vector<int64_t> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), int64_t{0});
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[below(i)]);
    return order;
}

// Each word is the finalizer of splitmix64 at its own place of the sequence.
uint64_t mix_bits(uint64_t key, uint64_t number) {
    uint64_t state = key + number * 0xd1342543de82ef95u;
    return splitmix64(state);
}

void fill_with_bits(uint64_t key, std::vector<uint64_t> &words) {
    for (uint64_t &word : words) word = splitmix64(key);
}

}  // namespace csp
