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

// Rows that lie closer together than that cannot be told apart by their codes; no more than these are looked at.
std::size_t most_for(std::size_t count) { return 4 * count + 64; }

// The sample that the threshold is guessed from: this many rows, or this share of all if that is more.
constexpr std::size_t kSampleRows = 256;
constexpr std::size_t kSampleShare = 32;

struct Range {
  float low, high;
};

// In lanes, so that a compiler can keep them in registers.
Range range_of(std::span<const float> scores) {
  constexpr std::size_t kLanes = 8;
  float low[kLanes], high[kLanes];
  std::fill_n(low, kLanes, scores[0]);
  std::fill_n(high, kLanes, scores[0]);
  for (std::size_t at = 0; at < scores.size(); ++at) {
    float& least = low[at % kLanes];
    float& most = high[at % kLanes];
    least = scores[at] < least ? scores[at] : least;
    most = scores[at] > most ? scores[at] : most;
  }
  return {*std::min_element(low, low + kLanes), *std::max_element(high, high + kLanes)};
}

}  // namespace

// At most the score of the given rank (1 is the best), and close to it: found by halving, because counting is what a
// compiler makes the fastest loops of. Nothing, if there are fewer scores.
float Shortlist::floor_of(std::size_t rank) const {
  if (size_ < rank) return kNone;
  constexpr int kHalvings = 10;
  const float* const scores = scores_.data();
  auto [low, high] = range_of({scores, size_});
  for (int step = 0; step < kHalvings; ++step) {
    const float middle = low + (high - low) / 2;
    std::uint32_t above = 0;
    for (std::size_t at = 0; at < size_; ++at) above += scores[at] > middle ? 1u : 0u;
    (above >= rank ? low : high) = middle;
  }
  return low;
}

// The threshold that a score passes which rounding may have brought down from here; a score passes its own.
float Shortlist::below(float score) const { return std::nextafter(score - margin_, kNone); }

void Shortlist::keep_above(float threshold) {
  std::size_t kept = 0;
  for (std::size_t at = 0; at < size_; ++at) {
    scores_[kept] = scores_[at];
    rows_[kept] = rows_[at];
    kept += scores_[at] > threshold;
  }
  size_ = kept;
}

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

void Shortlist::tighten(float last) {
  if (last > kNone) {
    keep_above(below(last));
    threshold_ = std::max(threshold_, below(last));
  }
  trim();
}

void Shortlist::sweep(const NamedKernel& kernel, const ScanTask& task, std::size_t first, std::size_t last) {
  while (first < last) {
    if (size_ + kStripRows > scores_.size()) tighten(floor_of(count_));
    Catch caught{scores_.data(), rows_.data(), size_, scores_.size()};
    first = kernel.scan(task, first, last, threshold_, caught);
    size_ = caught.size;
  }
}

void Shortlist::sweep_all(const NamedKernel& kernel, std::span<const ScanTask> tasks) {
  size_ = 0;
  for (const ScanTask& task : tasks) sweep(kernel, task, 0, task.blocks);
}

// A threshold that the best should pass with few others, from blocks picked at even steps.
float Shortlist::guess(const NamedKernel& kernel, std::span<const ScanTask> tasks) {
  std::size_t blocks = 0;
  for (const ScanTask& task : tasks) blocks += task.blocks;
  const std::size_t sampled = std::max(kSampleRows / kBlockRows, blocks / kSampleShare);
  if (blocks < 3 * sampled) return kNone;
  const double expected = static_cast<double>(count_) * static_cast<double>(sampled) / static_cast<double>(blocks);
  const auto rank = static_cast<std::size_t>(expected + 2 * std::sqrt(expected) + 2);
  if (rank * 2 > sampled * kBlockRows) return kNone;
  const std::size_t step = blocks / sampled;
  std::size_t next = 0;
  for (const ScanTask& task : tasks) {
    for (; next < task.blocks; next += step) {
      if (size_ + kStripRows > scores_.size()) keep_above(floor_of(rank));
      if (size_ + kStripRows > scores_.size()) return kNone;  // they all score the same
      sweep(kernel, task, next, next + 1);
    }
    next -= task.blocks;
  }
  return below(floor_of(rank));
}

std::span<const std::uint32_t> Shortlist::find(const NamedKernel& kernel, std::span<const ScanTask> tasks, std::size_t count,
                                               float error) {
  count_ = count;
  most_ = most_for(count);
  margin_ = kErrors * error;
  const std::size_t room = std::max<std::size_t>(2 * most_, 1024) + kStripRows;
  if (scores_.size() < room) scores_.resize(room), rows_.resize(room);
  size_ = 0;
  threshold_ = kNone;
  const float guessed = guess(kernel, tasks);
  threshold_ = guessed;
  sweep_all(kernel, tasks);
  float found = floor_of(count_);
  if (below(found) < guessed) {
    threshold_ = below(found);
    sweep_all(kernel, tasks);
    found = floor_of(count_);
  }
  tighten(found);
  return {rows_.data(), size_};
}

}  // namespace laneway
