// The carre du champ: on the circle, where it is known exactly (docs/mathematics.md, E4), golden numbers, both of its
// forms, and what it owes to the operator: partitions, threads, measures, permutations.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "flashring/carre_du_champ.hpp"
#include "flashring/check.hpp"
#include "support/apply.hpp"
#include "support/dense.hpp"
#include "support/error_of.hpp"
#include "support/exact.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

/// Gamma of whole functions (N, c), whole: (N, c(c+1)/2). Collective.
std::vector<double> gamma_of(KernelOperator &op, const std::vector<double> &f, int functions) {
  CarreDuChamp champ(op);
  const std::vector<double> mine = local_columns(f, functions, op.partition(), world().rank());
  const std::vector<double> found = champ.apply(mine.data(), op.local_rows(), functions);
  return gather_columns(found, functions * (functions + 1) / 2, op.partition(), world());
}

/// Points of the regular n-gon on the unit circle.
PointSet circle(int n) {
  PointSet points{2, {}};
  for (int j = 0; j < n; ++j) {
    const Real t = 2 * 3.14159265358979323846264338327950288L * j / n;
    points.rows.push_back(static_cast<double>(std::cos(t)));
    points.rows.push_back(static_cast<double>(std::sin(t)));
  }
  return points;
}

/// Mode m: cos m t_j.
std::vector<double> mode(int n, int m) {
  std::vector<double> f;
  for (int j = 0; j < n; ++j)
    f.push_back(static_cast<double>(std::cos(2 * 3.14159265358979323846264338327950288L * (j * m % n) / n)));
  return f;
}

struct Circle {
  int n;
  const char *beta;
};

/// lambda_m: the Fourier transform of the weights over its term m = 0.
Real circle_eigenvalue(const Circle &of, int m) {
  const Real pi = 3.14159265358979323846264338327950288L;
  const Real beta = std::stold(of.beta);
  Real sum = 0;
  Real all = 0;
  for (int j = 0; j < of.n; ++j) {
    const Real half = std::sin(pi * j / of.n);
    const Real weight = std::exp(-4 * beta * half * half);
    all += weight;
    sum += weight * std::cos(2 * pi * (static_cast<Real>(j) * m) / of.n);
  }
  return sum / all;
}

/// Largest error of Gamma(cos mt, cos mt) over its largest value. With c = cos 2mt,
/// Gamma = 1/2 [(1 + L_2m c)/2 - L_m (1 + c) + (1 + c)/2] = 1/4 [2 (1 - L_m)(1 + c) - (1 - L_2m) c].
double circle_error(const Circle &of, int m, const char *precision) {
  KernelOperator op = make_operator(circle(of.n), options_of({{"beta", of.beta}, {"precision", precision}}));
  const std::vector<double> found = gamma_of(op, mode(of.n, m), 1);
  const std::vector<double> c = mode(of.n, 2 * m);
  const Real once = 1 - circle_eigenvalue(of, m);
  const Real twice = 1 - circle_eigenvalue(of, 2 * m);
  Real worst = 0;
  Real largest = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const Real exact = (2 * once * (1 + static_cast<Real>(c[i])) - twice * c[i]) / 4;
    worst = std::max(worst, std::abs(exact - found[i]));
    largest = std::max(largest, exact);
  }
  return static_cast<double>(worst / largest);
}

// A term of the sum has the relative error of its weight, that of its differences, and of the sum. Weights: q by
// differences of packed coordinates, each off by 2u beta^(1/2), so that q is off by 8u (beta q)^(1/2) + 4u q and more
// than q = 20 does not count: 8 (20 beta)^(1/2) + 80 units. Differences of functions of size 1 that are rounded to the
// working precision: u over their own size, about 1/(2 beta)^(1/2) where terms count: 4 (2 beta)^(1/2). Set-up is in
// fp64. In fp64 the cosines themselves are rounded, so the same holds.
double circle_bound(double beta, double u) {
  return u * (8 * std::sqrt(20 * beta) + 80 + 4 * std::sqrt(2 * beta) + static_cast<double>(sum_error(256)));
}

