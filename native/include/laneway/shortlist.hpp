// Which rows are worth an exact look: the best by their codes, and what could have been among them but for rounding.
//
// Owns the threshold: how it is guessed from a sample, raised while the scan goes on, and checked in the end, so that a bad
// guess costs time and never a result.
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
  void sweep_all(const NamedKernel& kernel, std::span<const ScanTask> tasks);
  float guess(const NamedKernel& kernel, std::span<const ScanTask> tasks);
  float floor_of(std::size_t rank) const;
  float below(float score) const;
  void keep_above(float threshold);
  void tighten(float last);
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
