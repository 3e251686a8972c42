#include <immintrin.h>

#include "laneway/scan.hpp"

namespace laneway {
namespace {

#include "scan_x86.inc"

struct Dot {
  // A product of a code and a query value is at most 15 x 127, two are added by the instruction, and four groups of two
  // such sums stay below 2^15: so many are added in 16 bits before they are widened.
  static constexpr std::size_t kNarrow = 4;

  static __m256i add(__m256i sums, __m256i codes, __m256i low, __m256i high) {
    sums = _mm256_add_epi16(sums, _mm256_maddubs_epi16(lower(codes), low));
    return _mm256_add_epi16(sums, _mm256_maddubs_epi16(upper(codes), high));
  }

  static __m256i widen(__m256i sums, __m256i narrow) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(narrow, _mm256_set1_epi16(1)));
  }

  static Pair dots(const std::uint8_t* codes, const std::int8_t* query, std::size_t groups) {
    Pair sums{_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (std::size_t group = 0; group < groups;) {
      __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();
      const std::size_t end = group + kNarrow < groups ? group + kNarrow : groups;
      for (; group < end; ++group, codes += kStride) {
        const __m256i first = spread(query + group * kGroup), second = spread(query + group * kGroup + 4);
        low = add(low, load(codes), first, second);
        high = add(high, load(codes + 32), first, second);
      }
      sums.low = widen(sums.low, low);
      sums.high = widen(sums.high, high);
    }
    return sums;
  }
};

// The sum of the last eight of sixteen lanes, in halves.
inline float add_halves(__m256 lanes) {
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_shuffle_ps(four, four, 1)));
}

#include "selection.inc"

}  // namespace

float dot_avx2(const float* one, const float* other, std::size_t count) {
  __m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps();
  std::size_t at = 0;
  for (; at + 16 <= count; at += 16) {
    low = _mm256_add_ps(low, _mm256_mul_ps(_mm256_loadu_ps(one + at), _mm256_loadu_ps(other + at)));
    high = _mm256_add_ps(high, _mm256_mul_ps(_mm256_loadu_ps(one + at + 8), _mm256_loadu_ps(other + at + 8)));
  }
  float rest[16] = {};
  for (std::size_t lane = 0; at < count; ++at, ++lane) rest[lane] = one[at] * other[at];
  low = _mm256_add_ps(low, _mm256_loadu_ps(rest));
  high = _mm256_add_ps(high, _mm256_loadu_ps(rest + 8));
  return add_halves(_mm256_add_ps(low, high));
}

void dots_avx2(const float* one, const float* const* others, std::size_t count, std::size_t dims, float* out) {
  for (std::size_t at = 0; at < count; ++at) out[at] = dot_avx2(one, others[at], dims);
}

float floor_avx2(const float* scores, std::size_t size, std::size_t rank) { return floor_of(scores, size, rank); }

std::size_t scan_avx2(const ScanTask& task, std::size_t first, std::size_t last, float threshold, Catch& out) {
  return scan_256<Dot>(task, first, last, threshold, out);
}

}  // namespace laneway
