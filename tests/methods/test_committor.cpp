// Committors and mean first-passage times: exact answers of chains, the dense operator, passes against plain conjugate
// gradients, precisions, bad input.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "flashring/committor.hpp"
#include "support/dense.hpp"
#include "support/error_of.hpp"
#include "support/operator_mat.hpp"
#include "support/petsc.hpp"

namespace flashring::test {
namespace {

const bool started = start_petsc();

struct Found {
  Committor all;
  std::vector<double> q, t, current;  // whole
  std::int64_t passes = 0;
};

struct Setting {
  std::string beta;
  std::string preconditioner = "auto";
  std::string precision = "fp64";
  double tolerance = 1e-8;
  bool times = true;
  int most_iterations = 10000;
  int landmarks = 0;
};

using Inside = std::function<bool(const double *)>;

std::vector<char> flags(const PointBlock &points, const Inside &inside) {
  std::vector<char> found;
  for (std::int64_t i = 0; i < points.local_rows(); ++i) found.push_back(inside(points.row(LocalRow{i})) ? 1 : 0);
  return found;
}

Found solve(PointBlock points, const Setting &setting, const Inside &a, const Inside &b) {
  CommittorRequest request;
  request.a = flags(points, a);
  request.b = flags(points, b);
  request.times = setting.times;
  request.tolerance = setting.tolerance;
  request.preconditioner = setting.preconditioner;
  request.most_iterations = setting.most_iterations;
  request.nystrom.count = setting.landmarks;
  const OperatorMat mat(options_of({{"beta", setting.beta}, {"form", "symmetric"}, {"precision", setting.precision}}),
                        std::move(points));
  Found found;
  found.all = committor(*mat.op, request);
  found.q = whole(*mat.op, found.all.results.committor);
  if (setting.times) found.t = whole(*mat.op, found.all.results.first_passage);
  found.current = whole(*mat.op, found.all.results.current);
  found.passes = mat.op->counters().passes;
  return found;
}

/// P of whole points and its law, in long double.
struct Dense {
  Dense(const PointSet &points, const std::string &beta) : n(points.count()) {
    std::vector<double> unit(n * n, 0.0);
    for (std::size_t i = 0; i < n; ++i) unit[i * n + i] = 1;
    const DenseOperator dense(points, "gaussian:beta=" + beta, 0.5, Form::markov, 256);
    entries = dense.apply(unit, static_cast<int>(n), Precision::fp64).value;
    law = dense.stationary_law();
  }
  Real at(std::size_t i, std::size_t j) const { return entries[j * n + i]; }
  /// f with f = `edge` where inside is 0 and (1 - P) f = source where it is 1, by elimination.
  std::vector<Real> solve(const std::vector<char> &inside, const std::vector<Real> &edge, Real source) const {
    std::vector<Real> A(n * n, 0);  // row-major
    std::vector<Real> f(n);
    for (std::size_t i = 0; i < n; ++i) {
      f[i] = inside[i] != 0 ? source : edge[i];
      for (std::size_t j = 0; j < n; ++j) A[i * n + j] = (i == j ? 1 : 0) - (inside[i] != 0 ? at(i, j) : 0);
    }
    for (std::size_t k = 0; k < n; ++k)  // diagonally dominant: no pivots
      for (std::size_t i = k + 1; i < n; ++i) {
        const Real factor = A[i * n + k] / A[k * n + k];
        if (factor == 0) continue;
        for (std::size_t j = k; j < n; ++j) A[i * n + j] -= factor * A[k * n + j];
        f[i] -= factor * f[k];
      }
    for (std::size_t k = n; k-- > 0;) {
      for (std::size_t j = k + 1; j < n; ++j) f[k] -= A[k * n + j] * f[j];
      f[k] /= A[k * n + k];
    }
    return f;
  }
  std::size_t n;
  std::vector<Real> entries;  // of P, column-major
  std::vector<double> law;
};

/// What the answers may be off for a relative residual: |y - y*| <= residual |b| / (1 - lambda), lambda the largest
/// value of M within the set, and q = y / g. The time t of the set is at least 1/(1 - lambda) somewhere, so its largest
/// entry takes the place of that; b is g at most, and g in one row is at least that of the least law.
double bound(double residual, const std::vector<Real> &t, const std::vector<double> &law) {
  const double longest = static_cast<double>(*std::max_element(t.begin(), t.end()));
  return residual * longest / std::sqrt(*std::min_element(law.begin(), law.end()));
}

void expect_dense(const PointSet &points, const Dense &dense, const Inside &a, const Inside &b, const Found &found,
                  double residual) {
  std::vector<char> inside;
  std::vector<char> before_b;
  std::vector<Real> edge;
  for (std::size_t i = 0; i < dense.n; ++i) {
    inside.push_back(a(points.row(i)) || b(points.row(i)) ? 0 : 1);
    before_b.push_back(b(points.row(i)) ? 0 : 1);
    edge.push_back(b(points.row(i)) ? 1 : 0);
  }
  const std::vector<Real> q = dense.solve(inside, edge, 0);
  const std::vector<Real> t = dense.solve(before_b, std::vector<Real>(dense.n, 0), 1);
  const double allowed = bound(residual, t, dense.law);
  const double longest = static_cast<double>(*std::max_element(t.begin(), t.end()));
  Real rate = 0;
  for (std::size_t i = 0; i < dense.n; ++i) {
    EXPECT_NEAR(found.q[i], static_cast<double>(q[i]), allowed) << i;
    EXPECT_NEAR(found.t[i], static_cast<double>(t[i]), allowed * longest) << i;
    Real square = 0;
    for (std::size_t j = 0; j < dense.n; ++j) {
      square += dense.at(i, j) * (q[j] - q[i]) * (q[j] - q[i]);
      if (a(points.row(i))) rate += dense.law[i] * dense.at(i, j) * q[j];
    }
    // The root of a square that is good to the rounding of its three terms, at most 1.
    EXPECT_NEAR(found.current[i], dense.law[i] * std::sqrt(static_cast<double>(square)),
                dense.law[i] * (2 * allowed + 3e-8))
        << i;
  }
  // Second order in the error of q: the quadratic form is least for q itself.
  EXPECT_NEAR(found.all.results.rate / static_cast<double>(rate), 1,
              allowed * allowed / static_cast<double>(rate) + 1e-12);
}

PointSet chain(std::size_t count) {
  PointSet points{1, {}};
  for (std::size_t i = 0; i < count; ++i)
    points.rows.push_back(static_cast<double>(i) + 0.2 * std::sin(3.0 * static_cast<double>(i)));
  return points;
}

PointBlock block(const PointSet &points) {
  const auto count = static_cast<std::int64_t>(points.count());
  return local_block(points, RowPartition::contiguous(count, world().size()), world().rank());
}

TEST(Committor, OfAChain) {
  const PointSet points = chain(41);
  const Inside a = [](const double *x) { return x[0] < 2.5; };
  const Inside b = [](const double *x) { return x[0] > 36; };
  Setting setting{"0.7"};
  setting.tolerance = 1e-12;
  const Found found = solve(block(points), setting, a, b);
  ASSERT_TRUE(found.all.complete) << found.all.status;
  expect_dense(points, Dense(points, "0.7"), a, b, found, 1e-12);
}

const Inside left = [](const double *x) { return std::hypot(x[0] + 1, x[1]) < 0.2; };
const Inside right = [](const double *x) { return std::hypot(x[0] - 1, x[1]) < 0.2; };

TEST(Committor, OfADoubleWellWithEachPreconditioner) {
  const PointSet points = gather_points(generate_points("double_well:n=200,t=0.3,seed=5", world()), world());
  const Dense dense(points, "8");
  for (const char *preconditioner : {"diagonal", "nystrom"}) {
    SCOPED_TRACE(preconditioner);
    Setting setting{"8", preconditioner};
    setting.tolerance = 1e-12;
    setting.landmarks = 80;
    const Found found = solve(block(points), setting, left, right);
    ASSERT_TRUE(found.all.complete) << found.all.status;
    EXPECT_EQ(found.all.results.preconditioner, preconditioner);
    expect_dense(points, dense, left, right, found, 1e-12);
  }
}

TEST(Committor, TheOtherWayRoundIsOneLessQ) {
  Setting setting{"30"};
  setting.times = false;
  setting.tolerance = 1e-11;
  const auto points = [] { return generate_points("double_well:n=700,seed=4", world()); };
  const Found there = solve(points(), setting, left, right);
  const Found back = solve(points(), setting, right, left);
  for (std::size_t i = 0; i < 700; ++i) EXPECT_NEAR(there.q[i] + back.q[i], 1, 1e-6) << i;
  EXPECT_NEAR(there.all.results.rate / back.all.results.rate, 1, 1e-9);
}

/// Conjugate gradients as in any book, without a preconditioner; passes of one column.
std::int64_t plain_passes(KernelOperator &op, const std::vector<char> &inside, std::vector<double> r,
                          double tolerance) {
  const std::size_t n = r.size();
  const auto dot = [&](const std::vector<double> &a, const std::vector<double> &b) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += a[i] * b[i];
    return world().sum(sum);
  };
  for (std::size_t i = 0; i < n; ++i) r[i] *= inside[i];
  std::vector<double> d = r;
  std::vector<double> q(n);
  std::int64_t passes = 0;
  double rr = dot(r, r);
  for (const double first = rr; rr > tolerance * tolerance * first && passes < 2000; ++passes) {
    op.apply(d.data(), op.local_rows(), q.data(), op.local_rows(), 1);
    for (std::size_t i = 0; i < n; ++i) q[i] = inside[i] != 0 ? d[i] - q[i] : 0;
    const double length = rr / dot(d, q);
    for (std::size_t i = 0; i < n; ++i) r[i] -= length * q[i];
    const double next = dot(r, r);
    for (std::size_t i = 0; i < n; ++i) d[i] = r[i] + next / rr * d[i];
    rr = next;
  }
  return passes;
}

TEST(Committor, TakesAQuarterOfThePassesOfPlainConjugateGradients) {
  const auto points = [] { return generate_points("double_well:n=2500,seed=3", world()); };
  const OperatorMat mat(options_of({{"beta", "300"}, {"form", "symmetric"}}), points());
  KernelOperator &op = *mat.op;
  const std::vector<char> a = flags(points(), left);
  const std::vector<char> b = flags(points(), right);
  std::vector<char> inside(a.size());
  std::vector<double> start(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    inside[i] = a[i] == 0 && b[i] == 0 ? 1 : 0;
    start[i] = b[i] != 0 ? std::sqrt(op.degree()[i]) : 0;
  }
  std::vector<double> right_side(a.size());
  op.apply(start.data(), op.local_rows(), right_side.data(), op.local_rows(), 1);
  const std::int64_t plain = plain_passes(op, inside, right_side, 1e-8) + 5;  // set-up, right side, residual, current
  Setting setting{"300"};
  setting.times = false;
  const Found found = solve(points(), setting, left, right);
  EXPECT_TRUE(found.all.complete) << found.all.status;
  EXPECT_EQ(found.all.results.preconditioner, "nystrom");
  EXPECT_LE(4 * found.passes, plain);
  if (world().rank() == 0)
    std::printf("%lld passes, %lld of plain conjugate gradients\n", static_cast<long long>(found.passes),
                static_cast<long long>(plain));
}

/// Few steps are left where the sets are all but everything: the diagonal is kept.
TEST(Committor, KeepsTheDiagonalWhereItIsGood) {
  Setting setting{"0.1"};
  const Found found = solve(
      generate_points("normal:n=900,d=2", world()), setting, [](const double *x) { return x[0] < -0.5; },
      [](const double *x) { return x[0] > 0.5; });
  EXPECT_TRUE(found.all.complete) << found.all.status;
  EXPECT_EQ(found.all.results.preconditioner, "diagonal") << found.all.results.findings[0];
}

TEST(Committor, SinglePrecisionStepsReachTheSameResidual) {
  for (const char *precision : {"fp32", "reduced"}) {
    Setting setting{"30", "auto", precision};
    const Found found = solve(generate_points("double_well:n=900,seed=4", world()), setting, left, right);
    EXPECT_TRUE(found.all.complete) << precision << ": " << found.all.status;
    EXPECT_LE(found.all.results.committor_residual, 1e-8);
  }
}

TEST(Committor, WhatHasNotConvergedIsThere) {
  Setting setting{"30", "diagonal"};
  setting.most_iterations = 4;
  const Found found = solve(generate_points("double_well:n=400,seed=4", world()), setting, left, right);
  EXPECT_FALSE(found.all.complete);
  EXPECT_EQ(found.all.results.iterations, 4);
  EXPECT_NE(found.all.status.find("not converged: relative residual "), std::string::npos) << found.all.status;
  EXPECT_GT(found.all.results.committor_residual, 1e-8);
  EXPECT_EQ(found.q.size(), 400U);
}

/// A second cloud far away sees neither set: q is 0 there, and its time never ends.
TEST(Committor, PartsThatSeeNoSetAreNamed) {
  PointSet points = random_points(200, 2, 8);
  for (std::size_t i = 0; i < 200; i += 4) points.rows[2 * i] += 100;
  const Inside a = [](const double *x) { return x[0] < -0.7; };
  const Inside b = [](const double *x) { return x[0] > 0.7 && x[0] < 2; };
  const Found found = solve(block(points), {"5"}, a, b);
  EXPECT_FALSE(found.all.complete);
  EXPECT_LE(found.all.results.committor_residual, 1e-8);
  EXPECT_LT(found.all.results.iterations, 200);
  bool named = false;
  for (const std::string &finding : found.all.results.findings)
    named = named || finding.find("first-passage times: to rounding a part") != std::string::npos;
  EXPECT_TRUE(named);
  for (std::size_t i = 0; i < 200; i += 4) EXPECT_EQ(found.q[i], 0) << i;
}

TEST(Committor, BadSets) {
  const auto error = [](const Inside &a, const Inside &b) {
    return error_of([&] { solve(block(chain(20)), {"1"}, a, b); });
  };
  const Inside low = [](const double *x) { return x[0] < 5.5; };
  const Inside none = [](const double * /*x*/) { return false; };
  const Inside middle = [](const double *x) { return x[0] > 4.5 && x[0] < 9; };
  const Inside rest = [](const double *x) { return x[0] >= 5.5; };
  EXPECT_NE(error(low, middle).find("row 5 is in both sets"), std::string::npos) << error(low, middle);
  EXPECT_NE(error(none, low).find("set A holds no point"), std::string::npos);
  EXPECT_NE(error(low, none).find("set B holds no point"), std::string::npos);
  EXPECT_NE(error(low, rest).find("no point outside"), std::string::npos);
}

/// Whatever the weights are, q is what P leaves as it is outside the sets: P of a matrix of its own, form markov.
TEST(Committor, OfBistochasticWeightsAndTargets) {
  const PointBlock points = generate_points("double_well:n=200", world());
  CommittorRequest request;
  request.a = flags(points, [](const double *x) { return x[0] < -0.9; });
  request.b = flags(points, [](const double *x) { return x[0] > 0.9; });
  request.tolerance = 1e-10;
  std::vector<double> target;
  for (std::int64_t i = 0; i < points.local_rows(); ++i) target.push_back(1 + std::abs(points.row(LocalRow{i})[1]));
  for (const char *normalization : {"density", "bistochastic"}) {
    SCOPED_TRACE(normalization);
    const bool targeted = std::string(normalization) == "density";
    const auto made = [&](const char *form) {
      auto mat = std::make_unique<OperatorMat>(
          options_of({{"beta", "10"}, {"normalization", normalization}, {"form", form}}), points);
      if (targeted) mat->op->update_target(target);
      return mat;
    };
    const std::unique_ptr<OperatorMat> symmetric = made("symmetric");
    const Committor found = committor(*symmetric->op, request);
    ASSERT_TRUE(found.complete);
    const std::unique_ptr<OperatorMat> markov = made("markov");
    const std::vector<double> &q = found.results.committor;
    std::vector<double> Pq(q.size());
    markov->op->apply(q.data(), points.local_rows(), Pq.data(), points.local_rows(), 1);
    // The residual of g q is 1e-10 |g|; a row has at least 1e-3 of |g| here.
    for (std::size_t i = 0; i < q.size(); ++i)
      EXPECT_NEAR(q[i], request.b[i] != 0 ? 1 : (request.a[i] != 0 ? 0 : Pq[i]), 1e-7) << i;
  }
}

}  // namespace
}  // namespace flashring::test
