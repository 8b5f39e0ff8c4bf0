// What takes the place of D^-alpha: bistochastic scaling and target densities.
#include <gtest/gtest.h>

#include <cmath>

#include "flashring/check.hpp"
#include "flashring/kernel_operator.hpp"
#include "operator/bistochastic.hpp"
#include "support/apply.hpp"
#include "support/error_of.hpp"
#include "support/oracle.hpp"

namespace flashring::test {
namespace {

constexpr std::size_t count = 131;

/// Clumped points, so that densities differ by a factor of some tens.
PointSet clumped_points() {
  PointSet points = random_points(count, 3, 92);
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t k = 0; k < 3; ++k) points.rows[3 * i + k] *= i % 4 == 0 ? 1.0 : 0.3;
  return points;
}

std::vector<double> positive_numbers(int stream) {
  std::vector<double> numbers = random_numbers(count, stream);
  for (double &number : numbers) number = std::exp(number);
  return numbers;
}

std::vector<double> mine_of(const KernelOperator &op, const std::vector<double> &all) {
  return local_columns(all, 1, op.partition(), world().rank());
}

/// Rows of P summed by a product with ones.
double largest_row_error(KernelOperator &op) {
  double largest = 0;
  for (const double sum : apply(op, std::vector<double>(count, 1.0), 1)) largest = std::max(largest, std::abs(sum - 1));
  return largest;
}

/// The scaling by the plain damped iteration in long double: w <- (w / K(w m))^(1/2).
std::vector<Real> dense_scaling(const PairTable &table, const std::vector<double> &measure) {
  std::vector<Real> w(count, 1);
  for (int step = 0; step < 80; ++step) {
    std::vector<Real> sums(count, 0);
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t j = 0; j < count; ++j)
        sums[i] += std::exp(table.log_weight[table.at(i, j)]) * w[j] * static_cast<Real>(measure[j]);
    for (std::size_t i = 0; i < count; ++i) w[i] = std::sqrt(w[i] / sums[i]);
  }
  return w;
}

TEST(Normalization, BistochasticRowsSumToOne) {
  const PointSet points = clumped_points();
  const std::vector<double> ones(count, 1.0);
  for (const char *pair : {"gaussian:beta=3", "laplacian:ell=0.6", "gaussian:beta=0.05", "gaussian:beta=300"}) {
    SCOPED_TRACE(pair);
    KernelOperator op =
        make_operator(points, options_of({{"pair", pair}, {"normalization", "bistochastic"}, {"form", "markov"}}));
    EXPECT_LE(largest_row_error(op), 2e-12);  // rows sum to 1 up to the tolerance, and the product rounds
    EXPECT_LE(op.counters().passes, set_up_passes(Normalization::bistochastic) + 5 + 1);
    const std::vector<double> x = random_numbers(count, 93);
    const std::vector<double> forward = apply(op, x, 1);
    const std::vector<double> backward = apply(op, x, 1, true);
    for (std::size_t i = 0; i < count; ++i) EXPECT_NEAR(forward[i], backward[i], 4e-12) << "P is symmetric";
  }
}

TEST(Normalization, BistochasticWeightsAreThoseOfThePlainIteration) {
  const PointSet points = clumped_points();
  const std::vector<double> measure = positive_numbers(94);
  const PairTable table = make_table(oracle_pair("gaussian:beta=3"), points, points);
  for (const bool weighted : {false, true}) {
    KernelOperator op = make_operator(points, options_of({{"beta", "3"}, {"normalization", "bistochastic"}}));
    if (weighted) op.update_measure(mine_of(op, measure));
    const std::vector<Real> expected = dense_scaling(table, weighted ? measure : std::vector<double>(count, 1.0));
    const std::vector<double> found = whole(op, op.weight());
    // ln w errs by (I + P)^-1 times the tolerance, whose norm is at most the condition 2 of its scaling.
    for (std::size_t i = 0; i < count; ++i) EXPECT_NEAR(found[i] / static_cast<double>(expected[i]), 1, 4e-12) << i;
    for (const double degree : whole(op, op.degree())) EXPECT_NEAR(degree, 1, bistochastic_tolerance);
  }
}

