// The slope of the kernel sum on circles and tori, whose sums are known, against the dense reference and in all
// precisions; the bandwidth that an operator takes from it; edges of the grid, bad input.
#include <gtest/gtest.h>

#include <cmath>

#include "flashring/kernel_operator.hpp"
#include "flashring/slope.hpp"
#include "support/error_of.hpp"
#include "support/golden.hpp"
#include "support/scatter.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

OperatorOptions options_of(const char *bandwidth, Precision precision = Precision::fp64, const char *backend = "auto") {
  OperatorOptions options;
  options.set("beta", bandwidth);
  options.precision = precision;
  options.backend = backend;
  options.threads = 1;
  return options;
}

/// Slope of a regular N-gon on the unit circle: all rows are alike, d_m^2 = 4 sin^2(pi m / N).
double circle_slope(int n, double beta) {
  long double sum = 0;
  long double slope = 0;
  for (int m = 0; m < n; ++m) {
    const long double half = std::sin(std::acos(-1.0L) * m / n);
    const long double argument = 4 * beta * half * half;
    sum += std::exp(-argument);
    slope += argument * std::exp(-argument);
  }
  return static_cast<double>(slope / sum);
}

/// Relative error of a slope, for points of at most 8 features within `radius` of their mean: q has the error of
/// tolerance.hpp for differences, below 8u beta |x|^2 and 8u q; a weight that of beta q and 59u (test_slope of tiles);
/// sums of 256 terms 18u. Numerator and denominator have it each, the numerator also that of q in units of its mean
/// slope / beta. Sums over q <= 4 |x|^2.
double slope_bound(const SlopePoint &point, double radius, double unit) {
  const double of_q = 8 * point.beta * radius * radius;
  return unit * (2 * (5 * of_q + 59 + 18) + 5 * of_q / point.slope);
}

constexpr double u64 = 0x1p-53;
constexpr double u32 = 0x1p-24;

void expect_circles(const SlopeCurve &curve, int n, int circles, double unit) {
  for (const SlopePoint &point : curve.points) {
    const double expected = circles * circle_slope(n, point.beta);
    EXPECT_NEAR(point.slope, expected, expected * slope_bound(point, std::sqrt(circles), unit)) << point.beta;
  }
}

TEST(Slope, OfCirclesIsTheExactSum) {
  const PointBlock circle = generate_points("circle:n=600", world());
  for (const char *backend : {"ref", "auto"})
    for (const int candidates : {3, 8, 11}) {
      const SlopeGrid grid{0.2, candidates, {}};
      expect_circles(slope_curve(world(), options_of("slope", Precision::fp64, backend), circle, grid), 600, 1, u64);
    }
  expect_circles(slope_curve(world(), options_of("slope", Precision::fp32), circle, {0.2, 11, {}}), 600, 1, u32);
  const PointBlock torus = generate_points("torus:n=25,q=2", world());
  expect_circles(slope_curve(world(), options_of("slope"), torus, {0.2, 8, {}}), 25, 2, u64);
  expect_circles(slope_curve(world(), options_of("slope", Precision::reduced), torus, {0.2, 8, {}}), 25, 2, u32);
}

/// With many points slope(beta) = 2 beta (1 - I_1(2 beta)/I_0(2 beta)), 0.60890 at beta = 0.8509. The parabola stands
/// for a curve whose third derivative in ln beta is below 1 there, over steps of ln 3/2 and ln 4/3: at x from the
/// middle candidate its value is off by |x (x + 0.41) (x - 0.29)| / 6 < 0.005, and its place by the derivative of that,
/// at most 0.41 * 0.29 / 6 = 0.02, over the curvature, which is above 0.2 there.
TEST(Slope, OfACircleIsLargestWhereBesselSays) {
  const PointBlock circle = generate_points("circle:n=3000", world());
  const SlopeCurve curve =
      slope_curve(world(), options_of("slope"), circle, slope_grid(world(), options_of("slope"), circle));
  EXPECT_FALSE(curve.at_edge);
  EXPECT_NEAR(curve.maximum, 0.60890, 0.005);
  EXPECT_NEAR(std::log(curve.beta / 0.8509), 0, 0.1);
  EXPECT_EQ(curve.dimension(), 2 * curve.maximum);
  EXPECT_EQ(curve.points.size(), 5U);
  // The sample sees 2 million of the 9 million pairs of a curve that is flat there.
  for (const SlopePoint &point : curve.sampled) EXPECT_NEAR(point.slope, circle_slope(3000, point.beta), 0.02);
}

TEST(Slope, IsThatOfTheDenseReference) {
  const GoldenArray rows = golden("random_points");
  const GoldenArray slopes = golden("random_slopes");
  const PointSet set{static_cast<int>(rows.shape[1]), rows.values};
  double radius = 0;
  for (std::size_t i = 0; i < set.count(); ++i) {
    double norm = 0;
    for (int k = 0; k < set.features; ++k) norm += set.row(i)[k] * set.row(i)[k];
    radius = std::max(radius, 1.1 * std::sqrt(norm));  // the mean is within a tenth of that
  }
  for (const auto &[name, partition] : partitions(static_cast<std::int64_t>(set.count()), world().size()))
    for (const Precision precision : {Precision::fp64, Precision::fp32}) {
      const SlopeCurve curve =
          slope_curve(world(), options_of("slope", precision), local_block(set, partition, world().rank()),
                      {0.01, static_cast<int>(slopes.values.size()), {}});
      for (std::size_t l = 0; l < slopes.values.size(); ++l)
        EXPECT_NEAR(curve.points[l].slope, slopes.values[l],
                    slopes.values[l] * slope_bound(curve.points[l], radius, precision == Precision::fp64 ? u64 : u32))
            << name << " " << l;
    }
}