TEST(CarreDuChamp, CircleIsExact) {
  const Circle circles[] = {{300, "3"}, {300, "40"}, {1200, "400"}};
  for (const Circle &of : circles)
    for (const int m : {1, 3}) {
      SCOPED_TRACE(std::string(of.beta) + " mode " + std::to_string(m));
      EXPECT_LE(circle_error(of, m, "fp64"), circle_bound(std::stod(of.beta), 0x1p-53));
    }
}

/// The product form is 0.1 to 2 % wrong here.
TEST(CarreDuChamp, NarrowBandwidthInSinglePrecision) {
  const double error = circle_error({4096, "2000"}, 1, "fp32");
  EXPECT_LE(error, circle_bound(2000, 0x1p-24));
  EXPECT_LE(error, 3e-6);
}

TEST(CarreDuChamp, GoldenFourPoints) {
  struct Known {
    const char *alpha;
    double psi[4], gamma[4];
  };
  const Known all[] = {{"0",
                        {-.650927617147, -.504942342942, -.152558548008, 2.217956752553},
                        {.014148961798, .038352691866, .231574627696, .368693496842}},
                       {"0.5",
                        {-.790904809790, -.631356336462, -.252458415848, 1.728194075001},
                        {.016217484095, .042008129616, .213805532317, .206953544946}}};
  for (const Known &known : all) {
    SCOPED_TRACE(known.alpha);
    KernelOperator op = make_operator({1, {0, 1, 2, 4}}, options_of({{"beta", "0.5"}, {"alpha", known.alpha}}));
    const std::vector<double> found = gamma_of(op, {known.psi, known.psi + 4}, 1);
    // Half a digit of psi in either difference, which are below 3, and half a digit of the answer.
    for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(found[i], known.gamma[i], 4e-12);
    EXPECT_EQ(op.counters().passes, 3) << "two of set-up, one of Gamma";
  }
}

/// Functions and points of one test.
struct Sample {
  int functions = 4;
  std::size_t count = 230;
  PointSet points = random_points(count, 3, 61);
  std::vector<double> f = random_numbers(count * static_cast<std::size_t>(functions), 62);
  std::vector<double> measure = [this] {
    std::vector<double> m = random_numbers(count, 63);
    for (double &x : m) x = 1.5 + x;
    return m;
  }();
};

/// 1/2 [P(fg) - f Pg - g Pf + fg] in long double from the dense operator, and what rounding may do to the other form:
/// terms of P (f_j - f_i)^2 with the relative error of an entry of P, here below 200u, summed with their signs.
TEST(CarreDuChamp, EqualsTheProductForm) {
  const Sample s;
  const std::size_t n = s.count;
  for (const char *alpha : {"0", "1"}) {
    SCOPED_TRACE(alpha);
    KernelOperator op = make_operator(s.points, options_of({{"beta", "0.8"}, {"alpha", alpha}}));
    op.update_measure(local_columns(s.measure, 1, op.partition(), world().rank()));
    const std::vector<double> found = gamma_of(op, s.f, s.functions);
    const DenseOperator dense(s.points, "gaussian:beta=0.8", std::stod(alpha), Form::markov, 256, s.measure);
    const std::vector<Real> pf = dense.apply(s.f, s.functions, Precision::fp64).value;
    std::size_t at = 0;
    for (std::size_t l = 0; l < static_cast<std::size_t>(s.functions); ++l)
      for (std::size_t k = 0; k <= l; ++k) {
        std::vector<double> product(n);
        for (std::size_t i = 0; i < n; ++i) product[i] = s.f[k * n + i] * s.f[l * n + i];
        const std::vector<Real> of_product = dense.apply(product, 1, Precision::fp64).value;
        for (std::size_t i = 0; i < n; ++i, ++at) {
          const Real f = s.f[k * n + i];
          const Real g = s.f[l * n + i];
          const Real exact = (of_product[i] - f * pf[l * n + i] - g * pf[k * n + i] + f * g) / 2;
          // Differences are below 2, so no sum of magnitudes is above 2; products of two doubles are rounded above.
          ASSERT_NEAR(found[at], static_cast<double>(exact), 200 * 0x1p-53 * 2) << "pair " << k << "," << l;
        }
      }
  }
}

