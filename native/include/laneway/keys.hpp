// Candidates as integers: greater is better.
//
// Owns the order of what a search finds: by score, and where scores are the same, by age.
#pragma once

#include <bit>
#include <cstdint>

namespace laneway {

// Floats as integers that sort the same way (IEEE 754: sign and magnitude).
inline std::uint32_t ordered(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return bits & 0x80000000 ? ~bits : bits | 0x80000000;
}

inline float from_ordered(std::uint32_t order) {
  return std::bit_cast<float>(order & 0x80000000 ? order & 0x7FFFFFFF : ~order);
}

inline std::uint64_t key_of(float score, std::uint32_t row) { return std::uint64_t{ordered(score)} << 32 | ~row; }
inline float score_of(std::uint64_t key) { return from_ordered(static_cast<std::uint32_t>(key >> 32)); }
inline std::uint32_t row_of(std::uint64_t key) { return ~static_cast<std::uint32_t>(key); }

}  // namespace laneway
