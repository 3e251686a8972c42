#include "laneway/shortlist.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace laneway {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();

// So many standard deviations below the last of the best a row may score and still be looked at.
constexpr float kErrors = 3;

// Rows that lie closer together than that cannot be told apart by their codes; no more than these are looked at. A share of
// all, so that prompts made from one of some dozens of templates are, and the look still takes less than looking at all.
std::size_t most_for(std::size_t count, std::size_t rows) { return std::max(4 * count + 64, rows / 16); }

// After so many rows the threshold is set for the first time, and again whenever their number has grown so many times.
constexpr std::size_t kFirstRows = 256;
constexpr std::size_t kGrowth = 4;

}  // namespace

// The threshold that a score passes which rounding may have brought down from here; a score passes its own.
float Shortlist::below(float score) const { return std::nextafter(score - margin_, kNone); }

// Drops the worst, if there are more than may be looked at. Of rows that score the same, the first stay.
void Shortlist::trim() {
  if (size_ <= most_) return;
  scratch_.assign(scores_.begin(), scores_.begin() + static_cast<std::ptrdiff_t>(size_));
  std::nth_element(scratch_.begin(), scratch_.begin() + static_cast<std::ptrdiff_t>(most_ - 1), scratch_.end(), std::greater<>{});
  const float last = scratch_[most_ - 1];
  const auto better = static_cast<std::size_t>(
      std::count_if(scratch_.begin(), scratch_.begin() + static_cast<std::ptrdiff_t>(most_), [=](float score) { return score > last; }));
  std::size_t kept = 0, equal = most_ - better;
  for (std::size_t at = 0; at < size_; ++at) {
    const bool takes = scores_[at] > last || (scores_[at] == last && equal > 0);
    equal -= takes && scores_[at] == last;
    scores_[kept] = scores_[at];
    rows_[kept] = rows_[at];
    kept += takes;
  }
  size_ = kept;
  threshold_ = std::max(threshold_, last);
}

// The last of the best of all rows is no worse than the last of the best of some: a threshold from the rows seen so far
// is never too high.
void Shortlist::tighten(const NamedKernel& kernel) {
  const float last = size_ < count_ ? kNone : kernel.floor(scores_.data(), size_, count_);
  if (last > kNone) {
    size_ = kernel.sift(scores_.data(), rows_.data(), size_, below(last));
    threshold_ = std::max(threshold_, below(last));
  }
  trim();
}

void Shortlist::sweep(const NamedKernel& kernel, const ScanTask& task, std::size_t first, std::size_t last) {
  while (first < last) {
    if (size_ + kStripRows > scores_.size()) tighten(kernel);
    Catch caught{scores_.data(), rows_.data(), size_, scores_.size()};
    first = kernel.scan(task, first, last, threshold_, caught);
    size_ = caught.size;
  }
}

// Blocks are counted through all tasks.
void Shortlist::sweep_some(const NamedKernel& kernel, std::span<const ScanTask> tasks, std::size_t first, std::size_t last) {
  for (const ScanTask& task : tasks) {
    if (first < task.blocks) sweep(kernel, task, first, std::min(last, task.blocks));
    if (last <= task.blocks) return;
    first -= std::min(first, task.blocks);
    last -= task.blocks;
  }
}

std::span<const std::uint32_t> Shortlist::find(const NamedKernel& kernel, std::span<const ScanTask> tasks, std::size_t count,
                                               float error) {
  std::size_t blocks = 0;
  for (const ScanTask& task : tasks) blocks += task.blocks;
  count_ = count;
  most_ = most_for(count, blocks * kBlockRows);
  margin_ = kErrors * error;
  const std::size_t room = std::max<std::size_t>(2 * most_, 1024) + kStripRows;
  if (scores_.size() < room) scores_.resize(room), rows_.resize(room);
  size_ = 0;
  threshold_ = kNone;
  std::size_t seen = 0;
  for (std::size_t next = std::max(kFirstRows, 2 * count) / kStripRows * kStripBlocks; next < blocks; next *= kGrowth) {
    sweep_some(kernel, tasks, seen, next);
    tighten(kernel);
    seen = next;
  }
  sweep_some(kernel, tasks, seen, blocks);
  tighten(kernel);
  return {rows_.data(), size_};
}

}  // namespace laneway
