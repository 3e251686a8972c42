#include <immintrin.h>

#include "laneway/scan.hpp"

namespace laneway {
namespace {

#include "scan_x86.inc"

struct Dot {
  static __m256i add(__m256i sums, __m256i codes, __m256i query) { return _mm256_dpbusd_avx_epi32(sums, codes, query); }
};

}  // namespace

std::size_t scan_avxvnni(const ScanTask& task, std::size_t first, std::size_t last, float threshold, Catch& out) {
  return scan_256<Dot>(task, first, last, threshold, out);
}

}  // namespace laneway
