// Nystrom start: landmarks that do not depend on ranks, eigenvectors where all rows are landmarks, close ones where few
// are, and what happens with duplicates, few points and bad options.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "flashring/check.hpp"
#include "flashring/nystrom.hpp"
#include "methods/landmark_choice.hpp"
#include "methods/symmetric_eigen.hpp"
#include "support/apply.hpp"
#include "support/pair_text.hpp"
#include "support/petsc.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

const bool started = start_petsc();

const char *const rules[] = {"uniform", "kmeans++", "leverage"};

KernelOperator make(const PointSet &points, const std::string &pair, const std::string &alpha = "0.5",
                    const std::string &precision = "fp64", RowPartition partition = {}) {
  return make_operator(points,
                       options_of({{"pair", pair}, {"alpha", alpha}, {"form", "symmetric"}, {"precision", precision}}),
                       std::move(partition));
}

/// Two arcs of points with gaps: eigenvalues that fall slowly, leading ones well apart.
PointSet arcs(std::size_t count) {
  const std::vector<double> u = random_numbers(2 * count, 17);
  PointSet points{2, {}};
  for (std::size_t i = 0; i < count; ++i) {
    const double t = 2.2 * u[2 * i] + (i % 3 == 0 ? 0.3 : 0);
    points.rows.insert(points.rows.end(), {3 * std::cos(t), 3 * std::sin(t) + 0.2 * u[2 * i + 1]});
  }
  return points;
}

std::size_t columns_of(const KernelOperator &op, const std::vector<double> &columns) {
  const auto all = static_cast<double>(world().sum(static_cast<std::int64_t>(columns.size())));
  return static_cast<std::size_t>(all / static_cast<double>(op.rows()));
}

/// Columns whole, (N, k).
std::vector<double> whole_start(KernelOperator &op, const NystromOptions &options, int columns) {
  const std::vector<double> mine = nystrom_start(op, options, columns);
  return gather_columns(mine, static_cast<int>(columns_of(op, mine)), op.partition(), world());
}

double dot(const double *x, const double *y, std::size_t n) { return std::inner_product(x, x + n, y, 0.0); }

/// Eigenpairs of the operator from its products with unit vectors.
SymmetricEigen dense_eigen(KernelOperator &op) {
  const auto n = static_cast<std::size_t>(op.rows());
  std::vector<double> unit(n * n, 0.0);
  for (std::size_t i = 0; i < n; ++i) unit[i * n + i] = 1;
  return symmetric_eigen(apply(op, unit, static_cast<int>(n), false, true), n);
}

/// Error of an entry of K and of a sum of n terms in units of u, with that of n-row LAPACK.
double steps(const PointSet &points, const std::string &pair) {
  const PairTable table = make_table(oracle_pair(pair), points, points);
  return *std::max_element(table.error.begin(), table.error.end()) +
         static_cast<double>(sum_error(static_cast<int>(points.count()))) + static_cast<double>(points.count());
}

/// Unit columns with |M v - theta v| as small as rounding allows where all rows are landmarks: an error of S of e u |S|
/// = e u leaves |S u - mu u| = e u; the sums of the extension add e u to v mu, so v is off by e u / mu each time, and M
/// and theta make that twice.
void expect_eigenvectors(KernelOperator &op, const std::vector<double> &v, double e, std::size_t least) {
  const auto n = static_cast<std::size_t>(op.rows());
  const std::size_t k = v.size() / n;
  ASSERT_GE(k, least);
  const std::vector<double> moved = apply(op, v, static_cast<int>(k), false, true);
  const SymmetricEigen exact = dense_eigen(op);
  for (std::size_t c = 0; c < k; ++c) {
    const double *x = v.data() + c * n;
    const double theta = dot(x, moved.data() + c * n, n);
    double square = 0;
    for (std::size_t i = 0; i < n; ++i) square += std::pow(moved[c * n + i] - theta * x[i], 2);
    const double bound = 4 * e * 0x1p-53 / exact.values[c];
    EXPECT_NEAR(dot(x, x, n), 1, 4 * 0x1p-53 * std::sqrt(static_cast<double>(n)));
    EXPECT_LE(std::sqrt(square), bound) << "column " << c << ", eigenvalue " << exact.values[c];
    EXPECT_NEAR(theta, exact.values[c], bound) << c;
  }
}

class Nystrom : public ::testing::TestWithParam<const char *> {
 protected:
  NystromOptions options(int count) const { return {GetParam(), count}; }
};

