// The metric of a diffusion map: on the circle, where it is known exactly, its algebra on random points, bad input.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "flashring/carre_du_champ.hpp"
#include "flashring/check.hpp"
#include "flashring/diffusion_map.hpp"
#include "flashring/metric.hpp"
#include "flashring/petsc_mat.hpp"
#include "support/apply.hpp"
#include "support/error_of.hpp"
#include "support/petsc.hpp"

namespace flashring::test {
namespace {

const bool started = start_petsc();

/// A map and the operator of its points.
struct Solved {
  Solved(const Settings &settings, const PointSet &points, int pairs, double time) {
    OperatorOptions options = options_of(settings);
    options.form = Form::symmetric;
    const auto partition = RowPartition::contiguous(static_cast<std::int64_t>(points.count()), world().size());
    op = flashring::make_operator(PETSC_COMM_WORLD, options, local_block(points, partition, world().rank()));
    Mat A = nullptr;
    check_petsc(mat_create(PETSC_COMM_WORLD, op, &A), "mat_create");
    DiffusionMapRequest request;
    request.eigen.pairs = pairs;
    request.eigen.tolerance = 1e-12;
    request.time = time;
    map = diffusion_map(A, *op, request).results;
    MatDestroy(&A);
  }
  /// Numbers of all rows, row after row.
  std::vector<double> whole(const std::vector<double> &rows, int columns) const {
    std::vector<double> turned(rows.size());
    const std::size_t n = rows.size() / static_cast<std::size_t>(columns);
    for (std::size_t at = 0; at < rows.size(); ++at)
      turned[at % static_cast<std::size_t>(columns) * n + at / static_cast<std::size_t>(columns)] = rows[at];
    const std::vector<double> all = gather_columns(turned, columns, op->partition(), world());
    std::vector<double> back(all.size());
    const std::size_t N = all.size() / static_cast<std::size_t>(columns);
    for (std::size_t at = 0; at < all.size(); ++at) back[at % N * static_cast<std::size_t>(columns) + at / N] = all[at];
    return back;
  }