TEST(Normalization, AlphaHasNoEffectOnBistochastic) {
  const PointSet points = clumped_points();
  const std::vector<double> x = random_numbers(count, 95);
  const auto product = [&](const char *alpha) {
    KernelOperator op = make_operator(
        points,
        options_of({{"beta", "3"}, {"alpha", alpha}, {"normalization", "bistochastic"}, {"form", "symmetric"}}));
    return apply(op, x, 1);
  };
  EXPECT_EQ(product("0"), product("1"));
}

// mu = D^(2 - 2 alpha) gives D^-1 mu^(1/2) = D^-alpha.
TEST(Normalization, TargetsTakeThePlaceOfAlpha) {
  const PointSet points = clumped_points();
  const std::vector<double> x = random_numbers(count, 96);
  const std::vector<double> measure = positive_numbers(97);
  for (const char *alpha : {"0", "0.3"})
    for (const bool weighted : {false, true}) {
      SCOPED_TRACE(alpha);
      const auto options = options_of({{"beta", "3"}, {"alpha", alpha}, {"form", "markov"}});
      KernelOperator expected = make_operator(points, options);
      if (weighted) expected.update_measure(mine_of(expected, measure));
      std::vector<double> target;
      for (const double density : expected.density())
        target.push_back(std::pow(density, 2 - 2 * parse_real("alpha", alpha)));
      KernelOperator op = make_operator(points, options_of({{"beta", "3"}, {"alpha", "1"}, {"form", "markov"}}));
      if (weighted) op.update_measure(mine_of(op, measure));
      op.update_target(target);
      const std::vector<double> y = apply(op, x, 1);
      const std::vector<double> reference = apply(expected, x, 1);
      // Some ten roundings in w, d and the scalings; rows of P sum to 1 and |x| is at most 1.
      for (std::size_t i = 0; i < count; ++i) EXPECT_NEAR(y[i], reference[i], 1e-14);
      EXPECT_LE(largest_row_error(op), 1e-14);
    }
}

// P^h x = P(h x) / P h, of every normalisation; and P again when nothing is killed any more.
TEST(Normalization, TransformsTakeAnyWeights) {
  const PointSet points = clumped_points();
  const std::vector<double> x = random_numbers(count, 98);
  const std::vector<double> h = positive_numbers(99);
  std::vector<double> hx(count);
  for (std::size_t i = 0; i < count; ++i) hx[i] = h[i] * x[i];
  for (const char *normalization : {"density", "target", "bistochastic"}) {
    SCOPED_TRACE(normalization);
    const bool targeted = std::string(normalization) == "target";
    KernelOperator op = make_operator(
        points,
        options_of({{"beta", "3"}, {"normalization", targeted ? "density" : normalization}, {"form", "markov"}}));
    if (targeted) op.update_target(mine_of(op, positive_numbers(100)));
    const std::vector<double> Px = apply(op, x, 1);
    const std::vector<double> Ph = apply(op, h, 1);
    const std::vector<double> Phx = apply(op, hx, 1);
    op.transform(mine_of(op, h));
    const std::vector<double> found = apply(op, x, 1);
    for (std::size_t i = 0; i < count; ++i) EXPECT_NEAR(found[i], Phx[i] / Ph[i], 1e-13) << i;
    const std::vector<char> all(static_cast<std::size_t>(op.local_rows()), 1);
    op.kill_outside(all);
    EXPECT_EQ(apply(op, x, 1), Px);
  }
}

TEST(Normalization, BadTargetsAreNamed) {
  const PointSet points = clumped_points();
  KernelOperator op = make_operator(points, options_of({{"beta", "3"}}));
  const auto refused = [&](KernelOperator &by, const std::vector<double> &target) {
    return error_of([&] { by.update_target(target); });
  };
  std::vector<double> target(static_cast<std::size_t>(op.local_rows()), 1.0);
  if (world().rank() == 0) target[1] = -2;
  EXPECT_NE(refused(op, target).find("target of row 1 is -2"), std::string::npos);
  target.assign(target.size() + 1, 1.0);
  EXPECT_NE(refused(op, target).find("new target: "), std::string::npos);
  KernelOperator bistochastic = make_operator(points, options_of({{"beta", "3"}, {"normalization", "bistochastic"}}));
  target.pop_back();
  EXPECT_NE(refused(bistochastic, target).find("give one of them"), std::string::npos);
}

}  // namespace
}  // namespace flashring::test
