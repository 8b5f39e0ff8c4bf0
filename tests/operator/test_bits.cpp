// Bits: products are the same for any number of threads, and the kernel is the same read from both of its sides.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "flashring/kernel_operator.hpp"
#include "support/apply.hpp"

namespace flashring::test {
namespace {

constexpr std::size_t rows = 1100;  // several tiles on each of 1 to 3 ranks, the last one ragged

class Bits : public ::testing::TestWithParam<std::tuple<const char *, int>> {
 protected:
  std::string precision() const { return std::get<0>(GetParam()); }
  int features() const { return std::get<1>(GetParam()); }
  OperatorOptions options(const std::string &form) const {
    return options_of(
        {{"pair", "gaussian"}, {"beta", std::to_string(3.0 / features())}, {"precision", precision()}, {"form", form}});
  }
};

TEST_P(Bits, AreTheSameForAnyNumberOfThreads) {
  const PointSet points = random_points(rows, features(), 91);
  OperatorOptions one_thread = options("symmetric");
  KernelOperator op = make_operator(points, one_thread);
  std::vector<std::vector<double>> x, y;
  for (const int columns : {1, 8, 33}) {
    x.push_back(random_numbers(rows * static_cast<std::size_t>(columns), 92));
    y.push_back(apply(op, x.back(), columns));
  }
  for (int threads = 2; threads <= 8; ++threads) {
    OperatorOptions more = one_thread;
    more.threads = threads;
    KernelOperator threaded = make_operator(points, more);
    EXPECT_EQ(whole(threaded, threaded.degree()), whole(op, op.degree())) << threads << " threads: degree";
    for (std::size_t b = 0; b < x.size(); ++b)
      EXPECT_EQ(apply(threaded, x[b], static_cast<int>(x[b].size() / rows)), y[b])
          << threads << " threads, " << x[b].size() / rows << " columns";
  }
}

// With many tiles a thread takes several pairs at a time: a quarter of the shorter side's tiles over all threads, 4 at
// most. 66 tiles are 4 pairs for up to 4 threads and 2 for 8. On one rank: others have fewer tiles.
TEST(BitsOfBatches, AreTheSameForAnyNumberOfThreads) {
  if (world().size() > 1) GTEST_SKIP() << "fewer tiles on a rank";
  const std::size_t many = 4200;  // 65 full tiles of backend ref and a ragged one
  const PointSet points = random_points(many, 1, 95);
  const std::vector<double> x = random_numbers(2 * many, 96);
  OperatorOptions options =
      options_of({{"pair", "gaussian"}, {"beta", "2"}, {"precision", "fp64"}, {"backend", "ref"}});
  KernelOperator one = make_operator(points, options);
  const std::vector<double> y = apply(one, x, 2);
  for (options.threads = 2; options.threads <= 8; ++options.threads) {
    KernelOperator op = make_operator(points, options);
    EXPECT_EQ(apply(op, x, 2), y) << options.threads << " threads";
  }
}

/// The matrix of an operator, column by column.
std::vector<double> matrix(KernelOperator &op, int columns) {
  std::vector<double> k;
  for (std::size_t first = 0; first < rows; first += static_cast<std::size_t>(columns)) {
    const std::size_t count = std::min(rows - first, static_cast<std::size_t>(columns));
    std::vector<double> units(rows * count, 0.0);
    for (std::size_t c = 0; c < count; ++c) units[c * rows + first + c] = 1;
    const std::vector<double> y = apply(op, units, static_cast<int>(count));
    k.insert(k.end(), y.begin(), y.end());
  }
  return k;
}

TEST_P(Bits, OfTheKernelAreTheSameFromBothSides) {
  KernelOperator op = make_operator(random_points(rows, features(), 93), options("kernel"));
  const std::vector<double> k = matrix(op, 64);
  for (std::size_t i = 0; i < rows; ++i) {
    // Distances of many features are norms less an inner product, which rounding leaves near 0.
    if (features() <= 8) {
      EXPECT_EQ(k[i * rows + i], 1) << "a point with itself, row " << i;
    }
    for (std::size_t j = 0; j < i; ++j) ASSERT_EQ(k[i * rows + j], k[j * rows + i]) << i << "," << j;
  }
  // Kernels of one column add the same weights.
  for (const std::size_t j : {std::size_t{0}, std::size_t{7}, rows / 2, rows - 1}) {
    std::vector<double> unit(rows, 0.0);
    unit[j] = 1;
    const std::vector<double> column(k.begin() + static_cast<std::ptrdiff_t>(j * rows),
                                     k.begin() + static_cast<std::ptrdiff_t>((j + 1) * rows));
    EXPECT_EQ(apply(op, unit, 1), column) << "column " << j;
  }
}

// r_i (k r_j) rounds k r_j in the working precision, r_j (k r_i) the other product: u for the column, u for the
// product, 2^-53 for the result, on either side.
TEST_P(Bits, OfTheSymmetricFormDifferByItsRoundings) {
  KernelOperator op = make_operator(random_points(rows, features(), 94), options("symmetric"));
  const std::vector<double> k = matrix(op, 64);
  const double u = precision() == "fp64" ? 0x1p-53 : 0x1p-24;
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < i; ++j)
      ASSERT_LE(std::abs(k[i * rows + j] - k[j * rows + i]), (4 * u + 0x1p-52) * k[j * rows + i]) << i << "," << j;
}

std::string param_name(const ::testing::TestParamInfo<std::tuple<const char *, int>> &info) {
  return std::string(std::get<0>(info.param)) + "_d" + std::to_string(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(Every, Bits,
                         ::testing::Combine(::testing::Values("fp64", "fp32", "reduced"), ::testing::Values(3, 17)),
                         param_name);

}  // namespace
}  // namespace flashring::test
