// Row rule slope in every backend against long double: sides, ragged tiles, numbers of candidates on both sides of a
// block, every pair function of distances. FLASHRING_TEST_RATIOS=1 prints the largest error in units of its bound.
#include <gtest/gtest.h>

#include <cstdio>

#include "support/pair_text.hpp"
#include "support/scatter.hpp"
#include "support/slope_totals.hpp"

namespace flashring::test {
namespace {

constexpr std::size_t own_rows = 270;  // a full tile of the largest backend and a ragged one
constexpr std::size_t visiting_rows = 70;

/// Of both sides, and of each alone; where both are served, each pair counts twice.
void check(const Backend &backend, const TileShape &shape, const PointSet &x, const PointSet &y,
           const Bounded &expected) {
  double worst = 0;
  for (const Sides sides : {Sides::own, Sides::visiting, Sides::both}) {
    TileArrays own(backend, shape, x, cut(0, own_rows, backend.tile_rows));
    TileArrays visiting(backend, shape, y, cut(1000, visiting_rows, backend.tile_rows));
    evaluate(backend, shape, own, visiting, all_pairs(own, visiting, sides, false));
    std::vector<double> found = totals_of(own, own_rows, shape.columns);
    const std::vector<double> of_visiting = totals_of(visiting, visiting_rows, shape.columns);
    for (std::size_t w = 0; w < found.size(); ++w)
      found[w] = (found[w] + of_visiting[w]) / (sides == Sides::both ? 2 : 1);
    EXPECT_EQ(outside(found, expected), "") << "sides " << static_cast<int>(sides);
    worst = std::max(worst, worst_ratio(found, expected));
  }
  if (std::getenv("FLASHRING_TEST_RATIOS") != nullptr)
    std::printf("ratio %.3f  %s %s %s\n", worst, backend.name, backend.target, to_string(shape.pair).c_str());
}

/// The unit of amx makes no powers, and what it does not work on is simd's.
bool is_of_unit(const std::string &backend, const TileShape &shape) {
  return backend.rfind("amx", 0) == 0 && shape.precision == Precision::fp32 && shape.features > 8 &&
         !needs_differences(traits(shape.pair.kind).accumulate);
}

void check_all(const std::string &text, int d, int candidates) {
  const PointSet x = random_points(own_rows, d, 21);
  PointSet y = random_points(visiting_rows, d, 22);
  std::copy_n(x.row(3), d, y.rows.begin() + 7 * d);  // distances of 0
  const PairTable table = make_table(oracle_pair(text), x, y);
  for (const Precision precision : {Precision::fp64, Precision::fp32}) {
    const TileShape shape{parse_pair(text), RowKind::slope, 0, precision, d, candidates, {}};
    const Bounded expected = expected_totals(table, candidates, unit_roundoff(precision));
    for (const std::string &name : backends_to_test()) {
      SCOPED_TRACE(name + " " + text + " d=" + std::to_string(d) + " candidates " + std::to_string(candidates));
      const Backend &backend = find_backend(name);
      ASSERT_EQ(backend.supports(shape), !is_of_unit(name, shape));
      if (!is_of_unit(name, shape)) check(backend, shape, x, y, expected);
    }
  }
}

TEST(Slope, TotalsOfGaussians) {
  for (const auto &[d, candidates] : {std::pair{1, 1}, std::pair{3, 8}, std::pair{3, 19}, std::pair{17, 5}})
    check_all(spread_pair("gaussian", d), d, candidates);
}

TEST(Slope, TotalsOfOtherPairsOfDistances) {
  for (const std::string &name : host_pair_names(3))
    if (name != "inner_exp" && name != "gaussian") check_all(spread_pair(name, 3), 3, 9);
}

TEST(Slope, IsNotForInnerProducts) {
  for (const std::string &name : backends_to_test())
    EXPECT_FALSE(
        find_backend(name).supports({parse_pair("inner_exp:s=1"), RowKind::slope, 0, Precision::fp64, 2, 8, {}}));
}

}  // namespace
}  // namespace flashring::test
