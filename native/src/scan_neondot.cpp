#include <arm_neon.h>

#include "laneway/scan.hpp"

namespace laneway {
namespace {

inline float32x4_t score(int32x4_t dots, const ScanTask& task, std::size_t row) {
  const float32x4_t scaled = vmulq_f32(vcvtq_f32_s32(dots), vld1q_f32(task.scales + row));
  if (task.tag == 0) return scaled;
  const uint32x4_t equal = vceqq_u32(vmovl_u16(vld1_u16(task.tags + row)), vdupq_n_u32(task.tag));
  const float32x4_t pull = vreinterpretq_f32_u32(vandq_u32(equal, vreinterpretq_u32_f32(vdupq_n_f32(task.pull))));
  return vaddq_f32(scaled, pull);
}

}  // namespace

// The dot product of this instruction set takes signed codes: the 128 that is stored with them is taken off first.
std::size_t scan_neondot(const ScanTask& task, std::size_t first, std::size_t last, float threshold, Catch& out) {
  const float32x4_t least = vdupq_n_f32(threshold);
  const uint8x16_t bias = vdupq_n_u8(0x80);
  for (; first < last && out.size + kBlockRows <= out.capacity; ++first) {
    const std::uint8_t* codes = task.codes + first * task.groups * kGroupBytes;
    int32x4_t dots[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    for (std::size_t group = 0; group < task.groups; ++group, codes += kGroupBytes) {
      std::int32_t packed;
      __builtin_memcpy(&packed, task.query + group * kGroup, sizeof packed);
      const int8x16_t query = vreinterpretq_s8_s32(vdupq_n_s32(packed));
      for (int part = 0; part < 4; ++part) {
        const int8x16_t values = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(codes + 16 * part), bias));
        dots[part] = vdotq_s32(dots[part], values, query);
      }
    }
    for (std::size_t part = 0; part < 4; ++part) {
      const std::size_t row = first * kBlockRows + 4 * part;
      const float32x4_t scores = score(dots[part], task, row);
      if (vmaxvq_u32(vcgtq_f32(scores, least)) == 0) continue;
      float listed[4];
      vst1q_f32(listed, scores);
      for (std::size_t at = 0; at < 4; ++at) {
        if (!(listed[at] > threshold) || !(task.living[first] >> (4 * part + at) & 1)) continue;
        out.scores[out.size] = listed[at];
        out.rows[out.size++] = static_cast<std::uint32_t>(row + at);
      }
    }
  }
  return first;
}

}  // namespace laneway
