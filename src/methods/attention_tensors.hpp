// Arrays (B, H, rows, width) as the rows of tiles, and back.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "flashring/attention.hpp"
#include "flashring/tile_block.hpp"

namespace flashring {

/// Rows of one array that lie on this rank, for messages.
struct TensorRows {
  const char *name;  ///< of the array
  int heads = 1;
  const RowPartition &partition;
  int rank = 0;
  std::int64_t first_batch = 0;  ///< numbers of the first batch entry and head
  int first_head = 0;
  std::span<const std::uint8_t> real = {};  // (B, rows) of keys, 0: hidden, and not read but on a device; or empty
  /// "batch 0, head 3, row 17" of a local row of the tiles.
  std::string describe(LocalRow row) const;
  bool hidden(LocalRow row) const;
};

/// Columns [first, first + count) of an array's rows of `width` numbers, one part of a row that is read.
struct TensorPart {
  ConstTensor tensor;
  TensorRows rows;
  int width = 0;
  int first = 0;
  int count = 0;
  const Device *device = nullptr;  ///< that has the array, and is the backend's; null: the host
};

// Rows that are the parts side by side, all in one memory. Errors name the place of a number that is not finite.

RowReader read_tensors(std::vector<TensorPart> parts);
/// On so many threads, where the host packs.
TileBlock pack_tensor(const Backend &backend, const TileShape &tile, Sequences sequences, const TensorPart &part,
                      int threads);
void set_columns(TileBlock &block, const std::vector<TensorPart> &parts);

/// Writes rows [first, first + count): number c of row i is values[c * stride + i] times `factor`, for columns
/// [column, column + columns) of an array of `width`.
struct TensorSlice {
  Tensor tensor;
  int width = 0;
  int column = 0;
  int columns = 0;
};
void write_rows(const TensorSlice &to, LocalRow first, std::int64_t count, const double *values, std::int64_t stride,
                double factor);

/// The answers of a block's rows into a slice on its device.
void write_answers(TileBlock &block, RowKind row, int columns, const StoredAnswers &answers, const TensorSlice &to);

/// <a_i, b_i> of the rows of two arrays of that width, which lie where `block` has them, (local rows of `block`).
std::vector<double> row_products(TileBlock &block, ConstTensor a, ConstTensor b, int width, bool on_device);

}  // namespace flashring