TEST_P(Nystrom, AllRowsGiveEigenvectors) {
  const PointSet points = random_points(60, 3, 41);
  for (const std::string &name : all_pair_names())
    for (const char *alpha : {"0", "1"}) {
      const std::string pair = spread_pair(name, 3);
      SCOPED_TRACE(pair + " alpha " + alpha);
      KernelOperator op = make(points, pair, alpha);
      expect_eigenvectors(op, whole_start(op, options(60), 6), steps(points, pair), 6);
    }
}

TEST_P(Nystrom, MeasuresAndPartitionsAndPrecisions) {
  const PointSet points = random_points(61, 2, 42);
  const std::string pair = spread_pair("gaussian", 2);
  std::vector<double> measure = random_numbers(61, 43);
  for (double &m : measure) m += 1.1;
  bool narrow = false;  // every other one in fp32
  for (const auto &[name, partition] : partitions(61, world().size())) {
    SCOPED_TRACE(name);
    narrow = !narrow;
    KernelOperator op = make(points, pair, "0.5", narrow ? "fp32" : "fp64", partition);
    op.update_measure(local_columns(measure, 1, partition, world().rank()));
    // More landmarks than rows are all rows.
    expect_eigenvectors(op, whole_start(op, options(1000), 4), steps(points, pair), 4);
  }
}

/// Cosines of the angles between the leading eigenvectors and the span of the columns.
std::vector<double> cosines(const SymmetricEigen &exact, std::vector<double> v, std::size_t count) {
  const std::size_t n = exact.values.size();
  const std::size_t k = v.size() / n;
  for (std::size_t j = 0; j < k; ++j) {  // orthonormal, each against the others twice
    for (std::size_t before = 0; before < 2 * j; ++before) {
      const double *q = &v[before % j * n];
      const double shadow = dot(&v[j * n], q, n);
      for (std::size_t i = 0; i < n; ++i) v[j * n + i] -= shadow * q[i];
    }
    const double length = std::sqrt(dot(&v[j * n], &v[j * n], n));
    for (std::size_t i = 0; i < n; ++i) v[j * n + i] /= length;
  }
  std::vector<double> found;
  for (std::size_t c = 0; c < count; ++c) {
    double square = 0;
    for (std::size_t j = 0; j < k; ++j) square += std::pow(dot(&v[j * n], &exact.vectors[c * n], n), 2);
    found.push_back(std::sqrt(square));
  }
  return found;
}

TEST_P(Nystrom, FewLandmarksComeClose) {
  const PointSet points = arcs(320);
  // Least cosines, below those of all rules by a tenth to a half of the sine; random columns have (8/320)^(1/2) = 0.16.
  // The last kernel is narrower than landmarks lie apart.
  const std::pair<const char *, double> cases[] = {
      {"gaussian:beta=0.5", 0.995}, {"gaussian:beta=4", 0.98}, {"gaussian:beta=20", 0.85}};
  for (const auto &[pair, least] : cases) {
    SCOPED_TRACE(pair);
    KernelOperator op = make(points, pair, "1");
    const std::vector<double> v = whole_start(op, options(40), 8);
    ASSERT_EQ(v.size(), 320U * 8);
    const SymmetricEigen exact = dense_eigen(op);
    const std::vector<double> near = cosines(exact, v, 4);
    EXPECT_NEAR(cosines(exact, {v.begin(), v.begin() + 320}, 1)[0], 1, 1e-10) << "the first one comes out exactly";
    for (std::size_t c = 1; c < 4; ++c) EXPECT_GT(near[c], least) << c;
  }
}

TEST_P(Nystrom, TheSameForAnyNumberOfRanks) {
  const PointSet points = arcs(220);
  const auto alone = make_self_communicator();
  const OperatorOptions settings = options_of({{"beta", "2"}, {"form", "symmetric"}});
  KernelOperator one(*alone, settings, local_block(points, RowPartition::contiguous(220, 1), 0));
  const std::vector<double> expected = nystrom_start(one, options(30), 5);
  const std::vector<double> flat(220, 1.0);
  const LandmarkChoice chosen = choose_landmarks(one, {GetParam(), 30, 5, flat, 1});
  EXPECT_EQ(chosen.rows.size(), 30U);
  for (const auto &[name, partition] : partitions(220, world().size())) {
    SCOPED_TRACE(name);
    KernelOperator op = make_operator(points, settings, partition);
    const std::vector<double> mine(static_cast<std::size_t>(op.local_rows()), 1.0);
    const LandmarkChoice again = choose_landmarks(op, {GetParam(), 30, 5, mine, 1});
    EXPECT_EQ(again.rows, chosen.rows);
    const std::vector<double> v = whole_start(op, options(30), 5);
    ASSERT_EQ(v.size(), expected.size());
    for (std::size_t c = 0; c < 5; ++c)  // a sign is free; the leading values are apart by far more than 1e-6
      EXPECT_NEAR(std::abs(dot(&v[220 * c], &expected[220 * c], 220)), 1, 1e-9) << c;
  }
}

