#include <immintrin.h>

#include "laneway/scan.hpp"

namespace laneway {
namespace {

// See selection.inc, which does the same.
constexpr int kHalvings = 10;

inline __m512i spread(const std::int8_t* query) {
  std::int32_t packed;
  __builtin_memcpy(&packed, query, sizeof packed);
  return _mm512_set1_epi32(packed);
}

// What does not change from block to block, in registers.
struct Constants {
  __m512 least, offset, weight, pull;
  __m256i tag;
};

template <bool Tagged>
inline __m512 score(const ScanTask& task, const Constants& with, std::size_t row, __m512i dots) {
  const __m512 bias = _mm512_mul_ps(with.weight, _mm512_loadu_ps(task.biases + row));
  const __m512 exact = _mm512_sub_ps(_mm512_cvtepi32_ps(dots), with.offset);
  const __m512 scores = _mm512_add_ps(_mm512_mul_ps(exact, _mm512_loadu_ps(task.scales + row)), bias);
  if (!Tagged) return scores;
  const __m256i tags = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(task.tags + row));
  return _mm512_mask_add_ps(scores, _mm256_cmpeq_epi16_mask(tags, with.tag), scores, with.pull);
}

// The scores of some strips, and which of them are worth catching. Caught later: whether a strip holds any is too hard to
// guess, and a wrong guess costs less when little hangs on it.
constexpr std::size_t kBatch = 8;

struct Scored {
  alignas(64) float scores[kBatch * kStripRows];
  std::uint64_t caught[kBatch];
};

inline void take(const Scored& scored, std::size_t strips, std::uint32_t first_row, Catch& out) {
  for (std::size_t strip = 0; strip < strips; ++strip)
    for (std::uint64_t caught = scored.caught[strip]; caught != 0; caught &= caught - 1) {
      const std::size_t row = strip * kStripRows + static_cast<std::size_t>(__builtin_ctzll(caught));
      out.scores[out.size] = scored.scores[row];
      out.rows[out.size++] = first_row + static_cast<std::uint32_t>(row);
    }
}

// Spelled out, because compilers copy every sum once in each step of the intrinsic (GCC 12) and load codes twice.
inline void add_products(__m512i& sums, __m512i codes, __m512i query) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(codes), "v"(query));
}

// Several blocks at a time, because the query has to be loaded as often as the codes. Says which rows are caught.
template <std::size_t Blocks, bool Tagged>
inline std::uint64_t scan_blocks(const ScanTask& task, const Constants& with, std::size_t block, float* out) {
  const __m512i half = _mm512_set1_epi8(15);
  const std::uint8_t* codes = task.codes + first_code(block, task.groups);
  const std::int8_t* query = task.query;
  const std::int8_t* const end = query + task.groups * kGroup;
  // The upper halves stay where they are, sixteen times as large: their sums are shifted once, at the end.
  __m512i low[Blocks], high[Blocks];
  for (std::size_t at = 0; at < Blocks; ++at) low[at] = high[at] = _mm512_setzero_si512();
  for (; query < end; query += kGroup, codes += kStride) {
    const __m512i first = spread(query), second = spread(query + 4);
    for (std::size_t at = 0; at < Blocks; ++at) {
      __m512i both = _mm512_loadu_si512(codes + at * kGroupBytes);
      __asm__("" : "+v"(both));
      add_products(low[at], _mm512_and_si512(both, half), first);
      add_products(high[at], _mm512_andnot_si512(half, both), second);
    }
  }
  std::uint64_t caught = 0, living = 0;
  __builtin_memcpy(&living, task.living + block, Blocks * sizeof *task.living);
  for (std::size_t at = 0; at < Blocks; ++at) {
    const __m512i dots = _mm512_add_epi32(low[at], _mm512_srai_epi32(high[at], 4));
    const __m512 scores = score<Tagged>(task, with, (block + at) * kBlockRows, dots);
    _mm512_store_ps(out + at * kBlockRows, scores);
    caught |= std::uint64_t{_mm512_cmp_ps_mask(scores, with.least, _CMP_GT_OQ)} << at * kBlockRows;
  }
  return caught & living;
}

template <bool Tagged>
inline std::size_t scan(const ScanTask& task, const Constants& with, std::size_t first, std::size_t last, Catch& out) {
  Scored scored;
  while (first < last && out.size + kStripRows <= out.capacity) {
    const std::size_t whole = first % kStripBlocks == 0 ? (last - first) / kStripBlocks : 0;
    const std::size_t room = (out.capacity - out.size) / kStripRows;
    const std::size_t fitting = whole < room ? whole : room, strips = fitting < kBatch ? fitting : kBatch;
    const std::uint32_t row = task.first_row + static_cast<std::uint32_t>(first * kBlockRows);
    for (std::size_t strip = 0; strip < strips; ++strip, first += kStripBlocks)
      scored.caught[strip] = scan_blocks<kStripBlocks, Tagged>(task, with, first, scored.scores + strip * kStripRows);
    if (strips == 0) scored.caught[0] = scan_blocks<1, Tagged>(task, with, first++, scored.scores);
    take(scored, strips == 0 ? 1 : strips, row, out);
  }
  return first;
}

