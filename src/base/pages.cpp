#include "base/pages.hpp"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace flashring {

namespace {

constexpr std::size_t huge_page = std::size_t{1} << 21;

std::size_t page_size() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace

std::byte *map_pages(std::size_t bytes) {
  const bool huge = bytes >= 4 * huge_page;
  const std::size_t spare = huge ? huge_page - page_size() : 0;  // whatever the address, it can be rounded up
  void *data = mmap(nullptr, bytes + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return nullptr;
  auto *begin = static_cast<std::byte *>(data);
  if (!huge) return begin;
  const std::size_t before = (huge_page - reinterpret_cast<std::uintptr_t>(begin) % huge_page) % huge_page;
  if (before > 0) munmap(begin, before);
  const std::size_t end = (before + bytes + page_size() - 1) / page_size() * page_size();
  if (end < bytes + spare) munmap(begin + end, bytes + spare - end);
  static_cast<void>(madvise(begin + before, bytes, MADV_HUGEPAGE));  // a wish: nothing depends on it
  return begin + before;
}

void unmap_pages(std::byte *data, std::size_t bytes) { munmap(data, bytes); }

void release_pages(void *data, std::size_t bytes) {
  const std::size_t page = page_size();
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  const std::uintptr_t before = (page - address % page) % page;  // bytes of a page that others share
  if (bytes < before + page) return;
  static_cast<void>(madvise(static_cast<char *>(data) + before, (bytes - before) / page * page, MADV_DONTNEED));
}

void release_free_memory() { malloc_trim(0); }

}  // namespace flashring
