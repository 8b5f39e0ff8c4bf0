// What no motion of the points may change: rows that sum to 1, the stationary law,
// permutations, translations of distance kernels, rotations.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "support/apply.hpp"
#include "support/dense.hpp"

namespace flashring::test {
namespace {

constexpr int tile = 256;
constexpr std::size_t count = 150;
constexpr int features = 3;

const char *const distance_pairs[] = {"gaussian:beta=0.8", "laplacian:ell=0.9", "matern32:ell=0.8", "matern52:ell=0.7",
                                      "rational_quadratic:ell=0.6,a=1.5"};

PointSet turned(const PointSet &points) {
  PointSet result = points;
  const double a = 0.7;
  const double b = 1.9;
  for (std::size_t i = 0; i < points.count(); ++i) {
    const double *x = points.row(i);
    const double u = std::cos(a) * x[0] - std::sin(a) * x[1];
    const double v = std::sin(a) * x[0] + std::cos(a) * x[1];
    result.rows[3 * i] = u;
    result.rows[3 * i + 1] = std::cos(b) * v - std::sin(b) * x[2];
    result.rows[3 * i + 2] = std::sin(b) * v + std::cos(b) * x[2];
  }
  return result;
}

PointSet moved(const PointSet &points, double by) {
  PointSet result = points;
  for (double &x : result.rows) x += by;
  return result;
}

OperatorOptions markov(const char *pair, const char *precision) {
  return options_of({{"pair", pair}, {"form", "markov"}, {"alpha", "0.5"}, {"precision", precision}});
}

/// The bounds of `dense` around other values.
Bounded around(const std::vector<double> &values, Bounded bounds) {
  bounds.value.assign(values.begin(), values.end());
  return bounds;
}

class Invariance : public ::testing::TestWithParam<const char *> {
 protected:
  Precision working() const { return std::string(GetParam()) == "fp64" ? Precision::fp64 : Precision::fp32; }
  const PointSet points_ = random_points(count, features, 101);
  const std::vector<double> x_ = random_numbers(count, 102);
};

TEST_P(Invariance, RowsSumToOneAndTheLawIsStationary) {
  for (const char *pair : {"gaussian:beta=0.8", "laplacian:ell=0.9", "inner_exp:s=1.1", "self_tuned"}) {
    SCOPED_TRACE(pair);
    const DenseOperator dense(points_, pair, 0.5, Form::markov, tile);
    KernelOperator op = make_operator(points_, markov(pair, GetParam()));
    const std::vector<double> ones(count, 1.0);
    EXPECT_EQ(outside(apply(op, ones, 1), around(ones, dense.apply(ones, 1, working()))), "") << "P 1 = 1";
    std::vector<double> law = whole(op, op.degree());
    const double sum = std::accumulate(law.begin(), law.end(), 0.0);
    for (double &p : law) p /= sum;
    EXPECT_EQ(outside(apply(op, law, 1, true), around(law, dense.apply(law, 1, working(), true))), "") << "pi P = pi";
    const std::vector<double> exact = dense.stationary_law();
    for (std::size_t i = 0; i < count; ++i) EXPECT_NEAR(law[i], exact[i], 1e-13 * exact[i]);
  }
}

TEST_P(Invariance, TranslationBy100ChangesNothing) {
  // Adding 100 rounds the points; `back` is what they have become. Centring subtracts nearly exactly in fp64, and a
  // rounded mean is one more translation, so the bound is that of points around the origin.
  for (const char *pair : distance_pairs) {
    SCOPED_TRACE(pair);
    const PointSet far = moved(points_, 100);
    const PointSet back = moved(far, -100);  // exact
    const DenseOperator dense(back, pair, 0.5, Form::markov, tile);
    KernelOperator op = make_operator(far, markov(pair, GetParam()));
    EXPECT_EQ(outside(apply(op, x_, 1), dense.apply(x_, 1, working())), "");
  }
}

TEST_P(Invariance, RotationChangesNothing) {
  const PointSet other = turned(points_);
  for (const char *pair : {"gaussian:beta=0.8", "laplacian:ell=0.9", "inner_exp:s=1.1"}) {
    SCOPED_TRACE(pair);
    KernelOperator op = make_operator(points_, markov(pair, GetParam()));
    KernelOperator rotated = make_operator(other, markov(pair, GetParam()));
    const DenseOperator dense(points_, pair, 0.5, Form::markov, tile);
    // Both are off by the bound, and the turn itself rounds the points once more.
    EXPECT_EQ(outside(apply(rotated, x_, 1), around(apply(op, x_, 1), dense.apply(x_, 1, working())), 2), "");
  }
}

TEST_P(Invariance, PermutedPointsPermuteTheAnswer) {
  std::vector<std::size_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = (37 * i + 11) % count;
  PointSet shuffled{features, {}};
  std::vector<double> x;
  for (const std::size_t i : order) {
    shuffled.rows.insert(shuffled.rows.end(), points_.row(i), points_.row(i) + features);
    x.push_back(x_[i]);
  }
  for (const char *pair : {"gaussian:beta=0.8", "matern32:ell=0.8", "inner_exp:s=1.1", "self_tuned"}) {
    SCOPED_TRACE(pair);
    KernelOperator op = make_operator(points_, markov(pair, GetParam()));
    KernelOperator other = make_operator(shuffled, markov(pair, GetParam()));
    const std::vector<double> y = apply(op, x_, 1);
    const std::vector<double> z = apply(other, x, 1);
    Bounded expected = DenseOperator(shuffled, pair, 0.5, Form::markov, tile).apply(x, 1, working());
    for (std::size_t i = 0; i < count; ++i) expected.value[i] = y[order[i]];
    EXPECT_EQ(outside(z, expected, 2), "");
  }
}

std::string precision_name(const ::testing::TestParamInfo<const char *> &param) { return param.param; }

INSTANTIATE_TEST_SUITE_P(Every, Invariance, ::testing::Values("fp64", "fp32"), precision_name);

}  // namespace
}  // namespace flashring::test
