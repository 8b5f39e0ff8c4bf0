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
  bool seen[3] = {};
  for (const Case &one : all_cases(false)) {
    seen[0] = seen[0] || (one.features == 512 && one.columns == 32 && one.rows == 200000);
    seen[1] = seen[1] || (one.features == 16 && one.rows == 1000000 && !one.square);
    seen[2] = seen[2] || (one.precision == Precision::fp64 && one.row == RowKind::logsumexp);
    EXPECT_TRUE(one.features <= 16 || one.rows < 1000000);
  }
  EXPECT_TRUE(seen[0] && seen[1] && seen[2]);
}

}  // namespace
}  // namespace flashring::gpu_bench
