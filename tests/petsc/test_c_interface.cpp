// The C interface: matrices and maps of points that a program holds, moves and weighs.
#include <gtest/gtest.h>

#include <cmath>

#include "flashring/flashring.h"
#include "flashring/petsc_mat.hpp"
#include "support/petsc.hpp"
#include "support/scatter.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

const bool started = start_petsc();

constexpr int rows = 90;

/// This rank's rows of a point set, as a simulation holds them; rank 1 holds none where there are three ranks or more.
std::vector<double> my_rows(std::uint64_t seed, PetscInt *local) {
  const PointSet points = random_points(rows, 2, seed);
  std::vector<std::int64_t> counts(static_cast<std::size_t>(world().size()), 0);
  for (int i = 0; i < rows; ++i) {
    const int rank = i % world().size();
    ++counts[static_cast<std::size_t>(rank == 1 && world().size() > 2 ? 0 : rank)];
  }
  const PointBlock block = local_block(points, RowPartition::from_counts(counts), world().rank());
  *local = static_cast<PetscInt>(block.local_rows());
  return {block.rows().begin(), block.rows().end()};
}

struct Simulation {
  explicit Simulation(std::uint64_t seed) {
    coordinates = my_rows(seed, &local);
    check_petsc(MatCreateFlashring(PETSC_COMM_WORLD, local, 2, coordinates.data(), &A), "MatCreateFlashring");
    set("pair", "gaussian:beta=1.5");
    set("form", "symmetric");
    set("threads", "1");
    check_petsc(FlashringMapCreate(A, &map), "FlashringMapCreate");
    check_petsc(FlashringMapSetPairs(map, 4), "FlashringMapSetPairs");
  }
  Simulation(const Simulation &) = delete;
  Simulation &operator=(const Simulation &) = delete;
  ~Simulation() {
    FlashringMapDestroy(&map);
    MatDestroy(&A);
  }
  void set(const char *name, const char *value) const {
    check_petsc(MatFlashringSetOption(A, name, value), "MatFlashringSetOption");
  }
  void move(std::uint64_t seed) {
    coordinates = my_rows(seed, &local);
    check_petsc(MatFlashringSetPoints(A, 2, coordinates.data()), "MatFlashringSetPoints");
  }
  /// Values, then right vectors.
  std::vector<double> solve() const {
    check_petsc(FlashringMapSolve(map), "FlashringMapSolve");
    PetscInt pairs = 0;
    const char *status = nullptr;
    check_petsc(FlashringMapGetConverged(map, &pairs, &status), "FlashringMapGetConverged");
    EXPECT_EQ(pairs, 4);
    EXPECT_STREQ(status, "converged");
    std::vector<double> all;
    std::vector<double> column(static_cast<std::size_t>(local));
    for (PetscInt k = 0; k < pairs; ++k) {
      double value = 0;
      double residual = 0;
      check_petsc(FlashringMapGetEigenvalue(map, k, &value, &residual), "FlashringMapGetEigenvalue");
      EXPECT_LT(residual, 1e-7);
      check_petsc(FlashringMapGetRight(map, k, column.data()), "FlashringMapGetRight");
      all.push_back(value);
      all.insert(all.end(), column.begin(), column.end());
    }
    return all;
  }

  PetscInt local = 0;
  std::vector<double> coordinates;
  Mat A = nullptr;
  FlashringMap map = nullptr;
};

TEST(CInterface, TheMapOfThePoints) {
  Simulation simulation(31);
  const std::vector<double> found = simulation.solve();
  EXPECT_NEAR(found[0], 1, 1e-12);
  // <psi_0, psi_0>_pi = 1 and <psi_0, psi_1>_pi = 0, by the law and the left vectors.
  const auto n = static_cast<std::size_t>(simulation.local);
  std::vector<double> law(n);
  std::vector<double> left(n);
  check_petsc(FlashringMapGetStationaryLaw(simulation.map, law.data()), "law");
  check_petsc(FlashringMapGetLeft(simulation.map, 1, left.data()), "left");
  double total = 0;
  double mixed = 0;
  double own = 0;
  for (std::size_t i = 0; i < n; ++i) {
    total += law[i];
    mixed += left[i];
    own += left[i] * found[1 + n + 1 + i];
  }
  EXPECT_NEAR(world().sum(total), 1, 1e-12);
  EXPECT_NEAR(world().sum(mixed), 0, 1e-7);
  EXPECT_NEAR(world().sum(own), 1, 1e-7);
}

