// Vectors as 4-bit codes, and queries as the scan takes them.
//
// Owns the rotation that makes all dimensions alike before they are rounded, and the rounding. Rotating changes no dot
// product; without it a few strong dimensions would leave the weak ones no codes. The codes only choose who is looked at
// exactly: no similarity that leaves the core is computed from them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace laneway {

class Coder {
 public:
  explicit Coder(std::size_t dims);

  std::size_t groups() const { return groups_; }

  // The standard deviation of a dot product's error, where query and vector have length 1.
  float error() const { return error_; }

  // Rounds a vector of any length. `codes` is the row's first byte in its block. Returns the scale that makes the dot product
  // of the codes with the vector itself exact; 0 for a vector of zeros.
  float encode(std::span<const float> vector, std::uint8_t* codes) const;

  // Turns and rounds a query to `values` (groups() x 8 of them); returns the scale of the values, 0 for no length.
  float encode_query(std::span<const float> query, std::vector<std::int8_t>& values) const;

 private:
  void rotate(std::span<const float> vector, float* out) const;

  std::size_t dims_;
  std::size_t groups_;
  std::size_t span_;  // of one turn: the largest power of two that fits into dims
  float error_;
  std::vector<float> signs_;
};

}  // namespace laneway