TEST_P(Nystrom, OneLandmarkGivesTheFirstEigenvector) {
  const PointSet points = random_points(90, 2, 44);
  KernelOperator op = make(points, "gaussian:beta=0.7");
  const std::vector<double> v = whole_start(op, options(1), 7);
  ASSERT_EQ(v.size(), 90U);
  EXPECT_NEAR(cosines(dense_eigen(op), v, 1)[0], 1, 1e-13);
}

TEST_P(Nystrom, DuplicatesAreCutAway) {
  PointSet points = random_points(24, 2, 45);
  points.rows.insert(points.rows.end(), points.rows.begin(), points.rows.end());
  const std::string pair = "gaussian:beta=2";
  KernelOperator op = make(points, pair);
  const std::vector<double> v = whole_start(op, options(48), 48);
  EXPECT_LE(v.size(), 48U * 24);
  EXPECT_GE(v.size(), 48U * 8);
  for (const double value : v) EXPECT_TRUE(std::isfinite(value));
  const std::vector<double> leading(v.begin(), v.begin() + 48 * 4);
  expect_eigenvectors(op, leading, steps(points, pair), 4);

  PointSet same{2, {}};
  for (int i = 0; i < 40; ++i) same.rows.insert(same.rows.end(), {0.3, 0.4});
  KernelOperator flat = make(same, "gaussian:beta=1");
  const std::vector<double> constant = whole_start(flat, options(20), 5);
  ASSERT_EQ(constant.size(), 40U);
  for (const double value : constant) EXPECT_NEAR(std::abs(value), 1 / std::sqrt(40.0), 1e-14);
}

TEST_P(Nystrom, RowsThatNoLandmarkSeesGetNothing) {
  PointSet points = random_points(30, 1, 46);
  for (const std::size_t i : {3, 11, 20}) points.rows[i] += 1000.0 * static_cast<double>(i);  // exp(-10^6) is 0
  KernelOperator op = make(points, "gaussian:beta=1");
  for (int count : {1, 4, 30}) {
    const std::vector<double> v = whole_start(op, options(count), 6);
    EXPECT_FALSE(v.empty());
    for (std::size_t at = 0; at < v.size(); at += 30) EXPECT_NEAR(dot(&v[at], &v[at], 30), 1, 30 * 0x1p-53) << at;
  }
}

INSTANTIATE_TEST_SUITE_P(Every, Nystrom, ::testing::ValuesIn(rules), [](const auto &param) {
  const std::string name = param.param;
  return name == "kmeans++" ? std::string("kmeans") : name;
});

TEST(Landmarks, AreDistinctRowsThatFollowTheSeed) {
  KernelOperator op = make(arcs(150), "gaussian:beta=2");
  const std::vector<double> flat(static_cast<std::size_t>(op.local_rows()), 1.0);
  for (const char *rule : rules) {
    SCOPED_TRACE(rule);
    const LandmarkChoice choice = choose_landmarks(op, {rule, 40, 5, flat, 1});
    std::set<std::int64_t> rows;
    for (const GlobalRow row : choice.rows) rows.insert(row.value);
    EXPECT_EQ(rows.size(), 40U);
    EXPECT_EQ(choice.weights.size(), 40U);
    EXPECT_NE(choose_landmarks(op, {rule, 40, 5, flat, 2}).rows, choice.rows);
  }
}

TEST(Landmarks, RareRowsAreFoundByDistanceAndByLeverage) {
  PointSet points = random_points(400, 2, 47);
  std::set<std::int64_t> rare;
  for (std::size_t i = 0; i < 400; ++i)
    for (std::size_t k = 0; k < 2; ++k) points.rows[2 * i + k] *= 0.1;
  for (std::size_t i = 30; i < 400; i += 90) {
    points.rows[2 * i] += 20.0 + static_cast<double>(i);
    rare.insert(static_cast<std::int64_t>(i));
  }
  KernelOperator op = make(points, "gaussian:beta=1");
  const std::vector<double> flat(static_cast<std::size_t>(op.local_rows()), 1.0);
  for (const char *rule : {"kmeans++", "leverage"}) {
    SCOPED_TRACE(rule);
    // 40 landmarks: kmeans++ looks at 10 times as many rows, which are all.
    const LandmarkChoice choice = choose_landmarks(op, {rule, 40, 4, flat, 3});
    std::size_t found = 0;
    double heaviest_rare = 0;
    double all = 0;
    for (std::size_t k = 0; k < choice.rows.size(); ++k) {
      all += choice.weights[k];
      if (rare.count(choice.rows[k].value) == 0) continue;
      ++found;
      heaviest_rare = std::max(heaviest_rare, choice.weights[k]);
    }
    EXPECT_EQ(found, rare.size());
    EXPECT_NEAR(heaviest_rare, 1, rule == std::string("leverage") ? 0.5 : 0) << "it stands for itself alone";
    EXPECT_GT(all, 200) << "together they stand for about all rows";
    EXPECT_LT(all, 800);
  }
}

