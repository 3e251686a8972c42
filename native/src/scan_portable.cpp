#include "laneway/scan.hpp"

namespace laneway {

std::size_t scan_portable(const ScanTask& task, std::size_t first, std::size_t last, float threshold, Catch& out) {
  for (; first < last && out.size + kBlockRows <= out.capacity; ++first) {
    std::int32_t dots[kBlockRows] = {};
    const std::uint8_t* codes = task.codes + first * task.groups * kGroupBytes;
    for (std::size_t group = 0; group < task.groups; ++group, codes += kGroupBytes) {
      const std::int8_t* const query = task.query + group * kGroup;
      for (std::size_t row = 0; row < kBlockRows; ++row)
        for (std::size_t dim = 0; dim < kGroup; ++dim) dots[row] += query[dim] * codes[row * kGroup + dim];
    }
    for (std::size_t row = 0; row < kBlockRows; ++row) {
      const std::size_t at = first * kBlockRows + row;
      float score = static_cast<float>(dots[row] - task.offset) * task.scales[at];
      if (task.tag != 0 && task.tags[at] == task.tag) score += task.pull;
      if (!(score > threshold) || !(task.living[first] >> row & 1)) continue;
      out.scores[out.size] = score;
      out.rows[out.size++] = static_cast<std::uint32_t>(at);
    }
  }
  return first;
}

}  // namespace laneway
