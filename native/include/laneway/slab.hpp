// A few thousand rows side by side: the memory of a table of rows.
//
// Owns the arrays and how they grow. A table grows slab by slab, so that adding a row never copies more than one slab,
// however many rows there are. Knows nothing of ids being unique or of vectors having a length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "laneway/memory.hpp"
#include "laneway/scan.hpp"

namespace laneway {

inline constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

struct Slab {
  static constexpr std::size_t kRows = 4096;

  std::size_t room = 0;  // rows there is memory for: whole blocks
  Lines<std::uint8_t> codes;
  Lines<float> scales;
  Lines<float> biases;
  Lines<std::uint16_t> tags;
  std::vector<std::uint16_t> living;
  Lines<float> exact;
  std::vector<std::int64_t> ids;
  std::vector<float> labels;

  void grow(std::size_t rows, std::size_t dims, std::size_t groups, std::size_t columns);
  void widen(std::size_t from, std::size_t to);
  std::size_t bytes() const;

  bool lives(std::size_t at) const { return living[at / kBlockRows] >> at % kBlockRows & 1; }
  void set_living(std::size_t at, bool lives);
};

}  // namespace laneway
