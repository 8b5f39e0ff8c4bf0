// Noise of products in lower precisions, estimated on a sample of rows, against whole products.
#include <gtest/gtest.h>

#include <cmath>

#include "support/apply.hpp"

namespace flashring::test {
namespace {

constexpr int features = 3;
constexpr int columns = 3;

/// The same from whole products; the precision is that of the operator.
ProductNoise whole_noise(KernelOperator &op, const std::vector<double> &x, int column) {
  const std::vector<double> found = apply(op, x, columns);
  const std::vector<double> exact = apply(op, x, columns, false, true);
  const std::size_t n = x.size() / columns;
  ProductNoise noise;
  double square = 0;
  for (std::size_t i = n * static_cast<std::size_t>(column); i < n * static_cast<std::size_t>(column + 1); ++i) {
    noise.product += exact[i] * exact[i];
    noise.error += (found[i] - exact[i]) * (found[i] - exact[i]);
    noise.along += x[i] * exact[i];
    square += x[i] * x[i];
  }
  return {std::sqrt(noise.product), std::sqrt(noise.error), std::abs(noise.along) / std::sqrt(square)};
}

class Noise : public ::testing::TestWithParam<std::tuple<const char *, const char *>> {};

/// Rows in the sample: 64. A sum of m squares of normal numbers is off by (2/m)^(1/2), so its root by 9 % where rows
/// are alike; these are not quite, and single sums are rounded in another order: five times that.
TEST_P(Noise, IsThatOfWholeProducts) {
  const auto [precision, form] = GetParam();
  constexpr std::int64_t rows = 1500;
  KernelOperator op = make_operator(
      random_points(rows, features, 61),
      options_of({{"pair", "gaussian:beta=0.4"}, {"precision", precision}, {"form", form}, {"alpha", "1"}}));
  std::vector<double> x = random_numbers(rows * columns, 62);
  for (std::size_t i = 0; i < rows; ++i) x[i] = 1;  // a coherent one
  const std::vector<double> mine = local_columns(x, columns, op.partition(), world().rank());
  op.density();
  const std::int64_t passes = op.counters().passes;
  const std::vector<ProductNoise> found = op.noise(op.options().precision, mine.data(), op.local_rows(), columns);
  EXPECT_EQ(op.counters().passes, passes) << "a sample is no pass";
  ASSERT_EQ(found.size(), columns);
  for (int c = 0; c < columns; ++c) {
    SCOPED_TRACE(c);
    const ProductNoise &of = found[static_cast<std::size_t>(c)];
    const ProductNoise expected = whole_noise(op, x, c);
    EXPECT_NEAR(of.product, expected.product, 0.45 * expected.product);
    EXPECT_GT(of.error, 0.55 * expected.error);
    EXPECT_LT(of.error, 2 * expected.error);
    EXPECT_NEAR(of.along, expected.along, 0.45 * expected.product);
    EXPECT_EQ(world().max(of.error), world().min(of.error));
  }
}

INSTANTIATE_TEST_SUITE_P(Every, Noise,
                         ::testing::Combine(::testing::Values("fp32", "reduced"),
                                            ::testing::Values("symmetric", "markov", "kernel")),
                         [](const auto &given) {
                           return std::string(std::get<0>(given.param)) + "_" + std::get<1>(given.param);
                         });

/// So few rows are all in the sample, and norms are exact up to rounding. Some ranks have none.
TEST(NoiseSample, FewRowsAreAllThere) {
  constexpr std::int64_t rows = 4;
  KernelOperator op =
      make_operator(random_points(rows, features, 63), options_of({{"pair", "matern32:ell=1"}, {"form", "symmetric"}}));
  const std::vector<double> x = random_numbers(rows * columns, 64);
  const std::vector<double> mine = local_columns(x, columns, op.partition(), world().rank());
  const std::vector<ProductNoise> found = op.noise(Precision::fp32, mine.data(), op.local_rows(), columns);
  for (int c = 0; c < columns; ++c) {
    const ProductNoise expected = whole_noise(op, x, c);
    EXPECT_NEAR(found[static_cast<std::size_t>(c)].product, expected.product, 1e-13 * expected.product);
    EXPECT_NEAR(found[static_cast<std::size_t>(c)].along, expected.along, 1e-13 * expected.product);
    EXPECT_GT(found[static_cast<std::size_t>(c)].error, 0);
  }
}

TEST(NoiseSample, MovesWithThePoints) {
  constexpr std::int64_t rows = 200;
  const PointSet first = random_points(rows, features, 65);
  const PointSet second = random_points(rows, features, 66);
  const Settings settings = {{"pair", "gaussian:beta=0.4"}};
  KernelOperator moved = make_operator(first, options_of(settings));
  KernelOperator fresh = make_operator(second, options_of(settings));
  const std::vector<double> mine(static_cast<std::size_t>(moved.local_rows()), 1.0);
  const auto noise = [&](KernelOperator &op) {
    return op.noise(Precision::fp32, mine.data(), op.local_rows(), 1).front().product;
  };
  EXPECT_NE(noise(moved), noise(fresh));
  std::vector<double> rows_now;
  for (std::int64_t i = 0; i < moved.local_rows(); ++i) {
    const double *row = second.row(static_cast<std::size_t>(moved.global_row(LocalRow{i}).value));
    rows_now.insert(rows_now.end(), row, row + features);
  }
  moved.update_points(rows_now);
  EXPECT_EQ(noise(moved), noise(fresh));
}

}  // namespace
}  // namespace flashring::test
