// Memory that is read here and there: rows of tables far larger than any cache.
//
// Owns where such memory lies, and asking for a piece of it before it is wanted. Knows nothing of what it holds.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace laneway {

// A wish that only some systems know, and that changes no result.
void ask_for_huge_pages(void* memory, std::size_t bytes);

// Memory on cache lines, so that a register's load never straddles two; much of it on huge pages, because what is looked at
// of it lies far apart, and finding each one's page would take longer than reading it.
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

// Has memory come near while something else is done. Changes no result.
template <typename T>
void fetch(const T* from, std::size_t count) {
  constexpr std::size_t kLine = 64 / sizeof(T);
  for (std::size_t at = 0; at < count; at += kLine) __builtin_prefetch(from + at);
}

}  // namespace laneway
