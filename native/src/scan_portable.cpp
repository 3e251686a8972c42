#include "laneway/scan.hpp"

namespace laneway {
namespace {

// The bytes of one group, and how many of them stand in a register of the smallest machine when each takes 16 bits.
constexpr std::size_t kLanes = 8;

// Sums of products stay in 16 bits for so many groups: 8 x 2 x 15 x 127 is less than 2^15.
constexpr std::size_t kNarrow = 8;

// Plain loops of fixed sizes over 16-bit numbers: any compiler turns them into the registers it knows.
void add_group(const std::uint8_t* codes, const std::int8_t* query, std::int16_t* sums) {
  std::int16_t low[kLanes], high[kLanes];
  for (std::size_t lane = 0; lane < kLanes; ++lane) low[lane] = query[lane % 4], high[lane] = query[4 + lane % 4];
  for (std::size_t first = 0; first < kGroupBytes; first += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const std::int16_t code = codes[first + lane];
      const auto lower = static_cast<std::int16_t>(low[lane] * static_cast<std::int16_t>(code & 15));
      const auto upper = static_cast<std::int16_t>(high[lane] * static_cast<std::int16_t>(code >> 4));
      sums[first + lane] = static_cast<std::int16_t>(sums[first + lane] + lower + upper);
    }
  }
}

void add_block(const ScanTask& task, const std::uint8_t* codes, std::int32_t* dots) {
  for (std::size_t group = 0; group < task.groups;) {
    std::int16_t sums[kGroupBytes] = {};
    const std::size_t end = group + kNarrow < task.groups ? group + kNarrow : task.groups;
    for (; group < end; ++group, codes += kStride) add_group(codes, task.query + group * kGroup, sums);
    for (std::size_t row = 0; row < kBlockRows; ++row)
      for (std::size_t at = 0; at < 4; ++at) dots[row] += sums[row * 4 + at];
  }
}

#include "selection.inc"

}  // namespace

float dot_portable(const float* one, const float* other, std::size_t count) {
  float lanes[16] = {};
  std::size_t at = 0;
  for (; at + 16 <= count; at += 16)
    for (std::size_t lane = 0; lane < 16; ++lane) lanes[lane] += one[at + lane] * other[at + lane];
  for (std::size_t lane = 0; at < count; ++at, ++lane) lanes[lane] += one[at] * other[at];
  for (std::size_t half = 8; half > 0; half /= 2)
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  return lanes[0];
}

void dots_portable(const float* one, const float* const* others, std::size_t count, std::size_t dims, float* out) {
  for (std::size_t at = 0; at < count; ++at) out[at] = dot_portable(one, others[at], dims);
}

float floor_portable(const float* scores, std::size_t size, std::size_t rank) { return floor_of(scores, size, rank); }

std::size_t sift_portable(float* scores, std::uint32_t* rows, std::size_t size, float threshold) {
  std::size_t kept = 0;
  for (std::size_t at = 0; at < size; ++at) {
    const float score = scores[at];
    scores[kept] = score;
    rows[kept] = rows[at];
    kept += score > threshold;
  }
  return kept;
}

std::size_t scan_portable(const ScanTask& task, std::size_t first, std::size_t last, float threshold, Catch& out) {
  for (; first < last && out.size + kStripRows <= out.capacity; ++first) {
    std::int32_t dots[kBlockRows] = {};
    add_block(task, task.codes + first_code(first, task.groups), dots);
    for (std::size_t row = 0; row < kBlockRows; ++row) {
      const std::size_t at = first * kBlockRows + row;
      float score = (static_cast<float>(dots[row]) - task.offset) * task.scales[at] + task.weight * task.biases[at];
      if (task.tag != 0 && task.tags[at] == task.tag) score += task.pull;
      if (!(score > threshold) || !(task.living[first] >> row & 1)) continue;
      out.scores[out.size] = score;
      out.rows[out.size++] = task.first_row + static_cast<std::uint32_t>(at);
    }
  }
  return first;
}

}  // namespace laneway
