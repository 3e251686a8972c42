#include "laneway/slab.hpp"

#include <algorithm>

namespace laneway {

namespace {

// To exactly this size: a vector left alone would double, and a thousand tables at rest would hold twice what they need.
template <typename Array>
void extend(Array& array, std::size_t size, typename Array::value_type value = {}) {
  array.reserve(size);
  array.resize(size, value);
}

template <typename Array>
std::size_t held(const Array& array) {
  return array.capacity() * sizeof(typename Array::value_type);
}

}  // namespace

void Slab::grow(std::size_t rows, std::size_t dims, std::size_t groups, std::size_t columns) {
  if (rows <= room) return;
  room = (rows + kBlockRows - 1) / kBlockRows * kBlockRows;
  extend(codes, (room + kStripRows - 1) / kStripRows * groups * kStride);
  extend(scales, room);
  extend(biases, room);
  extend(tags, room);
  extend(living, room / kBlockRows);
  extend(exact, room * dims);
  extend(ids, room);
  extend(labels, room * columns, kMissing);
}

void Slab::widen(std::size_t from, std::size_t to) {
  std::vector<float> wider(room * to, kMissing);
  for (std::size_t at = 0; at < room; ++at) std::copy_n(labels.data() + at * from, from, wider.data() + at * to);
  labels = std::move(wider);
}

std::size_t Slab::bytes() const {
  return sizeof(Slab) + held(codes) + held(scales) + held(biases) + held(tags) + held(living) + held(exact) + held(ids) +
         held(labels);
}

void Slab::set_living(std::size_t at, bool lives) {
  const auto bit = static_cast<std::uint16_t>(1u << at % kBlockRows);
  std::uint16_t& word = living[at / kBlockRows];
  word = static_cast<std::uint16_t>(lives ? word | bit : word & ~bit);
}

}  // namespace laneway
