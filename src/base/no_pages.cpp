// Where the system takes no wishes about pages, or malloc is not that of glibc.
#include <new>

#include "base/pages.hpp"

namespace flashring {

std::byte *map_pages(std::size_t bytes) {
  return static_cast<std::byte *>(::operator new(bytes, std::align_val_t(128), std::nothrow));
}

void unmap_pages(std::byte *data, std::size_t /*bytes*/) { ::operator delete(data, std::align_val_t(128)); }

void release_pages(void * /*data*/, std::size_t /*bytes*/) {}

void release_free_memory() {}

}  // namespace flashring
