#include "laneway/shown.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <string>

namespace laneway {
namespace {

static_assert(std::endian::native == std::endian::little, "what is shown is packed little-endian");

template <typename T>
T read(const std::uint8_t* from) {
  T out;
  std::memcpy(&out, from, sizeof out);
  return out;
}

template <typename T>
std::uint8_t* write(std::uint8_t* to, T value) {
  std::memcpy(to, &value, sizeof value);
  return to + sizeof value;
}

}  // namespace

Shown::Shown(const Neighbours& neighbours, std::size_t count, std::span<const std::uint32_t> columns) : columns_(columns.size()) {
  if (std::ranges::any_of(columns, [&](std::uint32_t column) { return column >= neighbours.columns; }))
    throw std::invalid_argument("columns: there are only " + std::to_string(neighbours.columns) + " columns");
  count = std::min(count, neighbours.ids.size());
  packed_.resize(count * stride());
  std::uint8_t* to = packed_.data();
  for (std::size_t row = 0; row < count; ++row) {
    to = write(to, neighbours.ids[row]);
    to = write(to, neighbours.similarities[row]);
    for (const std::uint32_t column : columns) to = write(to, neighbours.labels[row * neighbours.columns + column]);
  }
}

Shown::Shown(std::span<const std::uint8_t> packed, std::size_t columns)
    : columns_(columns), packed_(packed.begin(), packed.end()) {
  if (packed.size() % stride() != 0)
    throw std::invalid_argument("packed: " + std::to_string(packed.size()) + " bytes are no neighbours with " +
                                std::to_string(columns) + " labels each");
}

std::int64_t Shown::id(std::size_t at) const { return read<std::int64_t>(packed_.data() + at * stride()); }

float Shown::similarity(std::size_t at) const {
  return read<float>(packed_.data() + at * stride() + sizeof(std::int64_t));
}

float Shown::label(std::size_t at, std::size_t column) const {
  return read<float>(packed_.data() + at * stride() + sizeof(std::int64_t) + sizeof(float) * (1 + column));
}

}  // namespace laneway
