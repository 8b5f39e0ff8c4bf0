// What tests of backend sm80 share: two blocks with random numbers, what the oracle says of them, and the comparison of
// all sides of a call with it.
#pragma once

#include <string>
#include <vector>

#include "support/pair_text.hpp"
#include "support/scatter.hpp"
#include "support/sm80.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {

inline constexpr Precision precisions[] = {Precision::fp64, Precision::fp32};
inline constexpr RowKind row_kinds[] = {RowKind::sum, RowKind::logsumexp};
inline constexpr Sides all_sides[] = {Sides::own, Sides::visiting, Sides::both};

/// Two blocks with random points, columns and log weights.
struct Blocks {
  Blocks(const std::string &pair_text, const TileShape &of, const std::vector<int> &own_counts,
         const std::vector<int> &visiting_counts, std::int64_t own_first = 0, std::int64_t visiting_first = 0);

  TileArrays arrays(bool own) const;
  /// Pairs of points whose tiles are not due, or skipped, do not count.
  void keep(PairPattern pattern, const std::uint64_t *kept = nullptr);
  /// The visiting block becomes the own one, and all pairs count that the mask leaves.
  void make_square();
  Bounded expected(bool own) const;

  std::string text;  ///< of the pair function
  TileShape shape;
  sm80::Variant variant = sm80::Variant::plain;
  PointSet own_points, visiting_points;
  std::vector<TileInfo> own_tiles, visiting_tiles;
  std::vector<double> own_values, visiting_values, own_weights, visiting_weights;
  PairTable table;
};

BlockCall make_call(const TileShape &shape, TileArrays &own, TileArrays &visiting, PairPattern pattern, Sides sides);

inline TileShape make_shape(const std::string &text, RowKind row, Precision precision, int features, int columns,
                            Mask mask = {}) {
  return {parse_pair(text), row, 0, precision, features, columns, mask};
}

/// What the oracle says of a call of as many columns as the blocks have: its beginning is what it says of fewer.
struct Answers {
  explicit Answers(const Blocks &blocks) : own(blocks.expected(true)), visiting(blocks.expected(false)) {}
  Bounded own;
  Bounded visiting;
};

/// Calls for these sides with the first `columns` columns: the state of a side that is served agrees with the oracle,
/// that of the other is untouched. FLASHRING_TEST_RATIOS=1 prints the largest error in units of its bound.
void check_sides(Blocks blocks, int columns, const Answers &answers, Sides sides, sm80::Variant variant);

}  // namespace flashring::test