TEST(Slope, BitsDoNotDependOnThreads) {
  const PointBlock points = generate_points("normal:n=1300,d=3,seed=2", world());
  OperatorOptions options = options_of("slope");
  const SlopeGrid grid = slope_grid(world(), options, points);
  const SlopeCurve one = slope_curve(world(), options, points, grid);
  options.threads = 3;
  const SlopeCurve three = slope_curve(world(), options, points, grid);
  for (std::size_t l = 0; l < one.points.size(); ++l) {
    EXPECT_EQ(one.points[l].sum, three.points[l].sum);
    EXPECT_EQ(one.points[l].slope, three.points[l].slope);
  }
}

TEST(Slope, EdgesAreSaid) {
  const PointBlock circle = generate_points("circle:n=300", world());
  for (const double first : {1e-4, 20.0}) {
    const SlopeGrid grid{first, 8, {}};
    OperatorOptions options = options_of("slope");
    const Bandwidth slope = choose_bandwidth(world(), options, circle, grid);
    EXPECT_TRUE(slope.curve.at_edge);
    EXPECT_EQ(slope.rule, "slope");
    EXPECT_EQ(options.pair.parameters[0], slope.curve.points[first < 1 ? 7 : 0].beta);
    EXPECT_NE(slope.reason.find("edge of the grid"), std::string::npos) << slope.reason;
    EXPECT_NE(slope.reason.find("give -beta a number, or -beta median"), std::string::npos) << slope.reason;
    options = options_of("auto");
    const Bandwidth median = choose_bandwidth(world(), options, circle, grid);
    EXPECT_EQ(median.rule, "median");
    EXPECT_NE(median.reason.find("edge of the grid; median"), std::string::npos) << median.reason;
    EXPECT_NEAR(options.pair.parameters[0], 0.25, 0.01);  // of a circle: half of all pairs are farther than 2^(1/2)
  }
}

/// The matrix unit of amx makes no powers.
TEST(Slope, BackendsThatDoNotSumItAreNamed) {
  const PointBlock points = generate_points("normal:n=60,d=17", world());
  OperatorOptions options = options_of("slope", Precision::fp32, "amx:emulated");
  EXPECT_NE(error_of([&] {
              choose_bandwidth(world(), options, points);
            }).find("-backend amx does not sum powers of weights (-beta slope); -backend simd does"),
            std::string::npos);
  options.set("beta", "auto");
  const Bandwidth median = choose_bandwidth(world(), options, points);
  EXPECT_EQ(median.rule, "median");
  EXPECT_NE(median.reason.find("amx does not sum powers of weights; median"), std::string::npos) << median.reason;
}

TEST(Slope, OperatorsTakeTheirLengthFromIt) {
  const auto make = [](const char *pair, const char *bandwidth) {
    OperatorOptions options = options_of(bandwidth);
    const double parameter = options.pair.parameters[0];
    options.pair = parse_pair(pair);
    options.pair.parameters[0] = parameter;
    return std::make_unique<KernelOperator>(world(), options, generate_points("circle:n=400", world()));
  };
  const auto gaussian = make("gaussian", "slope");
  const double beta = gaussian->options().pair.parameters[0];
  EXPECT_NEAR(std::log(beta / 0.8509), 0, 0.1);
  EXPECT_EQ(gaussian->bandwidth().rule, "slope");
  EXPECT_EQ(gaussian->counters().passes, 1) << "the pass that found it";
  EXPECT_EQ(make("gaussian", "3")->counters().passes, 0);
  EXPECT_NE(gaussian->bandwidth().reason.find("dimension 1.21"), std::string::npos) << gaussian->bandwidth().reason;
  EXPECT_EQ(make("gaussian", "auto")->options().pair.parameters[0], beta);
  EXPECT_DOUBLE_EQ(make("laplacian", "slope")->options().pair.parameters[0], 1 / std::sqrt(2 * beta));
  EXPECT_EQ(make("gaussian", "median")->bandwidth().rule, "median");
  EXPECT_EQ(make("gaussian", "3")->bandwidth().rule, "given");
}

TEST(Slope, BadInput) {
  PointBlock equal =
      local_block({1, std::vector<double>(7, 2.5)}, RowPartition::contiguous(7, world().size()), world().rank());
  const OperatorOptions options = options_of("slope");
  EXPECT_NE(error_of([&] { slope_grid(world(), options, equal); }).find("coincide"), std::string::npos);
  EXPECT_NE(error_of([&] { slope_curve(world(), options, equal, {1, 8, {}}); }).find("coincide"), std::string::npos);
  const PointBlock circle = generate_points("circle:n=30", world());
  EXPECT_NE(error_of([&] {
              slope_curve(world(), options, circle, {1, 2, {}});
            }).find("2 candidates"),
            std::string::npos);
  EXPECT_NE(error_of([&] { slope_curve(world(), options, circle, {-1, 8, {}}); }).find("positive"), std::string::npos);
  OperatorOptions inner = options;
  inner.pair = parse_pair("inner_exp");
  EXPECT_NE(error_of([&] { choose_bandwidth(world(), inner, circle); }).find("no length scale"), std::string::npos);
}

}  // namespace
}  // namespace flashring::test
