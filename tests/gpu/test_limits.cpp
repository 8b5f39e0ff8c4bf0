// The limits beside a measurement, by hand for a machine with round numbers.
#include <gtest/gtest.h>

#include "gpu_bench.hpp"

namespace flashring::gpu_bench {
namespace {

/// Counts of a kernel with 7 multiply-adds, 3 additions and 2 exponentials a pair.
const Backend &counted() {
  static const Backend backend = [] {
    Backend made{};
    made.cost = [](const TileShape & /*shape*/, Sides /*sides*/) { return TileCost{7, 3, 2, 0}; };
    return made;
  }();
  return backend;
}

ceilings::GpuRates rates() {
  ceilings::GpuRates r;
  r.fma_fp32 = 1000;
  r.fma_fp64 = 500;
  r.ex2 = 120;
  r.mma = 2400;
  r.wgmma = 4800;
  return r;
}

TEST(Limits, OfEachResource) {
  const Case one{Precision::fp32, RowKind::sum, 3, 1, 100, true};
  const Limits found = limits(counted(), one, rates());
  EXPECT_EQ(found.exponential, 60);
  EXPECT_EQ(found.tensor, 4800 / 24.0);  // 6 d + 6
  EXPECT_EQ(found.arithmetic, 100);
  EXPECT_EQ(found.least(), 60);
}

TEST(Limits, ColumnsTakeProductsOfTheirOwn) {
  Case one{Precision::fp32, RowKind::sum, 64, 32, 100, true};
  EXPECT_EQ(limits(counted(), one, rates()).tensor, 4800 / (390.0 + 3 * 64));
  one.square = false;
  EXPECT_EQ(limits(counted(), one, rates()).tensor, 4800 / (390.0 + 3 * 32));
  one.precision = Precision::reduced;
  EXPECT_EQ(limits(counted(), one, rates()).tensor, 4800 / (66.0 + 32));
  EXPECT_EQ(limits(counted(), one, rates()).least(), 4800 / (66.0 + 32));
}

TEST(Limits, AttentionTakesProductsOfBothSides) {
  Case one{Precision::fp32, RowKind::logsumexp, 64, 32, 100, false, true};
  EXPECT_EQ(limits(counted(), one, rates()).tensor, 4800 / (384.0 + 3 * 32));
  one.row = RowKind::score_bins;
  EXPECT_EQ(limits(counted(), one, rates()).tensor, 4800 / 384.0);
  one.row = RowKind::threshold_sum;
  EXPECT_EQ(limits(counted(), one, rates()).tensor, 4800 / (384.0 + 6 * 32));
  one.row = RowKind::softmax_gradient;
  one.columns = 64 + 32;
  EXPECT_EQ(limits(counted(), one, rates()).tensor, 4800 / (6 * 96.0 + 3 * (64 + 96)));
}

TEST(Limits, DoublesHaveNoUnitsOfTheirOwn) {
  const Case one{Precision::fp64, RowKind::sum, 3, 1, 100, true};
  const Limits found = limits(counted(), one, rates());
  EXPECT_EQ(found.exponential, 500 / 40.0);
  EXPECT_EQ(found.tensor, 0);
  EXPECT_EQ(found.arithmetic, 10);
  EXPECT_EQ(found.least(), 10);
}

TEST(Limits, UnknownRatesGiveNone) {
  const Limits found = limits(counted(), {}, {});
  EXPECT_EQ(found.exponential, 0);
  EXPECT_EQ(found.least(), 0);
}

TEST(Limits, CasesHaveTheSizesThatAreAskedFor) {
  bool seen[5] = {};
  for (const Case &one : all_cases(false)) {
    seen[0] = seen[0] || (one.features == 512 && one.columns == 32 && one.rows == 200000);
    seen[1] = seen[1] || (one.features == 16 && one.rows == 1000000 && !one.square);
    seen[2] = seen[2] || (one.precision == Precision::fp64 && one.row == RowKind::logsumexp);
    seen[3] = seen[3] || (one.features == 512 && one.columns == 32 && one.rows == 1000000);
    seen[4] = seen[4] || one.host_points;
  }
  for (const bool each : seen) EXPECT_TRUE(each);
}

/// A row of 1000 points in fp32 by that many seconds; a million pairs for a rectangle, half of it for a square.
Row measured_row(int features, int columns, double seconds, bool square = false) {
  Row row;
  row.backend = "sm80";
  row.one = {Precision::fp32, RowKind::sum, features, columns, 1000, square};
  row.measured = {seconds, square ? 5e5 : 1e6, 3, ""};
  row.limits.tensor = 2e12;
  return row;
}

TEST(Reach, TakesTheFastestOfASizeAndTheLeastOfTheSizes) {
  std::vector<Row> rows = {measured_row(3, 1, 2e-7), measured_row(3, 1, 1e-7), measured_row(16, 1, 2e-7),
                           measured_row(16, 1, 1.5e-7, true)};
  std::vector<Verdict> found = verdicts(rows);
  ASSERT_EQ(found.size(), 4);
  EXPECT_DOUBLE_EQ(found[0].value, 5e12);
  EXPECT_EQ(found[0].where, "sm80 fp32 d=16 N=1000 rectangle");
  EXPECT_TRUE(found[0].met());
  EXPECT_DOUBLE_EQ(found[1].value, 1e6 / 1.5e-7);
  EXPECT_EQ(found[1].where, "sm80 fp32 d=16 N=1000 square");
  EXPECT_TRUE(found[1].met());
  rows.pop_back();
  found = verdicts(rows);
  EXPECT_DOUBLE_EQ(found[1].value, 5e12);
  EXPECT_FALSE(found[1].met());
  rows.back().measured.not_run = "no time";
  EXPECT_EQ(verdicts(rows)[0].value, 0) << "one of the sizes was not measured";
  EXPECT_FALSE(verdicts(rows)[0].met());
}

TEST(Reach, PartOfTheTensorLimitInEachPrecision) {
  std::vector<Row> rows = {measured_row(64, 1, 1e-6)};
  EXPECT_EQ(verdicts(rows)[2].value, 0);
  rows.push_back(measured_row(64, 1, 0.7e-6));
  rows.back().one.precision = Precision::reduced;
  const Verdict found = verdicts(rows)[2];
  EXPECT_DOUBLE_EQ(found.value, 0.5);
  EXPECT_FALSE(found.met());
}

TEST(Reach, ColumnsCostAtMostHalfAsMuchAgain) {
  std::vector<Row> rows = {measured_row(3, 1, 1e-7), measured_row(3, 32, 1.4e-7), measured_row(64, 1, 1e-7),
                           measured_row(64, 32, 9e-7)};
  EXPECT_FALSE(verdicts(rows)[3].met());
  EXPECT_DOUBLE_EQ(verdicts(rows)[3].value, 9);
  rows.push_back(measured_row(64, 32, 1.2e-7));  // another backend is faster
  EXPECT_DOUBLE_EQ(verdicts(rows)[3].value, 1.4);
  EXPECT_TRUE(verdicts(rows)[3].met());
}

}  // namespace
}  // namespace flashring::gpu_bench
