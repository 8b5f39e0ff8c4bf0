// Two blocks for the row rules of attention, queries and keys with the numbers that a rule reads; what backend ref
// makes of them in fp64; and how far another backend may be from that.
#pragma once

#include <cstdint>
#include <vector>

#include "support/tiles.hpp"

namespace flashring::test {

/// Rows of each tile of the two blocks, and the first key; queries are counted from 0.
struct AttentionCut {
  std::vector<int> own, visiting;
  std::int64_t visiting_first = 0;
};

class AttentionBlocks {
 public:
  static constexpr int bins = 16;    ///< of score_bins
  static constexpr int places = 12;  ///< of score_list, fewer than some rows have to list

  /// `values`: columns of v, beside which a gradient has as many as features. Every sixth key is hidden, and the keys
  /// of the second tile lie so far below the others that they have no weight. Of power sums the last key just reaches
  /// the left end of a row of the first tile.
  AttentionBlocks(RowKind row, int features, int values, AttentionCut cut, bool causal = false);

  TileShape shape(Precision precision) const;
  TileArrays arrays(const Backend &backend, Precision precision, bool own) const;
  /// Answers of ref, with the largest error that the arithmetic of a precision explains; of counts and listed scores,
  /// which are whole numbers, none.
  Bounded expected(Precision precision, bool own) const;
  /// Pairs of tiles that a rule must note: (own tiles) words.
  std::vector<std::uint64_t> touched() const;

 private:
  static constexpr double scale_ = 2;  // of generic scores

  bool is_gradient() const { return row_ == RowKind::softmax_gradient || row_ == RowKind::threshold_gradient; }
  /// Whether scores over ln 2 are whole numbers, so that what is counted and listed is exact.
  bool is_whole() const { return row_ == RowKind::score_bins || row_ == RowKind::score_list; }
  double score(std::size_t i, std::size_t j) const;  // natural logarithm
  void make_own_numbers();
  void lower_last_key();
  double above_left(std::size_t i, std::size_t j) const;
  double term_error(double unit, bool parameters) const;
  /// Whether a pair of points holds a weight that a rule has to note.
  bool counts(std::size_t i, std::size_t j) const;

  RowKind row_;
  int features_, values_, columns_;
  AttentionCut cut_;
  bool causal_;
  PointSet queries_, keys_;
  std::vector<double> log_weights_;                     // (keys)
  std::vector<double> own_numbers_;                     // (queries, n) column-major
  std::vector<double> own_columns_, visiting_columns_;  // (rows, c) column-major
  std::vector<double> largest_;                         // (queries) score
};

}  // namespace flashring::test
