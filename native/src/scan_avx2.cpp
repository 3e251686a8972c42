#include <immintrin.h>

#include "laneway/scan.hpp"

namespace laneway {
namespace {

#include "scan_x86.inc"

struct Dot {
  // The products of a signed code with the query, as |query| x sign(code, query): both stay within 127, so that the
  // saturating addition of two of them never saturates. Codes are stored with 128 added; that is taken off here, and put
  // back by the offset, which for this kernel is zero.
  static __m256i add(__m256i sums, __m256i codes, __m256i query) {
    const __m256i values = _mm256_xor_si256(codes, _mm256_set1_epi8(static_cast<char>(0x80)));
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(query), _mm256_sign_epi8(values, query));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};

}  // namespace

std::size_t scan_avx2(const ScanTask& task, std::size_t first, std::size_t last, float threshold, Catch& out) {
  ScanTask signed_task = task;
  signed_task.offset = 0;
  return scan_256<Dot>(signed_task, first, last, threshold, out);
}

}  // namespace laneway
