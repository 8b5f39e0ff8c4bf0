// Row rule slope on backend sm80 without a GPU, against long double: both precisions, sides, ragged tiles, halves of a
// block, a square, and numbers of candidates on both sides of a block.
#include <gtest/gtest.h>

#include "support/pair_text.hpp"
#include "support/scatter.hpp"
#include "support/slope_totals.hpp"
#include "support/sm80_blocks.hpp"

namespace flashring::test {
namespace {

constexpr int T = sm80::tile_rows;

TileShape shape_of(Precision precision, int d, int candidates) {
  return {parse_pair(spread_pair("gaussian", d)), RowKind::slope, 0, precision, d, candidates, {}};
}

std::vector<double> sum_of(std::vector<double> a, const std::vector<double> &b, double times) {
  for (std::size_t w = 0; w < a.size(); ++w) a[w] = times * (a[w] + b[w]);
  return a;
}

void check(Precision precision, int d, int candidates) {
  const TileShape shape = shape_of(precision, d, candidates);
  EXPECT_TRUE(sm80::has_kernels(sm80::Variant::chosen, shape));
  const std::size_t own_rows = T + 33;
  const std::size_t visiting_rows = 35;
  const PointSet x = random_points(own_rows, d, 1);
  const PointSet y = random_points(visiting_rows, d, 2);
  const PairTable table = make_table(oracle_pair(spread_pair("gaussian", d)), x, y);
  const Bounded expected = expected_totals(table, candidates, unit_roundoff(precision));
  for (const Sides sides : all_sides) {
    TileArrays own(sm80_table(), shape, x, make_tile_list(0, {T, 33}));
    TileArrays visiting(sm80_table(), shape, y, make_tile_list(100, {33, 2}));
    for (const PairPattern half : {PairPattern::even_half, PairPattern::odd_half})
      emulate(make_call(shape, own, visiting, half, sides), {sm80::Variant::chosen, {}, CudaBlock::Order::shuffled});
    EXPECT_EQ(outside(sum_of(totals_of(own, own_rows, candidates), totals_of(visiting, visiting_rows, candidates),
                             sides == Sides::both ? 0.5 : 1),
                      expected),
              "")
        << "d=" << d << " candidates " << candidates << " sides " << static_cast<int>(sides);
  }
}

TEST(Sm80Slope, TotalsOfAllPairs) {
  for (const Precision precision : precisions) {
    check(precision, 3, 6);
    check(precision, 1, 8);
  }
  check(Precision::fp64, 20, 6);
}

TEST(Sm80Slope, ASquareCountsEveryPairTwice) {
  const TileShape shape = shape_of(Precision::fp64, 2, 6);
  const PointSet x = random_points(T + 9, 2, 3);
  TileArrays square(sm80_table(), shape, x, make_tile_list(0, {T, 9}));
  emulate(make_call(shape, square, square, PairPattern::square, Sides::both),
          {sm80::Variant::chosen, {}, CudaBlock::Order::forward});
  const PairTable table = make_table(oracle_pair(spread_pair("gaussian", 2)), x, x);
  EXPECT_EQ(outside(totals_of(square, x.count(), 6), expected_totals(table, 6, unit_roundoff(Precision::fp64))), "");
}

/// Pieces of many features in fp32 are for the matrix unit, which makes no powers.
TEST(Sm80Slope, RefusesWhatItCannotDo) {
  EXPECT_FALSE(sm80::has_kernels(sm80::Variant::chosen, shape_of(Precision::fp32, 64, 6)));
  EXPECT_FALSE(sm80::has_kernels(sm80::Variant::chosen, shape_of(Precision::reduced, 3, 6)));
  TileShape inner = shape_of(Precision::fp64, 3, 6);
  inner.pair = parse_pair("inner_exp:s=1");
  EXPECT_FALSE(sm80::has_kernels(sm80::Variant::chosen, inner));
}

}  // namespace
}  // namespace flashring::test
