#include <arm_neon.h>

#include "laneway/scan.hpp"

namespace laneway {
namespace {

constexpr std::size_t kLanes = 4;
constexpr std::size_t kParts = kBlockRows / kLanes;

inline int8x16_t spread(const std::int8_t* query) {
  std::int32_t packed;
  __builtin_memcpy(&packed, query, sizeof packed);
  return vreinterpretq_s8_s32(vdupq_n_s32(packed));
}

inline float32x4_t score(int32x4_t dots, const ScanTask& task, std::size_t row) {
  const float32x4_t exact = vsubq_f32(vcvtq_f32_s32(dots), vdupq_n_f32(task.offset));
  const float32x4_t bias = vmulq_n_f32(vld1q_f32(task.biases + row), task.weight);
  const float32x4_t scaled = vaddq_f32(vmulq_f32(exact, vld1q_f32(task.scales + row)), bias);
  if (task.tag == 0) return scaled;
  const uint32x4_t equal = vceqq_u32(vmovl_u16(vld1_u16(task.tags + row)), vdupq_n_u32(task.tag));
  const float32x4_t pull = vreinterpretq_f32_u32(vandq_u32(equal, vreinterpretq_u32_f32(vdupq_n_f32(task.pull))));
  return vaddq_f32(scaled, pull);
}

inline void take(float32x4_t scores, const ScanTask& task, std::size_t row, float threshold, Catch& out) {
  if (vmaxvq_u32(vcgtq_f32(scores, vdupq_n_f32(threshold))) == 0) return;
  float listed[kLanes];
  vst1q_f32(listed, scores);
  for (std::size_t at = 0; at < kLanes; ++at) {
    const std::size_t here = row + at;
    if (!(listed[at] > threshold) || !(task.living[here / kBlockRows] >> here % kBlockRows & 1)) continue;
    out.scores[out.size] = listed[at];
    out.rows[out.size++] = task.first_row + static_cast<std::uint32_t>(here);
  }
}

}  // namespace

std::size_t scan_neondot(const ScanTask& task, std::size_t first, std::size_t last, float threshold, Catch& out) {
  const uint8x16_t half = vdupq_n_u8(15);
  for (; first < last && out.size + kStripRows <= out.capacity; ++first) {
    const std::uint8_t* codes = task.codes + first_code(first, task.groups);
    int32x4_t dots[kParts] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    for (std::size_t group = 0; group < task.groups; ++group, codes += kStride) {
      const int8x16_t low = spread(task.query + group * kGroup), high = spread(task.query + group * kGroup + 4);
      for (std::size_t part = 0; part < kParts; ++part) {
        const uint8x16_t both = vld1q_u8(codes + 16 * part);
        dots[part] = vdotq_s32(dots[part], vreinterpretq_s8_u8(vandq_u8(both, half)), low);
        dots[part] = vdotq_s32(dots[part], vreinterpretq_s8_u8(vshrq_n_u8(both, 4)), high);
      }
    }
    for (std::size_t part = 0; part < kParts; ++part) {
      const std::size_t row = first * kBlockRows + kLanes * part;
      take(score(dots[part], task, row), task, row, threshold, out);
    }
  }
  return first;
}

}  // namespace laneway