TEST(CInterface, MovedPointsEqualAFreshOperator) {
  Simulation moved(32);
  moved.solve();
  moved.move(33);
  Simulation fresh(33);
  EXPECT_EQ(moved.solve(), fresh.solve());
}

TEST(CInterface, WeightsBeforeAndAfterSetUp) {
  Simulation early(34);
  std::vector<double> weights(static_cast<std::size_t>(early.local));
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 1 + 0.5 * std::abs(early.coordinates[2 * i]);
  Simulation late(34);
  const std::vector<double> unweighted = late.solve();
  check_petsc(MatFlashringSetWeights(early.A, weights.data()), "weights");
  check_petsc(MatFlashringSetWeights(late.A, weights.data()), "weights");
  const std::vector<double> weighted = early.solve();
  EXPECT_EQ(weighted, late.solve());
  EXPECT_NE(weighted, unweighted);
  std::vector<double> measure(weights.size());
  check_petsc(MatFlashringGetVector(early.A, FLASHRING_MEASURE, measure.data()), "measure");
  EXPECT_EQ(measure, weights);
}

TEST(CInterface, VectorsAndCounters) {
  Simulation simulation(35);
  std::vector<double> density(static_cast<std::size_t>(simulation.local));
  std::vector<double> weight(density.size());
  PetscInt64 passes = -1;
  check_petsc(MatFlashringGetCounters(simulation.A, nullptr, &passes, nullptr), "counters");
  EXPECT_EQ(passes, 0);
  check_petsc(MatFlashringGetVector(simulation.A, FLASHRING_DENSITY, density.data()), "density");
  check_petsc(MatFlashringGetVector(simulation.A, FLASHRING_WEIGHT, weight.data()), "weight");
  for (std::size_t i = 0; i < density.size(); ++i) EXPECT_NEAR(weight[i], 1 / std::sqrt(density[i]), 1e-15);
  check_petsc(MatFlashringGetCounters(simulation.A, nullptr, &passes, nullptr), "counters");
  EXPECT_EQ(passes, 2);
  EXPECT_STREQ(FlashringVersion(), FLASHRING_VERSION);
  EXPECT_TRUE(FLASHRING_VERSION_GE(0, 0, 1));
}

TEST(CInterface, TargetsSetTheLaw) {
  Simulation early(30);
  Simulation late(30);
  std::vector<double> target;
  for (PetscInt i = 0; i < early.local; ++i) target.push_back(1 + 0.5 * std::abs(early.coordinates[2 * i]));
  check_petsc(MatFlashringSetTarget(early.A, target.data()), "target");
  const std::vector<double> plain = late.solve();
  check_petsc(MatFlashringSetTarget(late.A, target.data()), "target");
  EXPECT_EQ(early.solve(), late.solve());
  EXPECT_NE(early.solve(), plain);
  std::vector<double> density(target.size());
  std::vector<double> weight(target.size());
  check_petsc(MatFlashringGetVector(early.A, FLASHRING_DENSITY, density.data()), "density");
  check_petsc(MatFlashringGetVector(early.A, FLASHRING_WEIGHT, weight.data()), "weight");
  for (std::size_t i = 0; i < target.size(); ++i) EXPECT_NEAR(weight[i] * density[i], std::sqrt(target[i]), 1e-14);
}

/// The call fails on every rank and its message holds the word.
void expect_failure(PetscErrorCode code, const char *word) {
  EXPECT_NE(code, PETSC_SUCCESS) << word;
  try {
    check_petsc(code, "call");
  } catch (const std::exception &error) {
    EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
  }
}