/// Gamma(f, f) against P f^2 - 2 f P f + f^2 of the operator's own products, for weights of every kind and transforms.
TEST(CarreDuChamp, TakesTheWeightsOfTheOperator) {
  const Sample s;
  const std::size_t n = s.count;
  const std::vector<double> f(s.f.begin(), s.f.begin() + static_cast<std::ptrdiff_t>(n));
  std::vector<double> square(n);
  for (std::size_t i = 0; i < n; ++i) square[i] = f[i] * f[i];
  for (const std::string weights : {"bistochastic", "target", "transform"}) {
    SCOPED_TRACE(weights);
    const char *normalization = weights == "bistochastic" ? "bistochastic" : "density";
    KernelOperator op =
        make_operator(s.points, options_of({{"beta", "0.8"}, {"normalization", normalization}, {"form", "markov"}}));
    const std::vector<double> mine = local_columns(s.measure, 1, op.partition(), world().rank());
    if (weights == "target") op.update_target(mine);
    if (weights == "transform") op.transform(mine);
    const std::vector<double> found = gamma_of(op, f, 1);
    const std::vector<double> Pf = apply(op, f, 1);
    const std::vector<double> of_square = apply(op, square, 1);
    // |f| is at most 1, and rows of P sum to 1 up to the tolerance of bistochastic weights, 1e-12.
    for (std::size_t i = 0; i < n; ++i)
      ASSERT_NEAR(found[i], (of_square[i] - 2 * f[i] * Pf[i] + square[i]) / 2, 1e-12) << i;
  }
}

/// Squares of functions, row by row.
TEST(CarreDuChamp, IsPositiveSemidefiniteAndBilinear) {
  const Sample s;
  const std::size_t n = s.count;
  std::vector<double> with = s.f;  // a constant, and f_0 - 2 f_1
  with.insert(with.end(), n, 0.7);
  for (std::size_t i = 0; i < n; ++i) with.push_back(s.f[i] - 2 * s.f[n + i]);
  KernelOperator op = make_operator(s.points, options_of({{"beta", "0.8"}}));
  const std::vector<double> found = gamma_of(op, with, 6);
  const auto gamma = [&](std::size_t k, std::size_t l, std::size_t i) { return found[(l * (l + 1) / 2 + k) * n + i]; };
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < 4; ++k) EXPECT_GT(gamma(k, k, i), 0);
    for (std::size_t k = 0; k < 4; ++k) EXPECT_EQ(gamma(k, 4, i), 0) << "with a constant";
    EXPECT_EQ(gamma(4, 4, i), 0);
    EXPECT_EQ(gamma(4, 5, i), 0);
    // The combination is rounded by u of numbers up to 3.
    EXPECT_NEAR(gamma(5, 5, i), gamma(0, 0, i) - 4 * gamma(0, 1, i) + 4 * gamma(1, 1, i), 500 * 0x1p-53 * 9);
    EXPECT_LE(gamma(0, 1, i) * gamma(0, 1, i), gamma(0, 0, i) * gamma(1, 1, i) * (1 + 1e-13)) << "Cauchy-Schwarz";
  }
}

TEST(CarreDuChamp, PartitionsThreadsAndPermutations) {
  const Sample s;
  KernelOperator plain = make_operator(s.points, options_of({{"beta", "0.8"}}));
  const std::vector<double> expected = gamma_of(plain, s.f, s.functions);
  for (const auto &[name, partition] : partitions(static_cast<std::int64_t>(s.count), world().size())) {
    SCOPED_TRACE(name);
    KernelOperator op = make_operator(s.points, options_of({{"beta", "0.8"}}), partition);
    const std::vector<double> found = gamma_of(op, s.f, s.functions);
    for (std::size_t at = 0; at < found.size(); ++at) ASSERT_NEAR(found[at], expected[at], 500 * 0x1p-53 * 2);
    for (const char *threads : {"2", "3"}) {
      KernelOperator threaded = make_operator(s.points, options_of({{"beta", "0.8"}, {"threads", threads}}), partition);
      EXPECT_EQ(gamma_of(threaded, s.f, s.functions), found) << threads << " threads";
    }
  }
  Sample turned = s;
  for (std::size_t i = 0; i < s.count; ++i) {
    const std::size_t from = (i * 77) % s.count;  // 77 and 230 have no common factor
    std::copy_n(s.points.row(from), 3, turned.points.rows.begin() + static_cast<std::ptrdiff_t>(3 * i));
    for (std::size_t k = 0; k < 4; ++k) turned.f[k * s.count + i] = s.f[k * s.count + from];
  }
  KernelOperator op = make_operator(turned.points, options_of({{"beta", "0.8"}}));
  const std::vector<double> found = gamma_of(op, turned.f, s.functions);
  for (std::size_t at = 0; at < found.size(); ++at)
    ASSERT_NEAR(found[at], expected[at / s.count * s.count + at % s.count * 77 % s.count], 500 * 0x1p-53 * 2);
}

