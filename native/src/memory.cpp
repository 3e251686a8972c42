#include "laneway/memory.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace laneway {

void ask_for_huge_pages([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) {
#if defined(__linux__)
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
}

}  // namespace laneway