TEST(CInterface, WrongUseIsNamed) {
  Simulation simulation(36);
  expect_failure(MatFlashringSetOption(simulation.A, "alfa", "1"), "alfa");
  expect_failure(MatFlashringSetOption(simulation.A, "alpha", "7"), "[0, 1]");
  expect_failure(FlashringMapSetPairs(simulation.map, 0), "0 pairs");
  expect_failure(FlashringMapSetTolerance(simulation.map, -1), "-1");
  double value = 0;
  expect_failure(FlashringMapGetEigenvalue(simulation.map, 0, &value, nullptr), "pair 0 of 0");
  simulation.solve();
  expect_failure(MatFlashringSetOption(simulation.A, "alpha", "1"), "set up");
  expect_failure(MatFlashringSetPoints(simulation.A, 3, simulation.coordinates.data()), "features");
  if (!simulation.coordinates.empty()) simulation.coordinates[0] = NAN;
  expect_failure(MatFlashringSetPoints(simulation.A, 2, simulation.coordinates.data()), "row 0");
  Mat dense = nullptr;
  FlashringMap map = nullptr;
  check_petsc(MatCreateDense(PETSC_COMM_WORLD, PETSC_DECIDE, PETSC_DECIDE, 4, 4, nullptr, &dense), "MatCreateDense");
  expect_failure(FlashringMapCreate(dense, &map), "flashring");
  expect_failure(MatFlashringSetPoints(dense, 2, simulation.coordinates.data()), "flashring");
  MatDestroy(&dense);
}

TEST(CInterface, AFailedSetUpMayBeTriedAgain) {
  Simulation simulation(39);
  std::vector<double> weights(static_cast<std::size_t>(simulation.local), 2.0);
  if (world().rank() == 0) weights[0] = -1;
  check_petsc(MatFlashringSetWeights(simulation.A, weights.data()), "weights");
  expect_failure(MatSetUp(simulation.A), "measure of row 0 is -1");
  simulation.set("backend", "none_such");
  expect_failure(MatSetUp(simulation.A), "none_such");
  simulation.set("backend", "auto");
  weights.assign(weights.size(), 2.0);
  check_petsc(MatFlashringSetWeights(simulation.A, weights.data()), "weights");
  check_petsc(MatSetUp(simulation.A), "MatSetUp");
  std::vector<double> measure(weights.size());
  check_petsc(MatFlashringGetVector(simulation.A, FLASHRING_MEASURE, measure.data()), "measure");
  EXPECT_EQ(measure, weights);
}

TEST(CInterface, EveryRankHasTheSameFeatures) {
  if (world().size() == 1) GTEST_SKIP() << "needs two ranks";
  const std::vector<double> coordinates(12, 0.5);
  const int features = world().rank() == 1 ? 2 : 3;
  Mat A = nullptr;
  check_petsc(MatCreateFlashring(PETSC_COMM_WORLD, 4, features, coordinates.data(), &A), "MatCreateFlashring");
  expect_failure(MatSetUp(A), "points have 2 features here and 3 on another rank");
  MatDestroy(&A);
}

TEST(CInterface, AnOldErrorIsNotToldAgain) {
  Simulation simulation(40);
  EXPECT_NE(MatFlashringSetOption(simulation.A, "alpha", "7"), PETSC_SUCCESS);  // the program goes on
  const ScopedOptions options({{"-eps_ncv", "2"}});                             // fewer than the pairs
  const PetscErrorCode code = FlashringMapSolve(simulation.map);
  EXPECT_NE(code, PETSC_SUCCESS);
  try {
    check_petsc(code, "solve");
  } catch (const std::exception &error) {
    EXPECT_EQ(std::string(error.what()).find("alpha"), std::string::npos) << error.what();
  }
}

TEST(CInterface, MapsWithOptionsOfTheirOwn) {
  const ScopedOptions options({{"-second_eps_max_it", "1"}, {"-second_eps_ncv", "5"}});
  Simulation first(42);
  Simulation second(42);
  check_petsc(FlashringMapSetOptionsPrefix(second.map, "second_"), "FlashringMapSetOptionsPrefix");
  for (int repeat = 0; repeat < 2; ++repeat) {
    first.solve();
    PetscInt pairs = 0;
    check_petsc(FlashringMapSolve(second.map), "FlashringMapSolve");
    check_petsc(FlashringMapGetConverged(second.map, &pairs, nullptr), "FlashringMapGetConverged");
    EXPECT_LT(pairs, 4);
  }
}

