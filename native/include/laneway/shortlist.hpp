// Which rows are worth an exact look: the best by their codes, and what could have been among them but for rounding.
//
// Owns the threshold, and how it rises while the scan goes on. It follows from rows that were seen and is never too high, so
// that no row has to be scanned twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "laneway/scan.hpp"

namespace laneway {

// Kept between searches of one thread, so that a search allocates nothing once it is warm.
class Shortlist {
 public:
  // Rows to look at for the `count` best of all tasks; `error` is the standard deviation of a score's error. At least `count` rows come
  // back, if so many live. Valid until the next call.
  std::span<const std::uint32_t> find(const NamedKernel& kernel, std::span<const ScanTask> tasks, std::size_t count, float error);

 private:
  void sweep(const NamedKernel& kernel, const ScanTask& task, std::size_t first, std::size_t last);
  void sweep_some(const NamedKernel& kernel, std::span<const ScanTask> tasks, std::size_t first, std::size_t last);
  float below(float score) const;
  void tighten(const NamedKernel& kernel);
  void trim();

  std::vector<float> scores_;
  std::vector<std::uint32_t> rows_;
  std::vector<float> scratch_;
  std::size_t size_ = 0;
  std::size_t count_ = 0;
  std::size_t most_ = 0;
  float margin_ = 0;
  float threshold_ = 0;
};

}  // namespace laneway
