#include <immintrin.h>

#include "laneway/scan.hpp"

namespace laneway {
namespace {

inline __m512i spread(const std::int8_t* query) {
  std::int32_t packed;
  __builtin_memcpy(&packed, query, sizeof packed);
  return _mm512_set1_epi32(packed);
}

// What does not change from block to block, in registers.
struct Constants {
  __m512 least, offset, weight, pull;
  __m256i tag;
  __m512i lanes;
};

// One block's scores, and which of them are worth catching.
struct Scored {
  __m512 scores;
  __mmask16 caught;
};

inline Scored score(const ScanTask& task, const Constants& with, std::size_t block, __m512i dots) {
  const std::size_t row = block * kBlockRows;
  __m512 scores = _mm512_sub_ps(_mm512_cvtepi32_ps(dots), with.offset);
  const __m512 bias = _mm512_mul_ps(with.weight, _mm512_loadu_ps(task.biases + row));
  scores = _mm512_add_ps(_mm512_mul_ps(scores, _mm512_loadu_ps(task.scales + row)), bias);
  if (task.tag != 0) {
    const __m256i tags = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(task.tags + row));
    scores = _mm512_mask_add_ps(scores, _mm256_cmpeq_epi16_mask(tags, with.tag), scores, with.pull);
  }
  const __mmask16 above = _mm512_cmp_ps_mask(scores, with.least, _CMP_GT_OQ);
  return {scores, static_cast<__mmask16>(above & task.living[block])};
}

// Without a branch: whether a block holds one is too hard to guess. Writes beyond what it counts, but not beyond a strip.
inline void take(const Scored& scored, const Constants& with, std::size_t block, Catch& out) {
  const __m512i rows = _mm512_add_epi32(with.lanes, _mm512_set1_epi32(static_cast<int>(block * kBlockRows)));
  _mm512_storeu_ps(out.scores + out.size, _mm512_maskz_compress_ps(scored.caught, scored.scores));
  _mm512_storeu_si512(out.rows + out.size, _mm512_maskz_compress_epi32(scored.caught, rows));
  out.size += static_cast<std::size_t>(__builtin_popcount(scored.caught));
}

// Spelled out, because compilers copy every sum once in each step of the intrinsic (GCC 12) and load codes twice.
inline void add_products(__m512i& sums, __m512i codes, __m512i query) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(codes), "v"(query));
}

// Several blocks at a time, because the query has to be loaded as often as the codes.
template <std::size_t Blocks>
inline void scan_strip(const ScanTask& task, const Constants& with, std::size_t block, Catch& out) {
  const __m512i half = _mm512_set1_epi8(15);
  const std::size_t stride = task.groups * kGroupBytes;
  const std::uint8_t* codes = task.codes + block * stride;
  // The upper halves stay where they are, sixteen times as large: their sums are shifted once, at the end.
  __m512i low[Blocks], high[Blocks];
  for (std::size_t at = 0; at < Blocks; ++at) low[at] = high[at] = _mm512_setzero_si512();
  for (std::size_t group = 0; group < task.groups; ++group, codes += kGroupBytes) {
    const __m512i first = spread(task.query + group * kGroup), second = spread(task.query + group * kGroup + 4);
    for (std::size_t at = 0; at < Blocks; ++at) {
      __m512i both = _mm512_loadu_si512(codes + at * stride);
      // Of the next strip; past the last row it asks in vain, which does no harm.
      _mm_prefetch(reinterpret_cast<const char*>(codes + (at + Blocks) * stride), _MM_HINT_T0);
      __asm__("" : "+v"(both));
      add_products(low[at], _mm512_and_si512(both, half), first);
      add_products(high[at], _mm512_andnot_si512(half, both), second);
    }
  }
  Scored scored[Blocks];
  unsigned any = 0;
  for (std::size_t at = 0; at < Blocks; ++at) {
    scored[at] = score(task, with, block + at, _mm512_add_epi32(low[at], _mm512_srai_epi32(high[at], 4)));
    any |= scored[at].caught;
  }
  if (any == 0) return;
  for (std::size_t at = 0; at < Blocks; ++at) take(scored[at], with, block + at, out);
}

// The upper half of the lanes on the lower half.
inline __m256 fold(__m512 lanes) {
  const __m256 high = _mm512_castps512_ps256(_mm512_shuffle_f32x4(lanes, lanes, 0b1110));
  return _mm256_add_ps(_mm512_castps512_ps256(lanes), high);
}

}  // namespace

float dot_avx512(const float* one, const float* other, std::size_t count) {
  __m512 lanes = _mm512_setzero_ps();
  std::size_t at = 0;
  for (; at + 16 <= count; at += 16)
    lanes = _mm512_add_ps(lanes, _mm512_mul_ps(_mm512_loadu_ps(one + at), _mm512_loadu_ps(other + at)));
  const __mmask16 rest = static_cast<__mmask16>((1u << (count - at)) - 1);
  lanes = _mm512_add_ps(lanes, _mm512_mul_ps(_mm512_maskz_loadu_ps(rest, one + at), _mm512_maskz_loadu_ps(rest, other + at)));
  const __m256 eight = fold(lanes);
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_shuffle_ps(four, four, 1)));
}

std::size_t scan_avx512vnni(const ScanTask& task, std::size_t first, std::size_t last, float threshold, Catch& out) {
  constexpr std::size_t kStrip = kStripRows / kBlockRows;
  const Constants with{_mm512_set1_ps(threshold),
                       _mm512_set1_ps(task.offset),
                       _mm512_set1_ps(task.weight),
                       _mm512_set1_ps(task.pull),
                       _mm256_set1_epi16(static_cast<short>(task.tag)),
                       _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(task.first_row)),
                                        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))};
  for (; first + kStrip <= last && out.size + kStripRows <= out.capacity; first += kStrip)
    scan_strip<kStrip>(task, with, first, out);
  if (first + kStrip <= last) return first;
  for (; first < last && out.size + kStripRows <= out.capacity; ++first) scan_strip<1>(task, with, first, out);
  return first;
}

}  // namespace laneway