// As many lanes as there are left.
inline __mmask16 first_lanes(std::size_t count) { return static_cast<__mmask16>(count < 16 ? (1u << count) - 1 : 0xFFFF); }

// The upper half of the lanes on the lower half, and so on.
inline float fold(__m512 lanes) {
  const __m256 high = _mm512_castps512_ps256(_mm512_shuffle_f32x4(lanes, lanes, 0b1110));
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(lanes), high);
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_shuffle_ps(four, four, 1)));
}

// Several at a time: what comes from far is then asked for while little else waits, and no sum waits for itself.
template <std::size_t Count>
inline void multiply(const float* one, const float* const* others, std::size_t dims, float* out) {
  __m512 lanes[Count];
  for (std::size_t at = 0; at < Count; ++at) lanes[at] = _mm512_setzero_ps();
  for (std::size_t dim = 0; dim < dims; dim += 16) {
    const __mmask16 some = first_lanes(dims - dim);
    const __m512 first = _mm512_maskz_loadu_ps(some, one + dim);
    for (std::size_t at = 0; at < Count; ++at)
      lanes[at] = _mm512_add_ps(lanes[at], _mm512_mul_ps(first, _mm512_maskz_loadu_ps(some, others[at] + dim)));
  }
  for (std::size_t at = 0; at < Count; ++at) out[at] = fold(lanes[at]);
}

}  // namespace

void dots_avx512(const float* one, const float* const* others, std::size_t count, std::size_t dims, float* out) {
  constexpr std::size_t kTogether = 4;
  std::size_t at = 0;
  for (; at + kTogether <= count; at += kTogether) multiply<kTogether>(one, others + at, dims, out + at);
  for (; at < count; ++at) multiply<1>(one, others + at, dims, out + at);
}

float dot_avx512(const float* one, const float* other, std::size_t count) {
  float out;
  multiply<1>(one, &other, count, &out);
  return out;
}

float floor_avx512(const float* scores, std::size_t size, std::size_t rank) {
  __m512 lows = _mm512_set1_ps(scores[0]), highs = lows;
  for (std::size_t at = 0; at < size; at += 16) {
    const __m512 some = _mm512_mask_loadu_ps(lows, first_lanes(size - at), scores + at);
    highs = _mm512_max_ps(highs, some);
    lows = _mm512_min_ps(lows, some);
  }
  float low = _mm512_reduce_min_ps(lows), high = _mm512_reduce_max_ps(highs);
  for (int step = 0; step < kHalvings; ++step) {
    const float middle = low + (high - low) / 2;
    const __m512 least = _mm512_set1_ps(middle);
    std::size_t above = 0, at = 0;
    for (; at + 16 <= size; at += 16)
      above += static_cast<std::size_t>(__builtin_popcount(_mm512_cmp_ps_mask(_mm512_loadu_ps(scores + at), least, _CMP_GT_OQ)));
    const __mmask16 rest = first_lanes(size - at);
    const __m512 last = _mm512_maskz_loadu_ps(rest, scores + at);
    above += static_cast<std::size_t>(__builtin_popcount(_mm512_mask_cmp_ps_mask(rest, last, least, _CMP_GT_OQ)));
    // Without a branch, which nobody could guess.
    const __mmask8 enough = above >= rank;
    low = _mm_cvtss_f32(_mm_mask_mov_ps(_mm_set_ss(low), enough, _mm_set_ss(middle)));
    high = _mm_cvtss_f32(_mm_mask_mov_ps(_mm_set_ss(middle), enough, _mm_set_ss(high)));
  }
  return low;
}

// In place: what is written was read before.
std::size_t sift_avx512(float* scores, std::uint32_t* rows, std::size_t size, float threshold) {
  const __m512 least = _mm512_set1_ps(threshold);
  std::size_t kept = 0;
  for (std::size_t at = 0; at < size; at += 16) {
    const __mmask16 lanes = first_lanes(size - at);
    const __m512 some = _mm512_maskz_loadu_ps(lanes, scores + at);
    const __m512i their = _mm512_maskz_loadu_epi32(lanes, rows + at);
    const __mmask16 above = _mm512_mask_cmp_ps_mask(lanes, some, least, _CMP_GT_OQ);
    const auto count = static_cast<std::size_t>(__builtin_popcount(above));
    _mm512_mask_storeu_ps(scores + kept, first_lanes(count), _mm512_maskz_compress_ps(above, some));
    _mm512_mask_storeu_epi32(rows + kept, first_lanes(count), _mm512_maskz_compress_epi32(above, their));
    kept += count;
  }
  return kept;
}

std::size_t scan_avx512vnni(const ScanTask& given, std::size_t first, std::size_t last, float threshold, Catch& caught) {
  // Copies, which no store can change: what stands in them stays in registers.
  const ScanTask task = given;
  Catch out = caught;
  const Constants with{_mm512_set1_ps(threshold), _mm512_set1_ps(task.offset), _mm512_set1_ps(task.weight),
                       _mm512_set1_ps(task.pull), _mm256_set1_epi16(static_cast<short>(task.tag))};
  first = task.tag != 0 ? scan<true>(task, with, first, last, out) : scan<false>(task, with, first, last, out);
  caught.size = out.size;
  return first;
}

}  // namespace laneway
