// Loops over the tiles of a block.
#pragma once

#include <cstdint>
#include <exception>
#include <span>
#include <vector>

#include "flashring/buffer.hpp"
#include "flashring/tile.hpp"

namespace flashring {

/// Calls `visit(tile, local row of its first row)` for every tile; tiles follow the local rows.
template <class Visit>
void for_each_tile(std::span<const TileInfo> tiles, Visit visit) {
  std::int64_t local = 0;
  for (std::size_t t = 0; t < tiles.size(); ++t) {
    visit(t, local);
    local += tiles[t].rows;
  }
}

/// The same on several threads, each with so many numbers of its own, in which `visit(tile, local row, numbers)` works.
/// What it throws at the first tile that it throws at is thrown again when all are done.
template <class Visit>
void for_each_tile(std::span<const TileInfo> tiles, int threads, std::size_t numbers, const Visit &visit) {
  std::vector<std::int64_t> local(tiles.size());
  for_each_tile(tiles, [&](std::size_t t, std::int64_t first) { local[t] = first; });
  const auto workers = static_cast<std::size_t>(threads);
  std::vector<std::vector<double>> own(workers, std::vector<double>(numbers));
  std::vector<std::size_t> reached(workers);
  std::vector<std::exception_ptr> failures(workers);
#pragma omp parallel for schedule(static, 1) num_threads(threads)
  for (std::size_t w = 0; w < workers; ++w) {
    std::size_t &t = reached[w];
    try {
      for (t = w; t < tiles.size(); t += workers) visit(t, local[t], own[w].data());
    } catch (...) {
      failures[w] = std::current_exception();
    }
  }
  std::size_t first = 0;
  for (std::size_t w = 1; w < workers; ++w)
    if (failures[w] != nullptr && (failures[first] == nullptr || reached[w] < reached[first])) first = w;
  if (failures[first] != nullptr) std::rethrow_exception(failures[first]);
}

/// The same with a buffer that has a piece for every tile, some tiles at a time: those whose pieces the reader brings.
template <class Visit>
void for_each_tile(std::span<const TileInfo> tiles, BufferReader &reader, int threads, std::size_t numbers,
                   const Visit &visit) {
  std::int64_t begin = 0;  // local row of tile `first`
  for (std::size_t first = 0, count = 0; first < tiles.size(); first += count) {
    count = reader.bring(first, tiles.size() - first);
    const std::span<const TileInfo> some = tiles.subspan(first, count);
    for_each_tile(some, threads, numbers,
                  [&](std::size_t t, std::int64_t local, double *own) { visit(first + t, begin + local, own); });
    for (const TileInfo &tile : some) begin += tile.rows;
  }
}

}  // namespace flashring