TEST(Landmarks, KmeansWeightsCountTheSample) {
  KernelOperator op = make(arcs(150), "gaussian:beta=2");
  const LandmarkChoice choice = choose_landmarks(op, {"kmeans++", 9, 5, {}, 1});
  EXPECT_EQ(std::accumulate(choice.weights.begin(), choice.weights.end(), 0.0), 90);
  EXPECT_GE(*std::min_element(choice.weights.begin(), choice.weights.end()), 1);
}

TEST(NystromStart, NumberOfLandmarks) {
  EXPECT_EQ(nystrom_landmarks(1000000, 32), 400);
  EXPECT_EQ(nystrom_landmarks(1000000, 200), 800);
  EXPECT_EQ(nystrom_landmarks(1600, 32), 104) << "(4 N^2 / 9)^(1/3)";
  EXPECT_EQ(nystrom_landmarks(768, 32), 64);
  EXPECT_EQ(nystrom_landmarks(760, 32), 0) << "fewer than two for a column";
  EXPECT_EQ(nystrom_landmarks(200, 4), 25) << "an eighth of the rows";
  KernelOperator op = make(random_points(100, 2, 48), "gaussian:beta=1");
  EXPECT_TRUE(nystrom_start(op, {}, 10).empty()) << "so few rows need no start";
  EXPECT_TRUE(nystrom_start(op, {"none", 50}, 10).empty());
  EXPECT_EQ(op.counters().passes, 0) << "without a start there is no set-up";
}

TEST(NystromStart, WorkIsCountedBesideThePasses) {
  const PointSet points = random_points(700, 3, 49);
  KernelOperator op = make(points, "gaussian:beta=3");
  nystrom_start(op, {"uniform", 100}, 32);
  EXPECT_EQ(op.counters().passes, 2) << "set-up";
  // 32 columns are one product; the 100^2 of rank 0 take two.
  EXPECT_EQ(world().sum(op.counters().landmarks.pairs), 700.0 * 100 + 2 * 100.0 * 100);
  nystrom_start(op, {"leverage", 100}, 32);
  EXPECT_EQ(op.counters().passes, 2);
  EXPECT_EQ(world().sum(op.counters().landmarks.pairs), 4 * 700.0 * 100 + 6 * 100.0 * 100);
}

TEST(NystromStart, BadOptionsAreRefusedByAllRanks) {
  KernelOperator op = make(random_points(80, 2, 50), "gaussian:beta=1");
  EXPECT_THROW(nystrom_start(op, {"random"}, 5), Error);
  EXPECT_THROW(nystrom_start(op, {"uniform", -1}, 5), Error);
  EXPECT_THROW(nystrom_start(op, {"uniform", 20}, 0), Error);
  try {
    nystrom_start(op, {"random"}, 5);
  } catch (const Error &error) {
    EXPECT_TRUE(error.common());
    EXPECT_NE(std::string(error.what()).find("'random' are not known; take uniform, kmeans++, leverage or none"),
              std::string::npos)
        << error.what();
  }
  KernelOperator markov = make_operator(random_points(80, 2, 50), options_of({{"beta", "1"}, {"form", "markov"}}));
  EXPECT_THROW(nystrom_start(markov, {"uniform", 20}, 5), Error);
}

TEST(NystromStart, InnerProducts) {
  // exp(s <x,y>) overflows without its shift; negative s is not positive definite.
  PointSet points = random_points(60, 4, 51);
  for (std::size_t i = 0; i < 60; ++i) {
    const double length = std::sqrt(dot(points.row(i), points.row(i), 4) / 1700);
    for (std::size_t k = 0; k < 4; ++k) points.rows[4 * i + k] /= length;
  }
  for (const char *pair : {"inner_exp:s=0.5", "inner_exp:s=-0.002"}) {
    SCOPED_TRACE(pair);
    KernelOperator op = make(points, pair);
    const std::vector<double> v = whole_start(op, {"uniform", 30}, 6);
    EXPECT_FALSE(v.empty());
    for (const double value : v) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST(NystromStart, StopsWhenAsked) {
  KernelOperator op = make(random_points(200, 2, 52), "gaussian:beta=1");
  op.degree();
  op.set_stop([] { return true; });
  EXPECT_THROW(nystrom_start(op, {"uniform", 40}, 5), Interrupted);
}

}  // namespace
}  // namespace flashring::test
