// Arrays (B, H, rows, width) as the rows of tiles, and back.
#pragma once

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
  /// "batch 0, head 3, row 17" of a local row of the tiles.
  std::string describe(LocalRow row) const;
};

/// Columns [first, first + count) of an array's rows of `width` numbers, one part of a row that is read.
struct TensorPart {
  ConstTensor tensor;
  TensorRows rows;
  int width = 0;
  int first = 0;
  int count = 0;
};

/// Rows that are the parts side by side. Throws Error that names the place of a number that is not finite.
RowReader read_tensors(std::vector<TensorPart> parts);

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

/// <a_i, b_i> of the rows of two arrays of that width, (rows).
std::vector<double> row_products(ConstTensor a, ConstTensor b, std::int64_t rows, int width);

}  // namespace flashring
