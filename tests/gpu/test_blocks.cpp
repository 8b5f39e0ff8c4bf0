// Backends with a device against the long double oracle: pair functions x numbers of features x row rules x precisions
// x sides x columns, with fresh points in every run. States and scratch hold NaN before. FLASHRING_TEST_RATIOS=1 prints
// the largest error in units of its bound.
//
// random_numbers() of fewer numbers are the first of more, and columns lie one after the other: what fewer columns must
// answer is the beginning of what the most columns must, so the oracle is asked once.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "gpu/blocks.hpp"
#include "support/fake_device.hpp"
#include "support/pair_text.hpp"
#include "support/scatter.hpp"

namespace flashring::test {
namespace {

TEST(Gpu, IsPresent) {
  ASSERT_FALSE(device_names().empty()) << "FLASHRING_TEST_NEEDS_GPU is set, and no GPU is usable here";
  if (device_names().front() == "device") GTEST_SKIP() << "no usable GPU here: a device that is none stands in";
}

/// Both sides of one call, compared as far as the sides take sums; the other state must stay as it was, to the bit.
double worst_of(const Blocks &blocks, const BlockWork &work, const Bounded &own_most, const Bounded &visiting_most) {
  TileArrays own = blocks.arrays(true);
  TileArrays visiting = blocks.arrays(false);
  const auto own_before = own.state().copy();
  const auto visiting_before = visiting.state().copy();
  evaluate_block(blocks.backend, blocks.shape, work, own, visiting);
  double worst = 0;
  const auto compare = [&](const TileArrays &side, const Bounded &most) {
    const std::vector<double> value = side.finish();
    const Bounded expected = first_columns(most, value.size());
    EXPECT_EQ(outside(value, expected), "");
    worst = std::max(worst, worst_ratio(value, expected));
  };
  if (has_own(work.sides))
    compare(own, own_most);
  else
    EXPECT_EQ(own.state().copy(), own_before) << "the own state was touched";
  if (has_visiting(work.sides))
    compare(visiting, visiting_most);
  else
    EXPECT_EQ(visiting.state().copy(), visiting_before) << "the visiting state was touched";
  return worst;
}

void check(Blocks blocks, int columns, Sides sides, const Bounded &own_most, const Bounded &visiting_most) {
  blocks.shape.columns = columns;
  SCOPED_TRACE(name_of(blocks.shape) + " sides=" + std::to_string(static_cast<int>(sides)));
  BlockWork work;
  work.sides = sides;
  const double worst = worst_of(blocks, work, own_most, visiting_most);
  if (std::getenv("FLASHRING_TEST_RATIOS") != nullptr)
    std::printf("ratio %.3f  %s %s\n", worst, blocks.backend.name, name_of(blocks.shape).c_str());
}

/// `columns`: the largest last.
void check_all(const Backend &backend, const std::string &name, int d, const std::vector<int> &columns,
               const std::vector<Sides> &sides) {
  const std::string text = spread_pair(name, d);
  const int T = backend.tile_rows;
  for (const RowKind row : {RowKind::sum, RowKind::logsumexp, RowKind::difference_product})
    for (const Precision precision : all_precisions) {
      const std::vector<int> numbers = row == RowKind::difference_product ? std::vector{1, 3, 10} : columns;
      const TileShape shape{parse_pair(text), row, 0, precision, d, numbers.back(), {}};
      if (!backend.supports(shape)) continue;
      const Blocks blocks(backend, text, shape, {{T, 33}, {std::min(T, 65), 1}});
      const Bounded own = blocks.expected(true);
      const Bounded visiting = blocks.expected(false);
      for (const int c : numbers)
        for (const Sides one : sides) check(blocks, c, one, own, visiting);
      if (row == RowKind::logsumexp) check(blocks, 0, Sides::both, own, visiting);
    }
}

class Conformance : public ::testing::TestWithParam<std::tuple<std::string, std::string, int>> {};

TEST_P(Conformance, AgreesWithTheOracle) {
  const auto &[backend, name, d] = GetParam();
  const bool whole = d == 3 || d == 17 || d == 64;  // a path each: few features, ragged chunks, whole chunks
  const std::vector<int> columns = whole ? std::vector{1, 2, 3, 8, 31, 32, 33, 64} : std::vector{1, 33};
  const std::vector<Sides> one_by_one = {Sides::own, Sides::visiting, Sides::both};
  check_all(backend_named(backend), name, d, columns, d == 17 ? std::vector{Sides::both} : one_by_one);
}

std::string param_name(const ::testing::TestParamInfo<std::tuple<std::string, std::string, int>> &param) {
  const auto &[backend, name, d] = param.param;
  return test_name(backend + "_" + name + "_d" + std::to_string(d));
}

INSTANTIATE_TEST_SUITE_P(Every, Conformance,
                         ::testing::Combine(::testing::ValuesIn(device_names()), ::testing::ValuesIn(all_pair_names()),
                                            ::testing::Values(1, 2, 3, 5, 8, 9, 16, 17, 24, 31, 64, 100, 128, 200,
                                                              512)),
                         param_name);
INSTANTIATE_TEST_SUITE_P(Covariances, Conformance,
                         ::testing::Combine(::testing::ValuesIn(device_names()), ::testing::Values("local_mahalanobis"),
                                            ::testing::Values(1, 3, 9, 32)),
                         param_name);

/// Few tiles of each path, for tools that watch every access.
class Small : public ::testing::TestWithParam<std::tuple<std::string, std::string, int>> {};

TEST_P(Small, AgreesWithTheOracle) {
  const auto &[backend, name, d] = GetParam();
  check_all(backend_named(backend), name, d, {1, 33}, {Sides::both});
}

TEST_P(Small, SquareWithMaskAndSkippedPairs) {
  const auto &[backend_name, name, d] = GetParam();
  const Backend &backend = backend_named(backend_name);
  const std::string text = spread_pair(name, d);
  const int T = backend.tile_rows;
  const TileShape shape{parse_pair(text), RowKind::sum, 0, Precision::fp32, d, 3, {false, true}};
  Blocks blocks(backend, text, shape, {{T, 40, 7}, {T}});
  blocks.make_square();
  const Kept kept = {0b111, 0b110, 0b100};
  TileArrays square = blocks.arrays(true);
  BlockWork work;
  work.pattern = PairPattern::square;
  work.kept = kept;
  evaluate_block(backend, shape, work, square, square);
  EXPECT_EQ(outside(square.finish(), blocks.expected(true)), "");
}

INSTANTIATE_TEST_SUITE_P(, Small,
                         ::testing::Combine(::testing::ValuesIn(device_names()),
                                            ::testing::Values("gaussian", "laplacian", "inner_exp"),
                                            ::testing::Values(3, 40)),
                         param_name);

}  // namespace
}  // namespace flashring::test