  std::shared_ptr<KernelOperator> op;
  Results map;
};

PointSet circle(std::size_t n) {
  PointSet points{2, {}};
  for (std::size_t j = 0; j < n; ++j) {
    const double t = 2 * M_PI * static_cast<double>(j) / static_cast<double>(n);
    points.rows.push_back(std::cos(t));
    points.rows.push_back(std::sin(t));
  }
  return points;
}

struct Pair {
  double high, low;
};
/// Eigenvalues of (a, b; b, c).
Pair eigenvalues_of(double a, double b, double c) {
  const double middle = (a + c) / 2;
  const double radius = std::hypot((a - c) / 2, b);
  return {middle + radius, middle - radius};
}

/// On the circle all points are alike, and h at angle 0 falls into the cosines and the sines of t and 2t, which are
/// 2^(1/2) psi: with transitions p_j to angle t_j and s_m = (8 beta)^(1/2) lambda_m^t,
///   h_ab = s_a s_b 1/2 sum_j p_j (cos a t_j - 1)(cos b t_j - 1), or with sin a t_j sin b t_j.
/// Vectors are off by residual / gap, below 1e-12 / 0.006, and h by a few times that.
TEST(Metric, CircleIsExact) {
  constexpr std::size_t n = 300;
  constexpr double beta = 40;
  constexpr double time = 2;
  std::vector<double> p, lambda(3, 0.0);
  for (std::size_t j = 0; j < n; ++j)
    p.push_back(std::exp(-4 * beta * std::pow(std::sin(M_PI * static_cast<double>(j) / n), 2)));
  const double all = std::accumulate(p.begin(), p.end(), 0.0);
  const auto angle = [](std::size_t m, std::size_t j) { return 2 * M_PI * static_cast<double>(m * j) / n; };
  double cosines[3] = {};
  double sines[3] = {};
  for (std::size_t j = 0; j < n; ++j)
    for (std::size_t m = 1; m <= 2; ++m) lambda[m] += p[j] / all * std::cos(angle(m, j));
  for (std::size_t j = 0; j < n; ++j)
    for (std::size_t at = 0; at < 3; ++at) {
      const std::size_t a = at == 2 ? 2 : 1;
      const std::size_t b = at == 0 ? 1 : 2;
      const double scale = 8 * beta * std::pow(lambda[a] * lambda[b], time) / 2 * p[j] / all;
      cosines[at] += scale * (std::cos(angle(a, j)) - 1) * (std::cos(angle(b, j)) - 1);
      sines[at] += scale * std::sin(angle(a, j)) * std::sin(angle(b, j));
    }
  const Pair along = eigenvalues_of(sines[0], sines[1], sines[2]);
  const Pair across = eigenvalues_of(cosines[0], cosines[1], cosines[2]);
  std::vector<double> exact{along.high, along.low, across.high, across.low};
  std::sort(exact.begin(), exact.end(), std::greater<>());
  double sum = 0;
  double squares = 0;
  for (const double e : exact) {
    sum += e;
    squares += e * e;
  }

  const Solved solved({{"beta", "40"}}, circle(n), 5, time);
  const Metric found = metric(*solved.op, solved.map, 1);
  const std::vector<double> values = solved.whole(found.eigenvalues, 4);
  for (std::size_t at = 0; at < values.size(); ++at) ASSERT_NEAR(values[at], exact[at % 4], 1e-8 * exact[0]);
  for (const double dimension : found.dimension) EXPECT_NEAR(dimension, sum * sum / squares, 1e-7);
  // The curve is one-dimensional, and a unit vector along it has the length 1 in the space of the points: the largest
  // eigenvalue tends to sum_m 2 m^2 lambda_m^(2t) of cosines and sines together.
  EXPECT_NEAR(exact[0], 2 * (std::pow(lambda[1], 2 * time) + 4 * std::pow(lambda[2], 2 * time)), 0.1 * exact[0]);
  EXPECT_NEAR(sum * sum / squares, 1, 0.1);
  EXPECT_EQ(found.lacking, 0);
  EXPECT_EQ(found.passes, 1);
}

TEST(Metric, InverseOfEveryRank) {
  const PointSet points = random_points(150, 3, 91);
  const Solved solved({{"beta", "2"}, {"alpha", "1"}}, points, 5, 1);
  const auto n = static_cast<std::size_t>(solved.op->local_rows());
  for (const int rank : {1, 2, 4}) {
    const Metric found = metric(*solved.op, solved.map, rank);
    EXPECT_EQ(found.lacking, 0);
    for (std::size_t i = 0; i < n; ++i) {
      double trace = 0;  // of inverse h, which is a projector on `rank` directions
      double gradient = 0;
      for (std::size_t k = 0; k < 4; ++k)
        for (std::size_t l = 0; l < 4; ++l) {
          const std::size_t at = (i * 4 + k) * 4 + l;
          EXPECT_EQ(found.gamma[at], found.gamma[(i * 4 + l) * 4 + k]);
          const double h = found.scale[k] * found.gamma[at] * found.scale[l];
          trace += found.inverse[at] * h;
          gradient += k == l ? h : 0;
        }
      // An eigenvalue is known to 4u e_1, and the least of these is above 1e-6 e_1.
      EXPECT_NEAR(trace, rank, 1e-8);
      const double *e = found.eigenvalues.data() + i * 4;
      EXPECT_GT(e[3], 1e-6 * e[0]);
      EXPECT_NEAR(e[0] + e[1] + e[2] + e[3], gradient, 1e-13 * gradient);
      EXPECT_GE(found.dimension[i], 1);
      EXPECT_LE(found.dimension[i], 4);
    }
  }
}

/// Coordinates 1, 2, 3 and a copy of the first: one direction too few for rank 4.
TEST(Metric, MissingDirectionsAreCountedNotInverted) {
  const PointSet points = random_points(150, 3, 91);
  Solved solved({{"beta", "2"}}, points, 5, 0);
  const auto n = static_cast<std::ptrdiff_t>(solved.op->local_rows());
  std::copy_n(solved.map.right.begin() + n, n, solved.map.right.begin() + 4 * n);
  const Metric found = metric(*solved.op, solved.map, 4);
  EXPECT_EQ(found.lacking, 150);
  for (const double value : found.inverse) EXPECT_LT(std::abs(value), 1e8);
}

TEST(Metric, BadInputIsNamed) {
  const PointSet points = random_points(60, 3, 92);
  const auto refusal = [](const Solved &solved, const Results &map, int rank) {
    return error_of([&] { metric(*solved.op, map, rank); });
  };
  const Solved solved({{"beta", "2"}}, points, 4, 1);
  for (const int rank : {-1, 0, 4})
    EXPECT_NE(refusal(solved, solved.map, rank).find("outside [1, 3]"), std::string::npos) << rank;
  Results alone = solved.map;
  alone.pairs = 1;
  alone.right.resize(static_cast<std::size_t>(solved.op->local_rows()));
  EXPECT_NE(refusal(solved, alone, 1).find("a coordinate needs two"), std::string::npos);
  Results negative = solved.map;
  negative.eigenvalues[2] = -0.1;
  negative.time = 0.5;
  EXPECT_NE(refusal(solved, negative, 1).find("eigenvalue 2 is -0.1"), std::string::npos);
  const Solved other({{"pair", "laplacian:ell=1"}}, points, 4, 1);
  EXPECT_NE(refusal(other, other.map, 1).find("4 beta"), std::string::npos);
}

}  // namespace
}  // namespace flashring::test