/// At the map's own points psi comes back up to the residual, 1e-8 by default, over eigenvalues above 0.1 and the root
/// of a law above 1e-3; a rank may ask for none, or for points that others hold.
TEST(CInterface, TheMapAtOtherPoints) {
  Simulation simulation(42);
  simulation.set("feature_scales", "1,0.5");
  std::vector<double> right(1);
  expect_failure(FlashringMapExtend(simulation.map, 0, nullptr, right.data(), nullptr, nullptr), "FlashringMapSolve");
  const std::vector<double> found = simulation.solve();
  const auto n = static_cast<std::size_t>(simulation.local);
  right.assign(4 * n, 0.0);
  std::vector<double> density(n);
  std::vector<PetscBool> far(n);
  check_petsc(FlashringMapExtend(simulation.map, simulation.local, simulation.coordinates.data(), right.data(),
                                 density.data(), far.data()),
              "FlashringMapExtend");
  std::vector<double> own(n);
  check_petsc(MatFlashringGetVector(simulation.A, FLASHRING_DENSITY, own.data()), "density");
  for (std::size_t k = 0; k < 4; ++k) {
    ASSERT_GT(found[k * (n + 1)], 0.1);
    for (std::size_t i = 0; i < n; ++i)
      EXPECT_NEAR(right[k * n + i], found[k * (n + 1) + 1 + i], 4e-6) << k << " " << i;
  }
  for (std::size_t i = 0; i < n; ++i) {
    EXPECT_NEAR(std::exp(density[i]), own[i], 1e-12 * own[i]);
    EXPECT_EQ(far[i], PETSC_FALSE);
  }
  const bool last = world().rank() + 1 == world().size();
  const std::vector<double> distant{0.1, 50};
  std::vector<double> psi(4);
  PetscBool flag = PETSC_FALSE;
  check_petsc(FlashringMapExtend(simulation.map, last ? 1 : 0, distant.data(), psi.data(), nullptr, &flag), "far");
  EXPECT_EQ(flag, last ? PETSC_TRUE : PETSC_FALSE);
  EXPECT_EQ(psi[0], last ? 1 : 0);
  expect_failure(FlashringMapExtend(simulation.map, last ? -1 : 1, distant.data(), psi.data(), nullptr, nullptr),
                 "0 or more");
  simulation.move(43);
  expect_failure(FlashringMapExtend(simulation.map, 0, nullptr, psi.data(), nullptr, nullptr), "the points have moved");
}

/// Lengths that are all the same make a gaussian; others come with moved points, or stay.
TEST(CInterface, LengthsOfPoints) {
  Simulation gaussian(36);
  const std::vector<double> expected = gaussian.solve();
  Simulation tuned(36);
  tuned.set("pair", "self_tuned");
  const auto n = static_cast<std::size_t>(tuned.local);
  std::vector<double> lengths(n, 1 / std::sqrt(1.5));
  check_petsc(MatFlashringSetPointScales(tuned.A, lengths.data()), "MatFlashringSetPointScales");
  const std::vector<double> found = tuned.solve();
  // Both stop at residuals of 1e-8, over gaps above 0.01 and vectors below 10.
  for (std::size_t at = 0; at < found.size(); ++at) EXPECT_NEAR(found[at], expected[at], 1e-5) << at;

  std::vector<double> right(4 * n);
  const auto extended = [&] {
    return FlashringMapExtend(tuned.map, tuned.local, tuned.coordinates.data(), right.data(), nullptr, nullptr);
  };
  expect_failure(extended(), "reads a length of every point");
  check_petsc(FlashringMapSetNewPointScales(tuned.map, tuned.local, lengths.data()), "FlashringMapSetNewPointScales");
  check_petsc(extended(), "FlashringMapExtend");
  for (std::size_t k = 0; k < 4; ++k)
    for (std::size_t i = 0; i < n; ++i)
      EXPECT_NEAR(right[k * n + i], found[k * (n + 1) + 1 + i], 4e-6) << k << " " << i;

  Simulation fresh(37);
  fresh.set("pair", "self_tuned");
  for (std::size_t i = 0; i < n; ++i) lengths[i] = 0.5 + 0.2 * std::abs(fresh.coordinates[2 * i]);
  check_petsc(MatFlashringSetPointScales(fresh.A, lengths.data()), "MatFlashringSetPointScales");
  check_petsc(MatFlashringSetPointScales(tuned.A, lengths.data()), "MatFlashringSetPointScales");
  tuned.move(37);
  const std::vector<double> moved = fresh.solve();
  EXPECT_EQ(tuned.solve(), moved);
  tuned.move(37);
  EXPECT_EQ(tuned.solve(), moved) << "lengths stay where none came";
}

