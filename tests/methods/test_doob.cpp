// Doob transforms: golden values, E5 (rows sum to 1, detailed balance, spectrum), sets outside which is killed, the
// extension, passes, bad h. Dense operators stand beside.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "flashring/diffusion_map.hpp"
#include "flashring/extend.hpp"
#include "methods/symmetric_eigen.hpp"
#include "support/dense.hpp"
#include "support/error_of.hpp"
#include "support/golden.hpp"
#include "support/operator_mat.hpp"
#include "support/petsc.hpp"

namespace flashring::test {
namespace {

const bool started = start_petsc();

/// P as a whole, (N, N) column-major.
std::vector<double> dense_markov(const PointSet &points, const std::string &pair, double alpha,
                                 const std::vector<double> &measure = {}) {
  const std::size_t n = points.count();
  std::vector<double> unit(n * n, 0.0);
  for (std::size_t i = 0; i < n; ++i) unit[i * n + i] = 1;
  const DenseOperator dense(points, pair, alpha, Form::markov, 256, measure);
  const Bounded P = dense.apply(unit, static_cast<int>(n), Precision::fp64);
  return {P.value.begin(), P.value.end()};
}

std::vector<double> law_of(const PointSet &points, const std::string &pair, double alpha,
                           const std::vector<double> &measure = {}) {
  return DenseOperator(points, pair, alpha, Form::markov, 256, measure).stationary_law();
}

/// Of diag(law)^(1/2) P diag(law)^(-1/2), rows `keep` of both, in descending order.
std::vector<double> dense_values(const std::vector<double> &P, const std::vector<double> &law,
                                 const std::vector<std::size_t> &keep) {
  std::vector<double> form;
  for (const std::size_t j : keep)
    for (const std::size_t i : keep) form.push_back(std::sqrt(law[i] / law[j]) * P[j * law.size() + i]);
  return symmetric_eigen(form, keep.size()).values;
}

std::vector<std::size_t> all_rows(std::size_t n) {
  std::vector<std::size_t> rows(n);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  return rows;
}

/// h between 0.1 and 3.
std::vector<double> some_h(std::size_t n) {
  std::vector<double> h = random_numbers(n, 5);
  for (double &value : h) value = 1.55 + 1.45 * value;
  return h;
}

struct Solved {
  Solved(const PointSet &points, const Settings &settings)
      : mat(options_of(settings),
            local_block(points, RowPartition::contiguous(static_cast<std::int64_t>(points.count()), world().size()),
                        world().rank())),
        op(*mat.op) {}
  std::vector<double> local(const std::vector<double> &whole_values) const {
    return local_columns(whole_values, 1, op.partition(), world().rank());
  }
  const Results &solve(int pairs, double tolerance = 1e-12) {
    DiffusionMapRequest request;
    request.eigen.pairs = pairs;
    request.eigen.tolerance = tolerance;
    map = diffusion_map(mat.A, op, request);
    EXPECT_TRUE(map.complete) << map.status;
    return map.results;
  }

