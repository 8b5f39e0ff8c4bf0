// RowPartition: which rank holds which rows.
#pragma once

#include <optional>
#include <vector>

#include "flashring/types.hpp"

namespace flashring {

/// A run of rows [begin, begin + count) on one rank.
struct RowRange {
  GlobalRow begin;
  std::int64_t count = 0;
  bool operator==(const RowRange &) const = default;
};

/// The rows 0..N-1 as a list of ranges per rank. Ranges are disjoint and cover every row; a rank may hold none.
/// The local rows of a rank are its ranges one after the other.
///
/// Example, 10 rows on 3 ranks: contiguous gives [0,4) [4,7) [7,10); zigzag gives rank 0 [0,2) and [9,10), rank 1
/// [2,4) and [8,9), rank 2 [4,6) and [6,8), so that each rank owns early and late rows (causal masks).
class RowPartition {
 public:
  RowPartition() = default;
  /// ranges[rank] is that rank's list. Throws Error when rows overlap or are missing.
  explicit RowPartition(std::vector<std::vector<RowRange>> ranges);

  static RowPartition contiguous(std::int64_t rows, int ranks);
  /// One contiguous range per rank with the given counts (a PETSc layout).
  static RowPartition from_counts(const std::vector<std::int64_t> &counts);
  static RowPartition zigzag(std::int64_t rows, int ranks);

  bool operator==(const RowPartition &) const = default;

  std::int64_t rows() const { return rows_; }
  int ranks() const { return static_cast<int>(ranges_.size()); }
  std::int64_t local_rows(int rank) const;
  const std::vector<RowRange> &ranges(int rank) const { return ranges_.at(static_cast<std::size_t>(rank)); }
  /// Global row of a rank's local row. Cost: the number of that rank's ranges.
  GlobalRow global_row(int rank, LocalRow row) const;
  /// The other way, where that rank holds the row. The same cost.
  std::optional<LocalRow> local_row(int rank, GlobalRow row) const;

 private:
  std::vector<std::vector<RowRange>> ranges_;  // (ranks, ranges of the rank)
  std::int64_t rows_ = 0;
};

/// Independent sequences of one block (batch entries and heads), each with the rows of the partition.
struct Sequences {
  int count = 1;
  std::int64_t shift = 0;  ///< added to the numbers of rows that masks compare
  bool operator==(const Sequences &) const = default;
};

}  // namespace flashring
