// Vectors for tests: the same on every machine.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace vectors {

// A small generator, so that a test does not depend on a library's distributions (PCG, O'Neill 2014, XSH-RR).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 2 + 1) { next(); }

  std::uint32_t next() {
    const std::uint64_t old = state_;
    state_ = old * 6364136223846793005u + 1442695040888963407u;
    const auto mixed = static_cast<std::uint32_t>((old >> 18 ^ old) >> 27);
    const auto turn = static_cast<std::uint32_t>(old >> 59);
    return mixed >> turn | mixed << (-turn & 31);
  }
  std::size_t below(std::size_t limit) { return next() % limit; }
  float uniform() { return static_cast<float>(next() >> 8) / 16777216.0f; }
  // Near enough to normal for a test.
  float normal() {
    float sum = -6;
    for (int at = 0; at < 12; ++at) sum += uniform();
    return sum;
  }

 private:
  std::uint64_t state_;
};

// `count` vectors of length 1 around `shift`, side by side.
inline std::vector<float> units(Random& random, std::size_t count, std::size_t dims, float shift = 0) {
  std::vector<float> out(count * dims);
  for (std::size_t at = 0; at < count; ++at) {
    const std::span<float> vector(out.data() + at * dims, dims);
    double square = 0;
    for (float& value : vector) {
      value = random.normal() + shift;
      square += static_cast<double>(value) * value;
    }
    for (float& value : vector) value = static_cast<float>(value / std::sqrt(square));
  }
  return out;
}

inline std::vector<std::int64_t> numbers(std::size_t count, std::int64_t first = 0) {
  std::vector<std::int64_t> out(count);
  std::iota(out.begin(), out.end(), first);
  return out;
}

}  // namespace vectors
