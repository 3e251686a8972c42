#include <array>
#include <cstring>

#include "laneway/scan.hpp"

#if defined(LANEWAY_X86)
#include <cpuid.h>
#elif defined(LANEWAY_NEONDOT) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace laneway {
namespace {

#if defined(LANEWAY_X86)

struct Leaf {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Leaf leaf(unsigned number, unsigned sub) {
  Leaf out;
  __get_cpuid_count(number, sub, &out.a, &out.b, &out.c, &out.d);
  return out;
}

constexpr bool bit(unsigned word, int at) { return word >> at & 1; }

// What the processor has and the operating system saves, by the manufacturer's numbering (Intel SDM, CPUID).
struct Features {
  bool avx2 = false, avxvnni = false, avx512vnni = false;

  Features() {
    if (!bit(leaf(1, 0).c, 27)) return;  // OSXSAVE
    unsigned low = 0, high = 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    const bool saves_256 = (low & 0x06) == 0x06, saves_512 = (low & 0xE6) == 0xE6;
    const Leaf seven = leaf(7, 0);
    avx2 = saves_256 && bit(seven.b, 5);
    avxvnni = avx2 && seven.a >= 1 && bit(leaf(7, 1).a, 4);
    avx512vnni = saves_512 && bit(seven.b, 16) && bit(seven.b, 30) && bit(seven.b, 31) && bit(seven.c, 11);
  }
};

#elif defined(LANEWAY_NEONDOT)

bool has_dot_product() {
#if defined(__APPLE__)
  return true;
#elif defined(__linux__)
  return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#else
  return false;
#endif
}

#endif

// Room for every kernel of one architecture and the null name at the end.
std::array<NamedKernel, 5> list_kernels() {
  std::array<NamedKernel, 5> out{};
  std::size_t at = 0;
#if defined(LANEWAY_X86)
  const Features features;
  if (features.avx512vnni) out[at++] = {"avx512vnni", scan_avx512vnni, dot_avx512, dots_avx512, floor_avx512, sift_avx512};
#if defined(LANEWAY_AVXVNNI)
  if (features.avxvnni) out[at++] = {"avxvnni", scan_avxvnni, dot_avx2, dots_avx2, floor_avx2, sift_portable};
#endif
  if (features.avx2) out[at++] = {"avx2", scan_avx2, dot_avx2, dots_avx2, floor_avx2, sift_portable};
#elif defined(LANEWAY_NEONDOT)
  if (has_dot_product()) out[at++] = {"neondot", scan_neondot, dot_portable, dots_portable, floor_portable, sift_portable};
#endif
  out[at] = {"portable", scan_portable, dot_portable, dots_portable, floor_portable, sift_portable};
  return out;
}

}  // namespace

const NamedKernel* kernels() {
  static const std::array<NamedKernel, 5> listed = list_kernels();
  return listed.data();
}

const NamedKernel* find_kernel(const char* name) {
  for (const NamedKernel* kernel = kernels(); kernel->name; ++kernel)
    if (!name || std::strcmp(kernel->name, name) == 0) return kernel;
  return nullptr;
}

}  // namespace laneway