  OperatorMat mat;
  KernelOperator &op;
  DiffusionMap map;
};

TEST(Doob, GoldenValuesOfFourPoints) {
  Solved four({1, {0, 1, 2, 4}}, {{"beta", "0.5"}, {"form", "symmetric"}});
  four.op.transform(four.local({1, .5, .25, 2}));
  const Results &r = four.solve(4);
  const double values[] = {1, .961943402361, .327501626222, .071773796524};
  const double law[] = {.157824673160, .065586171631, .028561683273, .748027471936};
  const std::vector<double> found = whole(four.op, r.pi);
  for (std::size_t k = 0; k < 4; ++k) EXPECT_NEAR(r.eigenvalues[k], values[k], 1e-12) << k;
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(found[i], law[i], 1e-12) << i;
  EXPECT_EQ(whole(four.op, r.doob_h), (std::vector<double>{1, .5, .25, 2}));
}

/// Columns `from` and on of random_doob.npy, and row `row` of its eigenvalues: the law, psi_1 ... psi_3, the values.
void expect_golden(Solved &solved, std::size_t from, std::size_t row) {
  const GoldenArray known = golden("random_doob");
  const std::vector<double> values = golden("random_doob_eigenvalues").values;
  const Results &r = solved.solve(6);
  for (std::size_t k = 0; k < 6; ++k) EXPECT_NEAR(r.eigenvalues[k], values[7 * row + 1 + k], 2e-12) << k;
  if (row == 1) {
    EXPECT_NEAR(r.perron_value, values[7], 2e-12);
  }
  const std::vector<double> law = golden_column(known, from);
  const std::vector<double> pi = whole(solved.op, r.pi);
  const std::vector<double> psi = gather_columns(r.right, 6, solved.op.partition(), world());
  for (std::size_t i = 0; i < law.size(); ++i) {
    EXPECT_NEAR(pi[i], law[i], 1e-11 * *std::max_element(law.begin(), law.end())) << i;
    // Residuals of 1e-12 over gaps of 0.009 and more, in the norm of the law.
    for (std::size_t k = 1; k < 4; ++k)
      EXPECT_NEAR(std::sqrt(law[i]) * psi[k * law.size() + i], std::sqrt(law[i]) * golden_column(known, from + k)[i],
                  3e-10)
          << k << " " << i;
  }
}

TEST(Doob, GoldenRandomPoints) {
  const GoldenArray rows = golden("random_points");
  const PointSet points{static_cast<int>(rows.shape[1]), rows.values};
  const GoldenArray known = golden("random_doob");
  const Settings settings{{"beta", "0.15"}, {"alpha", "0.3"}, {"form", "symmetric"}};
  Solved transformed(points, settings);
  transformed.op.transform(transformed.local(golden_column(known, 0)));
  expect_golden(transformed, 1, 0);
  Solved killed(points, settings);
  std::vector<char> inside;
  for (std::int64_t i = 0; i < killed.op.local_rows(); ++i)
    inside.push_back(points.row(static_cast<std::size_t>(killed.op.global_row(LocalRow{i}).value))[0] < 0.5 ? 1 : 0);
  killed.op.kill_outside(inside);
  expect_golden(killed, 6, 1);
  const std::vector<double> h = whole(killed.op, killed.map.results.doob_h);
  const std::vector<double> expected = golden_column(known, 5);
  for (std::size_t i = 0; i < h.size(); ++i) EXPECT_NEAR(h[i], expected[i], 1e-10) << i;
}

/// Entries of P are good to some 10 roundings, and those of P^h to twice as many: 1e-14 relative, entries below 1.
TEST(Doob, IsThatOfTheDenseOperator) {
  const PointSet points = random_points(67, 3, 11);
  std::vector<double> measure = some_h(67);
  std::reverse(measure.begin(), measure.end());
  const std::vector<double> h = some_h(67);
  const std::size_t n = h.size();
  for (const bool weighted : {false, true})
    for (const char *pair : {"gaussian:beta=0.8", "inner_exp:s=0.7"}) {
      SCOPED_TRACE(pair);
      const std::vector<double> m = weighted ? measure : std::vector<double>();
      const std::vector<double> P = dense_markov(points, pair, 0.7, m);
      std::vector<double> after(n, 0.0);
      for (std::size_t j = 0; j < n; ++j)
        for (std::size_t i = 0; i < n; ++i) after[i] += P[j * n + i] * h[j];
      Solved solved(points, {{"pair", pair}, {"alpha", "0.7"}, {"form", "markov"}});
      if (weighted) solved.op.update_measure(solved.local(m));
      solved.op.transform(solved.local(h));
      std::vector<double> unit(n * n, 0.0);
      for (std::size_t i = 0; i < n; ++i) unit[i * n + i] = 1;
      const std::vector<double> found = apply(solved.op, unit, static_cast<int>(n));
      const std::vector<double> degree = whole(solved.op, solved.op.degree());
      const auto flow = [&](std::size_t i, std::size_t j) {
        return degree[i] * (weighted ? m[i] : 1) * found[j * n + i];
      };
      const double largest = *std::max_element(degree.begin(), degree.end());
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j) {
          ASSERT_NEAR(found[j * n + i], P[j * n + i] * h[j] / after[i], 1e-14) << i << " " << j;
          ASSERT_NEAR(flow(i, j), flow(j, i), 3e-14 * largest) << i << " " << j;
        }
      for (const double sum : apply(solved.op, std::vector<double>(n, 1.0), 1)) EXPECT_NEAR(sum, 1, 1e-14);
    }
}

TEST(Doob, SpectrumLawAndOwnPoints) {
  const PointSet points = random_points(90, 3, 12);
  const std::vector<double> h = some_h(90);
  const std::vector<double> P = dense_markov(points, "gaussian:beta=1.5", 0.5);
  std::vector<double> law = law_of(points, "gaussian:beta=1.5", 0.5);
  std::vector<double> transformed = P;
  for (std::size_t i = 0; i < 90; ++i) {
    double sum = 0;
    for (std::size_t j = 0; j < 90; ++j) sum += P[j * 90 + i] * h[j];
    for (std::size_t j = 0; j < 90; ++j) transformed[j * 90 + i] *= h[j] / sum;
    law[i] *= h[i] * sum;
  }
  const double total = std::accumulate(law.begin(), law.end(), 0.0);
  for (double &mass : law) mass /= total;
  Solved solved(points, {{"beta", "1.5"}, {"form", "symmetric"}});
  solved.op.transform(solved.local(h));
  const Results &r = solved.solve(6);
  const std::vector<double> exact = dense_values(transformed, law, all_rows(90));
  for (std::size_t k = 0; k < 6; ++k) EXPECT_NEAR(r.eigenvalues[k], exact[k], 1e-12) << k;
  const std::vector<double> found = whole(solved.op, r.pi);
  for (std::size_t i = 0; i < 90; ++i) EXPECT_NEAR(found[i], law[i], 1e-14) << i;
  // P^h of a new point has no h of its own, and that of a point of the map is its row.
  const ExtendedRows own = Extension(solved.op, r).apply(local_block(points, solved.op.partition(), world().rank()));
  for (std::size_t at = 0; at < own.right.size(); ++at) EXPECT_NEAR(own.right[at], r.right[at], 1e-9) << at;
}

TEST(Doob, CostsNoPassBeforeSetUpAndOneAfterwards) {
  const PointSet points = random_points(40, 2, 13);
  Solved solved(points, {{"beta", "1"}});
  solved.op.transform(solved.local(some_h(40)));
  solved.op.degree();
  EXPECT_EQ(solved.op.counters().passes, 2);
  solved.op.transform(solved.local(std::vector<double>(40, 2.5)));
  solved.op.degree();
  EXPECT_EQ(solved.op.counters().passes, 3);
  Solved plain(points, {{"beta", "1"}});
  const std::vector<double> one = whole(solved.op, solved.op.degree());
  const std::vector<double> other = whole(plain.op, plain.op.degree());
  for (std::size_t i = 0; i < 40; ++i) EXPECT_NEAR(one[i], 2.5 * 2.5 * other[i], 1e-13 * one[i]) << "h = constant";
}

/// Values of M[S,S] over the first one, h from its vector, pi^h by pi h^2; the dense ones are good to 1e-14.
TEST(Doob, KilledOutsideASet) {
  const PointSet points = random_points(80, 2, 14);
  const std::vector<double> P = dense_markov(points, "gaussian:beta=2", 0.5);
  const std::vector<double> law = law_of(points, "gaussian:beta=2", 0.5);
  std::vector<std::size_t> keep;
  for (std::size_t i = 0; i < 80; ++i)
    if (points.row(i)[0] < 0.2) keep.push_back(i);
  const std::vector<double> exact = dense_values(P, law, keep);
  ASSERT_LT(exact[0], 0.99);
  Solved solved(points, {{"beta", "2"}, {"form", "symmetric"}});
  std::vector<char> inside;
  for (std::int64_t i = 0; i < solved.op.local_rows(); ++i) {
    const auto row = static_cast<std::size_t>(solved.op.global_row(LocalRow{i}).value);
    inside.push_back(std::count(keep.begin(), keep.end(), row) > 0 ? 1 : 0);
  }
  solved.op.kill_outside(inside);
  EXPECT_TRUE(solved.op.killed());
  const Results &r = solved.solve(5);
  EXPECT_TRUE(solved.op.transformed());
  EXPECT_NEAR(r.perron_value, exact[0], 1e-12);
  for (std::size_t k = 0; k < 5; ++k) EXPECT_NEAR(r.eigenvalues[k], exact[k] / exact[0], 1e-11) << k;
  for (const double residual : r.residuals) EXPECT_LT(residual, 1e-11);
  const std::vector<double> h = whole(solved.op, r.doob_h);
  const std::vector<double> found = whole(solved.op, r.pi);
  EXPECT_EQ(*std::max_element(h.begin(), h.end()), 1);
  double total = 0;
  for (std::size_t i = 0; i < 80; ++i) total += law[i] * h[i] * h[i];
  for (std::size_t i = 0; i < 80; ++i) {
    EXPECT_NEAR(found[i], law[i] * h[i] * h[i] / total, 1e-10) << i;
    double sum = 0;  // P h = lambda_0 h on the set
    for (const std::size_t j : keep) sum += P[j * 80 + i] * h[j];
    EXPECT_NEAR(h[i] > 0 ? sum : 0, exact[0] * h[i], 1e-10) << i;
    EXPECT_EQ(h[i] > 0, std::count(keep.begin(), keep.end(), i) > 0) << i;
  }
  const std::vector<double> psi = gather_columns(r.right, 5, solved.op.partition(), world());
  for (std::size_t k = 0; k < 5; ++k)
    for (std::size_t l = 0; l < 5; ++l) {
      double product = 0;
      for (std::size_t i = 0; i < 80; ++i) product += found[i] * psi[k * 80 + i] * psi[l * 80 + i];
      EXPECT_NEAR(product, k == l ? 1 : 0, 1e-10) << k << " " << l;
    }
  for (std::size_t i = 0; i < 80; ++i)
    for (std::size_t k = 0; k < 5; ++k) EXPECT_TRUE(h[i] > 0 || psi[k * 80 + i] == 0) << i;
  EXPECT_NE(error_of([&] { Extension(solved.op, r); }).find("was killed"), std::string::npos);
}

TEST(Doob, BadInput) {
  const PointSet points = random_points(30, 2, 15);
  Solved solved(points, {{"beta", "1"}, {"form", "symmetric"}});
  for (const double bad : {0.0, -1.0, double{NAN}, double{INFINITY}}) {
    std::vector<double> h(30, 1.0);
    h[17] = bad;
    const std::string message = error_of([&] { solved.op.transform(solved.local(h)); });
    EXPECT_NE(message.find("h of row 17"), std::string::npos) << message;
  }
  const std::vector<char> nothing(static_cast<std::size_t>(solved.op.local_rows()), 0);
  EXPECT_NE(error_of([&] { solved.op.kill_outside(nothing); }).find("holds no point"), std::string::npos);
}

/// Two far clouds: the Perron vector belongs to one of them, and is rounding on the other.
TEST(Doob, ASetOfTwoPartsHasNoPositivePerronVector) {
  PointSet points = random_points(60, 2, 16);
  for (std::size_t i = 0; i < 60; ++i) points.rows[2 * i] += i % 3 == 0 ? 100 : 0;
  Solved solved(points, {{"beta", "4"}, {"form", "symmetric"}});
  std::vector<char> inside;
  for (std::int64_t i = 0; i < solved.op.local_rows(); ++i)
    inside.push_back(solved.op.global_row(LocalRow{i}).value < 57 ? 1 : 0);
  solved.op.kill_outside(inside);
  const std::string message = error_of([&] { solved.solve(2); });
  EXPECT_NE(message.find("the set falls into parts"), std::string::npos) << message;
}

}  // namespace
}  // namespace flashring::test
