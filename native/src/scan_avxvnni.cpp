#include <immintrin.h>

#include "laneway/scan.hpp"

// The same instruction in its two encodings: the second lets a machine with AVX-512 only check this file.
#if defined(__AVXVNNI__)
#define LANEWAY_DPBUSD _mm256_dpbusd_avx_epi32
#else
#define LANEWAY_DPBUSD _mm256_dpbusd_epi32
#endif

namespace laneway {
namespace {

#include "scan_x86.inc"

struct Dot {
  static Pair dots(const std::uint8_t* codes, const std::int8_t* query, std::size_t groups) {
    // Four sums, because one would wait for itself in every step.
    Pair one{_mm256_setzero_si256(), _mm256_setzero_si256()}, two = one;
    for (std::size_t group = 0; group < groups; ++group, codes += kStride) {
      const __m256i first = spread(query + group * kGroup), second = spread(query + group * kGroup + 4);
      const __m256i low = load(codes), high = load(codes + 32);
      one.low = LANEWAY_DPBUSD(one.low, lower(low), first);
      two.low = LANEWAY_DPBUSD(two.low, upper(low), second);
      one.high = LANEWAY_DPBUSD(one.high, lower(high), first);
      two.high = LANEWAY_DPBUSD(two.high, upper(high), second);
    }
    return {_mm256_add_epi32(one.low, two.low), _mm256_add_epi32(one.high, two.high)};
  }
};

}  // namespace

std::size_t scan_avxvnni(const ScanTask& task, std::size_t first, std::size_t last, float threshold, Catch& out) {
  return scan_256<Dot>(task, first, last, threshold, out);
}

}  // namespace laneway
