#include "laneway/shortlist.hpp"

#include <algorithm>
#include <array>
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

}  // namespace

// At most the score of the given rank (1 is the best), and close to it: the lower edge of its bin among 256 equal ones.
float Shortlist::floor_of(std::size_t rank) const {
  if (size_ < rank) return kNone;
  const auto [least, most] = std::minmax_element(scores_.begin(), scores_.begin() + static_cast<std::ptrdiff_t>(size_));
  const float low = *least;
  constexpr std::size_t kBins = 256;
  const float step = (*most - low) / kBins;
  if (!std::isnormal(step)) return low;
  const float per_step = 1 / step;
  std::array<std::uint32_t, kBins> bins{};
  for (std::size_t at = 0; at < size_; ++at)
    ++bins[std::min(kBins - 1, static_cast<std::size_t>(static_cast<std::uint32_t>((scores_[at] - low) * per_step)))];
  std::size_t bin = kBins;
  for (std::size_t seen = 0; bin > 0 && seen < rank;) seen += bins[--bin];
  // Rounding may have put a score into the bin above its own: one step of slack.
  return std::max(low, low + step * (static_cast<float>(bin) - 1));
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

// Drops the worst, if there are more than may be looked at. Rows that score the same go by age.
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

void Shortlist::tighten() {
  const float last = floor_of(count_);
  if (last > kNone) {
    keep_above(below(last));
    threshold_ = std::max(threshold_, below(last));
  }
  trim();
}

void Shortlist::sweep(const NamedKernel& kernel, const ScanTask& task, std::size_t first, std::size_t last) {
  while (first < last) {
    Catch caught{scores_.data(), rows_.data(), size_, scores_.size()};
    first = kernel.scan(task, first, last, threshold_, caught);
    size_ = caught.size;
    if (first < last) tighten();
  }
}

// A threshold that the best should pass with few others, from blocks picked at even steps.
float Shortlist::guess(const NamedKernel& kernel, const ScanTask& task, std::size_t blocks) {
  const std::size_t sampled = std::max(kSampleRows / kBlockRows, blocks / kSampleShare);
  if (blocks < 3 * sampled) return kNone;
  const double expected = static_cast<double>(count_) * static_cast<double>(sampled) / static_cast<double>(blocks);
  const auto rank = static_cast<std::size_t>(expected + 2 * std::sqrt(expected) + 2);
  if (rank * 2 > sampled * kBlockRows) return kNone;
  for (std::size_t at = 0; at < sampled; ++at) {
    const std::size_t block = at * blocks / sampled;
    if (size_ + kStripRows > scores_.size()) keep_above(floor_of(rank));
    if (size_ + kStripRows > scores_.size()) break;
    sweep(kernel, task, block, block + 1);
  }
  const float last = floor_of(rank);
  size_ = 0;
  return below(last);
}

std::span<const std::uint32_t> Shortlist::find(const NamedKernel& kernel, const ScanTask& task, std::size_t blocks,
                                               std::size_t count, float error) {
  count_ = count;
  most_ = most_for(count);
  margin_ = kErrors * error;
  const std::size_t room = std::max<std::size_t>(2 * most_, 1024) + kStripRows;
  if (scores_.size() < room) scores_.resize(room), rows_.resize(room);
  size_ = 0;
  threshold_ = kNone;
  const float guessed = guess(kernel, task, blocks);
  threshold_ = guessed;
  sweep(kernel, task, 0, blocks);
  const float needed = below(floor_of(count_));
  if (needed < guessed) {
    size_ = 0;
    threshold_ = needed;
    sweep(kernel, task, 0, blocks);
  }
  tighten();
  return {rows_.data(), size_};
}

}  // namespace laneway
