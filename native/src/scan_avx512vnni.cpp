#include <immintrin.h>

#include "laneway/scan.hpp"

namespace laneway {
namespace {

inline __m512i dot(const std::uint8_t* codes, const std::int8_t* query, std::size_t groups) {
  // Four sums, because one would wait for itself in every step.
  __m512i sums[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
  const auto step = [&](__m512i& sum, std::size_t group) {
    std::int32_t packed;
    __builtin_memcpy(&packed, query + group * kGroup, sizeof packed);
    sum = _mm512_dpbusd_epi32(sum, _mm512_loadu_si512(codes + group * kGroupBytes), _mm512_set1_epi32(packed));
  };
  std::size_t group = 0;
  for (; group + 4 <= groups; group += 4) {
    step(sums[0], group);
    step(sums[1], group + 1);
    step(sums[2], group + 2);
    step(sums[3], group + 3);
  }
  for (; group < groups; ++group) step(sums[0], group);
  return _mm512_add_epi32(_mm512_add_epi32(sums[0], sums[1]), _mm512_add_epi32(sums[2], sums[3]));
}

}  // namespace

std::size_t scan_avx512vnni(const ScanTask& task, std::size_t first, std::size_t last, float threshold, Catch& out) {
  const __m512 least = _mm512_set1_ps(threshold);
  const __m512i offset = _mm512_set1_epi32(task.offset);
  const __m512 pull = _mm512_set1_ps(task.pull);
  const __m256i tag = _mm256_set1_epi16(static_cast<short>(task.tag));
  for (; first < last && out.size + kBlockRows <= out.capacity; ++first) {
    const std::size_t row = first * kBlockRows;
    const __m512i dots = dot(task.codes + first * task.groups * kGroupBytes, task.query, task.groups);
    __m512 scores = _mm512_cvtepi32_ps(_mm512_sub_epi32(dots, offset));
    scores = _mm512_mul_ps(scores, _mm512_loadu_ps(task.scales + row));
    if (task.tag != 0) {
      const __m256i tags = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(task.tags + row));
      scores = _mm512_mask_add_ps(scores, _mm256_cmpeq_epi16_mask(tags, tag), scores, pull);
    }
    unsigned mask = _mm512_cmp_ps_mask(scores, least, _CMP_GT_OQ) & task.living[first];
    if (mask == 0) continue;
    alignas(64) float listed[kBlockRows];
    _mm512_store_ps(listed, scores);
    for (; mask != 0; mask &= mask - 1) {
      const unsigned at = static_cast<unsigned>(__builtin_ctz(mask));
      out.scores[out.size] = listed[at];
      out.rows[out.size++] = static_cast<std::uint32_t>(row + at);
    }
  }
  return first;
}

}  // namespace laneway
