// The nearest of what a search found, as few bytes as a receipt has room for.
//
// Owns how they lie: for each its id, its similarity and a label for each of the chosen columns, little-endian, side by
// side. Receipts that people have kept are read by this: what lies elsewhere tomorrow needs another way to read it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "laneway/rows.hpp"

namespace laneway {

class Shown {
 public:
  // At most `count` of them. Throws std::invalid_argument for a column that is not there.
  Shown(const Neighbours& neighbours, std::size_t count, std::span<const std::uint32_t> columns);

  // Of `packed` bytes. Throws std::invalid_argument where so many columns do not fit them.
  Shown(std::span<const std::uint8_t> packed, std::size_t columns);

  std::size_t size() const { return packed_.size() / stride(); }
  std::size_t columns() const { return columns_; }
  std::int64_t id(std::size_t at) const;
  float similarity(std::size_t at) const;
  float label(std::size_t at, std::size_t column) const;  // NaN where there is none
  std::span<const std::uint8_t> packed() const { return packed_; }

 private:
  std::size_t stride() const { return sizeof(std::int64_t) + sizeof(float) * (1 + columns_); }

  std::size_t columns_;
  std::vector<std::uint8_t> packed_;
};

}  // namespace laneway