TEST(CInterface, NeighboursOfPointsThatAProgramHolds) {
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

/// h and 3 h give the same map, and another one than no h; a killed map has no mass outside.
TEST(CInterface, DoobTransforms) {
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

TEST(CInterface, Committors) {
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
TEST(CInterface, MetricAndCarreDuChamp) {
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

TEST(CInterface, AMapNeedsTheOperatorItself) {
  Simulation simulation(41);
  std::vector<double> law(static_cast<std::size_t>(simulation.local));
  expect_failure(FlashringMapGetStationaryLaw(simulation.map, law.data()), "FlashringMapSolve");
  check_petsc(MatSetUp(simulation.A), "MatSetUp");
  check_petsc(MatScale(simulation.A, 2), "MatScale");
  expect_failure(FlashringMapSolve(simulation.map), "MatScale");
}

/// A matrix whose type and global size are set the PETSc way, then its points.
TEST(CInterface, PointsOfAMatrixMadeByName) {
  check_petsc(FlashringRegisterAll(), "register");
  Mat A = nullptr;
  check_petsc(MatCreate(PETSC_COMM_WORLD, &A), "MatCreate");
  check_petsc(MatSetType(A, MATFLASHRING), "MatSetType");
  const std::vector<double> one{0.5, 0.5};
  expect_failure(MatFlashringSetPoints(A, 2, one.data()), "MatSetSizes");
  check_petsc(MatSetSizes(A, PETSC_DECIDE, PETSC_DECIDE, rows, rows), "MatSetSizes");
  const PointSet points = random_points(rows, 2, 38);
  const PointBlock mine = local_block(points, RowPartition::contiguous(rows, world().size()), world().rank());
  check_petsc(MatFlashringSetPoints(A, 2, mine.rows().data()), "MatFlashringSetPoints");
  check_petsc(MatFlashringSetOption(A, "pair", "gaussian:beta=1"), "MatFlashringSetOption");
  check_petsc(MatSetUp(A), "MatSetUp");
  PetscInt local = 0;
  check_petsc(MatGetLocalSize(A, &local, nullptr), "MatGetLocalSize");
  EXPECT_EQ(local, mine.local_rows());
  std::vector<double> density(static_cast<std::size_t>(local));
  check_petsc(MatFlashringGetVector(A, FLASHRING_DENSITY, density.data()), "density");
  double total = 0;
  for (const double value : density) total += value;
  double expected = 0;
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < rows; ++j) {
      const double dx = points.rows[2 * i] - points.rows[2 * j];
      const double dy = points.rows[2 * i + 1] - points.rows[2 * j + 1];
      expected += std::exp(-dx * dx - dy * dy);
    }
  EXPECT_NEAR(world().sum(total), expected, 1e-10 * expected);
  MatDestroy(&A);
}

TEST(CInterface, OptionsOfTheCommandLine) {
  const ScopedOptions options({{"-mat_flashring_alpha", "0"}, {"-mat_flashring_feature_scales", "2,1"}});
  Simulation by_options(37);
  check_petsc(MatSetFromOptions(by_options.A), "MatSetFromOptions");
  Simulation by_calls(37);
  by_calls.set("alpha", "0");
  by_calls.set("feature_scales", "2,1");
  Simulation plain(37);
  const std::vector<double> found = by_options.solve();
  EXPECT_EQ(found, by_calls.solve());
  EXPECT_NE(found, plain.solve());
}

}  // namespace
}  // namespace flashring::test
