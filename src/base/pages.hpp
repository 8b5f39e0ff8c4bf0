// Pages of memory: large ones for large buffers, and giving back those that nobody needs.
#pragma once

#include <cstddef>

namespace flashring {

/// Memory in pages of its own, huge ones where there are some of them and the system has them; aligned to 128 at least.
/// Null where there is none. unmap_pages gives it back to the system at once, whatever malloc was told.
std::byte *map_pages(std::size_t bytes);
void unmap_pages(std::byte *data, std::size_t bytes);

/// Gives the pages that lie wholly within [data, data + bytes) back to the system. The memory stays the caller's, and
/// its contents are lost.
void release_pages(void *data, std::size_t bytes);

/// Gives free memory that malloc keeps for later back to the system: MPI libraries set it to keep all of it. To be
/// called where much was freed and the next stretch takes other sizes.
void release_free_memory();

}  // namespace flashring
