#include "base/huge_pages.hpp"

#include <sys/mman.h>

namespace flashring {

void prefer_huge_pages(void *data, std::size_t bytes) { static_cast<void>(madvise(data, bytes, MADV_HUGEPAGE)); }

}  // namespace flashring
