// Row rule slope on backends with a device against long double: sides, a square, numbers of candidates.
#include <gtest/gtest.h>

#include "gpu/blocks.hpp"
#include "support/fake_device.hpp"
#include "support/pair_text.hpp"
#include "support/scatter.hpp"
#include "support/slope_totals.hpp"

namespace flashring::test {
namespace {

class GpuSlope : public ::testing::TestWithParam<std::string> {
 protected:
  GpuSlope() : backend_(backend_named(GetParam())) {}

  /// Of both sides together; each pair counts once for each side that is served.
  void check(Precision precision, int d, int candidates, Sides sides) const {
    const std::string text = spread_pair("gaussian", d);
    const TileShape shape{parse_pair(text), RowKind::slope, 0, precision, d, candidates, {}};
    ASSERT_TRUE(backend_.supports(shape));
    const std::vector<int> own_counts = {backend_.tile_rows, 33};
    const std::vector<int> visiting_counts = {std::min(backend_.tile_rows, 65), 1};
    const PointSet x = random_points(total_rows(own_counts), d, 1);
    const PointSet y = random_points(total_rows(visiting_counts), d, 2);
    TileArrays own(backend_, shape, x, make_tile_list(0, own_counts));
    TileArrays visiting(backend_, shape, y, make_tile_list(1000, visiting_counts));
    BlockWork work;
    work.sides = sides;
    evaluate_block(backend_, shape, work, own, visiting);
    std::vector<double> found = totals_of(own, x.count(), candidates);
    const std::vector<double> of_visiting = totals_of(visiting, y.count(), candidates);
    for (std::size_t w = 0; w < found.size(); ++w)
      found[w] = (found[w] + of_visiting[w]) / (sides == Sides::both ? 2 : 1);
    const PairTable table = make_table(oracle_pair(text), x, y);
    EXPECT_EQ(outside(found, expected_totals(table, candidates, unit_roundoff(precision))), "");
  }

  const Backend &backend_;
};

TEST_P(GpuSlope, TotalsOfAllPairs) {
  for (const Precision precision : {Precision::fp64, Precision::fp32})
    for (const Sides sides : all_sides)
      for (const int candidates : {5, 8}) check(precision, 3, candidates, sides);
  check(Precision::fp64, 20, 6, Sides::both);
}

TEST_P(GpuSlope, ASquareCountsEveryPairTwice) {
  const std::vector<int> counts = {backend_.tile_rows, 9};
  const std::string text = spread_pair("gaussian", 2);
  const TileShape shape{parse_pair(text), RowKind::slope, 0, Precision::fp64, 2, 6, {}};
  const PointSet x = random_points(total_rows(counts), 2, 3);
  TileArrays square(backend_, shape, x, make_tile_list(0, counts));
  BlockWork work;
  work.sides = Sides::both;
  work.pattern = PairPattern::square;
  evaluate_block(backend_, shape, work, square, square);
  const PairTable table = make_table(oracle_pair(text), x, x);
  EXPECT_EQ(outside(totals_of(square, x.count(), 6), expected_totals(table, 6, unit_roundoff(Precision::fp64))), "");
}

INSTANTIATE_TEST_SUITE_P(Small, GpuSlope, ::testing::ValuesIn(device_names()),
                         [](const auto &param) { return test_name(param.param); });

}  // namespace
}  // namespace flashring::test
