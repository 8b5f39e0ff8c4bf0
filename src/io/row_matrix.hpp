// RowMatrix: numbers per row as a solver holds them (column after column), and how they reach a file (row after row).
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "flashring/partition.hpp"

namespace flashring {

/// This rank's rows of an (N, columns) array. Values belong to the caller.
struct RowMatrix {
  std::span<const double> values;  // (local_rows, columns)
  std::int64_t local_rows = 0;
  int columns = 1;
  bool row_major = false;             ///< as stored in memory; files are always row-major
  std::span<const double> scale;      // (columns), or empty: factor of each column
  std::span<const double> row_scale;  // (local_rows), or empty: factor of each row
};

/// Rows [begin, begin + count) of a matrix, row-major and scaled. out: (count, columns).
inline void copy_rows(const RowMatrix &matrix, std::int64_t begin, std::int64_t count, double *out) {
  for (std::int64_t i = begin; i < begin + count; ++i)
    for (std::int64_t c = 0; c < matrix.columns; ++c) {
      const std::int64_t at = matrix.row_major ? i * matrix.columns + c : c * matrix.local_rows + i;
      double value = matrix.values[static_cast<std::size_t>(at)];
      if (!matrix.scale.empty()) value *= matrix.scale[static_cast<std::size_t>(c)];
      if (!matrix.row_scale.empty()) value *= matrix.row_scale[static_cast<std::size_t>(i)];
      *out++ = value;
    }
}

/// A run of rows that is contiguous both on its rank and in the file.
struct RowPiece {
  std::int64_t global = 0;
  std::int64_t local = 0;
  std::int64_t count = 0;
};

/// All rows of a rank as pieces whose buffer stays bounded (8 MiB, or one row where a row is longer).
inline std::vector<RowPiece> row_pieces(const RowPartition &partition, int rank, int columns) {
  constexpr std::int64_t buffer_numbers = std::int64_t{1} << 20U;
  const std::int64_t most = std::max<std::int64_t>(1, buffer_numbers / std::max(1, columns));
  std::vector<RowPiece> pieces;
  std::int64_t local = 0;
  for (const RowRange &range : partition.ranges(rank))
    for (std::int64_t at = 0; at < range.count; at += most) {
      const std::int64_t count = std::min(most, range.count - at);
      pieces.push_back({range.begin.value + at, local, count});
      local += count;
    }
  return pieces;
}

}  // namespace flashring
