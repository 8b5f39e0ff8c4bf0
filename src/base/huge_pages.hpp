// Huge pages for large buffers.
#pragma once

#include <cstddef>

namespace flashring {

/// Bytes of a huge page; buffers that ask for them are aligned to it.
constexpr std::size_t huge_page = std::size_t{1} << 21;

/// Asks the system to back [data, data + bytes) with huge pages where it can. A wish: nothing depends on it.
void prefer_huge_pages(void *data, std::size_t bytes);

}  // namespace flashring
