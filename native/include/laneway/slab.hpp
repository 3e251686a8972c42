// A few thousand rows side by side: the memory of a table of rows.
//
// Owns the arrays and how they grow. A table grows slab by slab, so that adding a row never copies more than one slab,
// however many rows there are. Knows nothing of ids being unique or of vectors having a length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <span>
#include <vector>

#include "laneway/scan.hpp"

namespace laneway {

inline constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

// A wish that only some systems know, and that changes no result.
void ask_for_huge_pages(void* memory, std::size_t bytes);

// Memory on cache lines, so that a register's load never straddles two; much of it on huge pages, because the rows that
// are looked at exactly lie far apart, and finding each one's page would take longer than reading it.
template <typename T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};
  static constexpr std::align_val_t kHuge{std::size_t{2} << 20};
  static constexpr std::size_t kMuch = static_cast<std::size_t>(kHuge);

  LineAllocator() = default;
  template <typename U>
  LineAllocator(const LineAllocator<U>&) {}
  T* allocate(std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
    if (bytes < kMuch) return static_cast<T*>(::operator new(bytes, kLine));
    void* const memory = ::operator new(bytes, kHuge);
    ask_for_huge_pages(memory, bytes);
    return static_cast<T*>(memory);
  }
  void deallocate(T* at, std::size_t count) { ::operator delete(at, count * sizeof(T) < kMuch ? kLine : kHuge); }
  bool operator==(const LineAllocator&) const { return true; }
};

template <typename T>
using Lines = std::vector<T, LineAllocator<T>>;

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