/// Blocks of 32 functions, two in a pass.
TEST(CarreDuChamp, MoreFunctionsThanAPassHolds) {
  Sample s;
  s.count = 40;
  s.functions = 70;
  s.points = random_points(s.count, 3, 61);
  s.f = random_numbers(s.count * 70, 64);
  KernelOperator op = make_operator(s.points, options_of({{"beta", "0.8"}}));
  const CarreDuChamp champ(op);
  EXPECT_EQ(champ.passes(64), 1);
  EXPECT_EQ(champ.passes(70), 3);
  const std::int64_t before = op.counters().passes;
  const std::vector<double> found = gamma_of(op, s.f, s.functions);
  EXPECT_EQ(op.counters().passes - before, 3);
  // Two at a time, from all three blocks.
  for (const auto &[k, l] :
       {std::pair<std::size_t, std::size_t>{0, 1}, {3, 40}, {40, 41}, {31, 69}, {64, 69}, {33, 65}}) {
    std::vector<double> two(s.f.begin() + static_cast<std::ptrdiff_t>(k * s.count),
                            s.f.begin() + static_cast<std::ptrdiff_t>((k + 1) * s.count));
    two.insert(two.end(), s.f.begin() + static_cast<std::ptrdiff_t>(l * s.count),
               s.f.begin() + static_cast<std::ptrdiff_t>((l + 1) * s.count));
    const std::vector<double> alone = gamma_of(op, two, 2);
    for (std::size_t i = 0; i < s.count; ++i)
      EXPECT_NEAR(found[(l * (l + 1) / 2 + k) * s.count + i], alone[s.count + i], 500 * 0x1p-53 * 2) << k << " " << l;
  }
}

TEST(CarreDuChamp, BadInputIsNamed) {
  const Sample s;
  KernelOperator op = make_operator(s.points, options_of({{"beta", "0.8"}}));
  CarreDuChamp champ(op);
  std::vector<double> mine = local_columns(s.f, s.functions, op.partition(), world().rank());
  EXPECT_NE(error_of([&] { champ.apply(mine.data(), op.local_rows(), 0); }).find("at least one"), std::string::npos);
  if (world().rank() == world().size() - 1) mine.back() = std::nan("");
  EXPECT_NE(error_of([&] { champ.apply(mine.data(), op.local_rows(), s.functions); }).find("function 3 at row 229"),
            std::string::npos);
  MarkovScaling scaling = markov_scaling(op.weight(), op.degree(), op.measure());
  if (!scaling.left.empty()) scaling.left.front() = 1 / 0.0;
  EXPECT_NE(error_of([&] { CarreDuChamp(op, scaling); }).find("scaling of row"), std::string::npos);
  // The matrix unit has no such sums from 9 features on.
  const PointSet wide = random_points(60, 40, 65);
  KernelOperator unit =
      make_operator(wide, options_of({{"beta", "0.01"}, {"backend", "amx:emulated"}, {"precision", "fp32"}}));
  EXPECT_NE(error_of([&] { gamma_of(unit, random_numbers(120, 66), 2); }).find("no sums of products of 2 differences"),
            std::string::npos);
  op.set_stop([] { return world().rank() == world().size() - 1; });
  EXPECT_THROW(champ.apply(mine.data(), op.local_rows(), 1), Interrupted);
}

}  // namespace
}  // namespace flashring::test
