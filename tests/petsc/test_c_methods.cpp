// Methods through the C interface: neighbours, Doob transforms, committors, the metric of a map, rows of scores.
#include <gtest/gtest.h>

#include <cmath>

#include "petsc/simulation.hpp"
#include "support/petsc.hpp"

namespace flashring::test {
namespace {

const bool started = start_petsc();

TEST(CMethods, NeighboursOfPointsThatAProgramHolds) {
  PetscInt local = 0;
  const std::vector<double> coordinates = my_rows(5, &local);
  const std::vector<double> all = random_points(rows, 2, 5).rows;
  constexpr int k = 3;
  std::vector<double> distances(static_cast<std::size_t>(local * k));
  std::vector<PetscInt64> indices(distances.size());
  check_petsc(
      FlashringNearestNeighbours(PETSC_COMM_WORLD, local, 2, coordinates.data(), k, distances.data(), indices.data()),
      "FlashringNearestNeighbours");
  for (std::size_t i = 0; i < static_cast<std::size_t>(local); ++i) {
    int nearer = 0;  // points up to the last neighbour, the point itself among them
    for (std::size_t j = 0; j < rows; ++j)
      nearer += std::hypot(all[2 * j] - coordinates[2 * i], all[2 * j + 1] - coordinates[2 * i + 1]) <=
                        distances[k * i + k - 1] * (1 + 1e-14)
                    ? 1
                    : 0;
    EXPECT_EQ(nearer, k + 1);
    for (std::size_t n = k * i; n < k * i + k; ++n) {
      const auto j = static_cast<std::size_t>(indices[n]);
      EXPECT_NEAR(std::hypot(all[2 * j] - coordinates[2 * i], all[2 * j + 1] - coordinates[2 * i + 1]), distances[n],
                  1e-15);
    }
  }
  // As queries they find themselves first, and then the same.
  std::vector<PetscInt64> found(static_cast<std::size_t>(local * (k + 1)));
  check_petsc(FlashringNearestPoints(PETSC_COMM_WORLD, local, coordinates.data(), local, 2, coordinates.data(), k + 1,
                                     nullptr, found.data()),
              "FlashringNearestPoints");
  for (std::size_t i = 0; i < static_cast<std::size_t>(local); ++i)
    for (std::size_t n = 0; n < k; ++n) EXPECT_EQ(found[(k + 1) * i + n + 1], indices[k * i + n]);
  EXPECT_NE(FlashringNearestNeighbours(PETSC_COMM_WORLD, local, 2, coordinates.data(), rows, nullptr, nullptr),
            PETSC_SUCCESS);
}

/// Twice the coordinates, a quarter of beta and the same dimension; a matrix of -mat_flashring_beta slope has that
/// beta.
TEST(CMethods, BandwidthByTheSlope) {
  PetscInt local = 0;
  std::vector<double> coordinates = my_rows(6, &local);
  PetscReal beta = 0;
  PetscReal dimension = 0;
  PetscBool at_edge = PETSC_TRUE;
  check_petsc(FlashringSlopeBandwidth(PETSC_COMM_WORLD, local, 2, coordinates.data(), &beta, &dimension, &at_edge),
              "FlashringSlopeBandwidth");
  EXPECT_EQ(at_edge, PETSC_FALSE);
  EXPECT_GT(dimension, 1.2);  // of a square with few points: below 2
  EXPECT_LT(dimension, 2);
  for (double &value : coordinates) value *= 2;
  PetscReal quarter = 0;
  PetscReal same = 0;
  check_petsc(FlashringSlopeBandwidth(PETSC_COMM_WORLD, local, 2, coordinates.data(), &quarter, &same, nullptr),
              "FlashringSlopeBandwidth");
  EXPECT_DOUBLE_EQ(quarter, beta / 4);  // powers of two round nothing
  EXPECT_NEAR(same, dimension, 1e-12);
  for (double &value : coordinates) value = 1;
  EXPECT_NE(FlashringSlopeBandwidth(PETSC_COMM_WORLD, local, 2, coordinates.data(), nullptr, nullptr, nullptr),
            PETSC_SUCCESS);
}

/// h and 3 h give the same map, and another one than no h; a killed map has no mass outside.
TEST(CMethods, DoobTransforms) {
  Simulation simulation(44);
  const std::vector<double> plain = simulation.solve();
  const auto n = static_cast<std::size_t>(simulation.local);
  std::vector<double> h(n);
  for (std::size_t i = 0; i < n; ++i) h[i] = 2 + simulation.coordinates[2 * i];
  check_petsc(MatFlashringSetDoob(simulation.A, h.data()), "MatFlashringSetDoob");
  const std::vector<double> once = simulation.solve();
  for (double &value : h) value *= 3;
  check_petsc(MatFlashringSetDoob(simulation.A, h.data()), "MatFlashringSetDoob");
  const std::vector<double> again = simulation.solve();
  for (std::size_t k = 0; k < 4; ++k) EXPECT_NEAR(once[k * (n + 1)], again[k * (n + 1)], 1e-9) << k;
  EXPECT_GT(std::abs(once[n + 1] - plain[n + 1]), 1e-4);
  for (double &value : h) value = -1;
  expect_failure(MatFlashringSetDoob(simulation.A, h.data()), "h of row 0 is -1");
  std::vector<PetscBool> inside(n);
  for (std::size_t i = 0; i < n; ++i) inside[i] = simulation.coordinates[2 * i] < 0.3 ? PETSC_TRUE : PETSC_FALSE;
  check_petsc(MatFlashringKillOutside(simulation.A, inside.data()), "MatFlashringKillOutside");
  EXPECT_NEAR(simulation.solve()[0], 1, 1e-12);
  std::vector<double> law(n);
  check_petsc(FlashringMapGetStationaryLaw(simulation.map, law.data()), "law");
  for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(law[i] > 0, inside[i] == PETSC_TRUE) << i;
  std::vector<double> right(4 * n);
  expect_failure(FlashringMapExtend(simulation.map, simulation.local, simulation.coordinates.data(), right.data(),
                                    nullptr, nullptr),
                 "was killed");
}

TEST(CMethods, Committors) {
  const Simulation simulation(45);
  const auto n = static_cast<std::size_t>(simulation.local);
  std::vector<PetscBool> a(n);
  std::vector<PetscBool> b(n);
  for (std::size_t i = 0; i < n; ++i) {
    a[i] = simulation.coordinates[2 * i] < -0.6 ? PETSC_TRUE : PETSC_FALSE;
    b[i] = simulation.coordinates[2 * i] > 0.6 ? PETSC_TRUE : PETSC_FALSE;
  }
  std::vector<double> q(n);
  std::vector<double> t(n);
  double rate = 0;
  double residual = 1;
  PetscBool converged = PETSC_FALSE;
  check_petsc(
      MatFlashringCommittor(simulation.A, a.data(), b.data(), 1e-10, q.data(), t.data(), &rate, &residual, &converged),
      "MatFlashringCommittor");
  EXPECT_EQ(converged, PETSC_TRUE);
  EXPECT_LE(residual, 1e-10);
  EXPECT_GT(rate, 0);
  std::vector<double> back(n);
  check_petsc(
      MatFlashringCommittor(simulation.A, b.data(), a.data(), 1e-10, back.data(), nullptr, nullptr, nullptr, nullptr),
      "the other way");
  for (std::size_t i = 0; i < n; ++i) {
    EXPECT_NEAR(q[i] + back[i], 1, 1e-7) << i;
    EXPECT_TRUE(b[i] == PETSC_TRUE ? t[i] == 0 : t[i] >= 1 - 1e-7) << i;
  }
  expect_failure(
      MatFlashringCommittor(simulation.A, a.data(), a.data(), 1e-10, q.data(), nullptr, nullptr, nullptr, nullptr),
      "is in both sets");
}

/// The metric is that of the carre du champ: the trace of h is the sum of its eigenvalues, the first one of the map's
/// vectors scaled, and with rank 1 the inverse's trace is 1 over the largest.
TEST(CMethods, MetricAndCarreDuChamp) {
  Simulation simulation(41);
  simulation.solve();
  const auto n = static_cast<std::size_t>(simulation.local);
  PetscInt pairs = 0;
  check_petsc(FlashringMapGetConverged(simulation.map, &pairs, nullptr), "converged");
  const auto c = static_cast<std::size_t>(pairs - 1);
  std::vector<double> y(c * n), gamma(c * (c + 1) / 2 * n), e(c * n), inverse(c * c * n), dimension(n);
  for (std::size_t k = 0; k < c; ++k) {
    double value = 0;
    const auto pair = static_cast<PetscInt>(k + 1);
    check_petsc(FlashringMapGetEigenvalue(simulation.map, pair, &value, nullptr), "value");
    check_petsc(FlashringMapGetRight(simulation.map, pair, y.data() + k * n), "right");
    for (std::size_t i = 0; i < n; ++i) y[k * n + i] *= value;
  }
  check_petsc(MatFlashringCarreDuChamp(simulation.A, pairs - 1, y.data(), gamma.data()), "carre du champ");
  check_petsc(FlashringMapGetMetric(simulation.map, 1, e.data(), inverse.data(), dimension.data()), "metric");
  for (std::size_t i = 0; i < n; ++i) {
    double trace = 0;
    double sum = 0;
    double inverse_trace = 0;
    for (std::size_t k = 0; k < c; ++k) {
      trace += 4 * 1.5 * gamma[(k * (k + 1) / 2 + k) * n + i];
      sum += e[i * c + k];
      inverse_trace += inverse[(i * c + k) * c + k];
    }
    EXPECT_NEAR(sum, trace, 1e-12 * trace);
    EXPECT_NEAR(inverse_trace * e[i * c], 1, 1e-12);
    EXPECT_GE(dimension[i], 1);
  }
  expect_failure(MatFlashringCarreDuChamp(simulation.A, 0, y.data(), gamma.data()), "0 functions");
  expect_failure(FlashringMapGetMetric(simulation.map, pairs, nullptr, nullptr, nullptr), "outside [1, ");
  simulation.move(43);
  expect_failure(FlashringMapGetMetric(simulation.map, 1, nullptr, nullptr, nullptr), "the points have moved");
}

}  // namespace
}  // namespace flashring::test
